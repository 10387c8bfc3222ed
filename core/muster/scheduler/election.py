"""Who leads. Any number of schedulers may run; the log picks one.

A candidate appends ``leader.elected``, expecting the election it knows to be the last on that subject: of
several at once the broker admits one. It leads from the moment it has read its own election back, and so has
folded everything before it. The leader beats; who hears no beat for ``takeover_after_s`` while listening
stands for election. A leader that says goodbye is succeeded at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from muster import fault
from muster.broker.interface import Appended, Broker, Fence, Unknown
from muster.clock import Clock
from muster.identity import uuid7
from muster.model.errors import BrokerError
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.commands import Heartbeat
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER
from muster.release import RELEASE
from muster.scheduler.follower import Follower
from muster.scheduler.options import SchedulerOptions

log = logging.getLogger("muster.scheduler")


class Election:
    """Stands for election when there is no leader."""

    def __init__(
        self,
        broker: Broker,
        follower: Follower,
        options: SchedulerOptions,
        clock: Clock,
        look: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._follower = follower
        self._options = options
        self._clock = clock
        self._look = look
        self._instance = uuid7()
        self._listening_s = clock.seconds()
        self._heard_s = 0.0
        self._left = 0
        self.mine = ""

    def hear(self, beat: Heartbeat) -> None:
        """A scheduler's beat came; one of a leader already replaced does not count."""
        if beat.session < self._follower.state.leader_sequence:
            return
        if beat.leaving:
            self._left = beat.session
        else:
            self._heard_s = self._clock.seconds()

    def restart(self) -> None:
        """The listening was interrupted: no silence before now counts."""
        self._listening_s = self._clock.seconds()

    async def win(self) -> int:
        """Return the sequence of our election, once everything before it is folded."""
        beat = await self._broker.heartbeats.last(SCHEDULER)
        if beat is not None and beat.leaving:
            self._left = beat.session
        while True:
            await self._caught_up()
            wait_s = self._wait_s()
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, self._options.tick_s))
                continue
            sequence = await self._stand()
            if sequence:
                return sequence

    async def _caught_up(self) -> None:
        position = await self._broker.log.position()
        await self._follower.reach(position.last)

    def _wait_s(self) -> float:
        state = self._follower.state
        if state.leader_sequence == 0 or state.leader_id == self.mine or self._left == state.leader_sequence:
            return 0.0
        self._look()
        since = max(self._listening_s, self._heard_s)
        return since + self._options.takeover_after_s - self._clock.seconds()

    async def _stand(self) -> int:
        state = self._follower.state
        event = Event(
            id=f"leader:{self._instance}:{state.term + 1}",
            writer=SCHEDULER,
            time=self._clock.now(),
            data=c.LeaderElected(
                scheduler=self._options.name,
                term=state.term + 1,
                software=RELEASE,
                policy=self._options.policy,
            ),
        )
        fence = Fence(subjects.LEADER, state.leader_sequence)
        self._follower.leading_id = event.id
        await fault.point("scheduler.elect.before")
        (outcome,) = await self._broker.log.append([event], fence)
        await fault.point("scheduler.elect.after")
        sequence = outcome.sequence if isinstance(outcome, Appended) else await self._settle(event, outcome)
        if sequence:
            self.mine = event.id
            await self._follower.reach(sequence)
            sequence = sequence if self._follower.state.leader_id == event.id else 0
        return sequence

    async def _settle(self, event: Event, outcome: object) -> int:
        """A refusal does not prove that the event is absent: the last one on the subject tells who leads."""
        try:
            last = await self._broker.log.last(subjects.LEADER)
        except BrokerError:
            last = None
        if last is not None and last.event.id == event.id:
            return last.sequence
        if isinstance(outcome, Unknown):
            log.warning("whether this scheduler was elected is not known: %s", outcome.reason)
        await asyncio.sleep(self._options.tick_s)
        return 0
