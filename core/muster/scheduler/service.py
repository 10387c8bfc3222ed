"""The scheduler as a service: follow the log, stand for election, lead, and begin again where the lead is
lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from muster.broker.interface import Broker
from muster.clock import Clock
from muster.model.engine.watch import Watch
from muster.model.errors import BrokerError
from muster.model.log.names import SCHEDULER
from muster.scheduler.election import Election
from muster.scheduler.follower import Follower
from muster.scheduler.leader import Leader, StoodDownError
from muster.scheduler.options import SchedulerOptions
from muster.scheduler.wakefulness import Wakefulness
from muster.settings import Settings

log = logging.getLogger("muster.scheduler")


async def serve(
    broker: Broker,
    settings: Settings,  # noqa: ARG001 - every service gets them
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    clock: Clock | None = None,
    **options: Any,
) -> None:
    """Schedule until ``stop`` is set. ``options`` are those of SchedulerOptions."""
    await Scheduler(broker, SchedulerOptions(**options), clock or Clock(), ready).run(stop)


class Scheduler:
    """One scheduler process."""

    def __init__(
        self, broker: Broker, options: SchedulerOptions, clock: Clock, ready: Callable[[str], None]
    ) -> None:
        self._broker = broker
        self._options = options
        self._clock = clock
        self._ready = ready
        self._woken = asyncio.Event()
        self._watch = Watch(clock.seconds())
        self._follower = Follower(broker, options.policy, self._woken.set)
        self._awake = Wakefulness(broker, options, clock, self._lapsed)
        self._election = Election(broker, self._follower, options, clock, self._awake.look)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set."""
        await self._broker.prepare()
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._follower.run()),
                tasks.create_task(self._hear()),
                tasks.create_task(self._awake.keep()),
            ]
            stopping = tasks.create_task(stop.wait())
            stopping.add_done_callback(lambda _: self._woken.set())
            self._ready(f"scheduler {self._options.name} stands by")
            while not stop.is_set():
                await self._term(stop, stopping)
            for task in [*beside, stopping]:
                task.cancel()

    async def _term(self, stop: asyncio.Event, stopping: asyncio.Task[Any]) -> None:
        """Wait for the lead, then lead."""
        winning = asyncio.create_task(self._election.win())
        try:
            await asyncio.wait({winning, stopping}, return_when=asyncio.FIRST_COMPLETED)
            done = winning.done()
        finally:
            winning.cancel()
            await asyncio.wait({winning})
        if not done:
            return
        try:
            await self._lead(winning.result(), stop)
        except BrokerError as error:
            log.warning("the broker does not answer: %s", error)
            await asyncio.sleep(self._options.tick_s)

    async def _lead(self, sequence: int, stop: asyncio.Event) -> None:
        leader = Leader(
            self._broker,
            self._follower,
            self._watch,
            self._options,
            self._clock,
            sequence,
            self._woken,
            self._awake.look,
        )
        self._ready(f"scheduler {self._options.name} leads (term {self._follower.state.term})")
        try:
            await leader.lead(stop)
        except* StoodDownError as group:
            log.warning("no longer leading: %s", group.exceptions[0])
            await asyncio.sleep(self._options.tick_s)  # whatever refuses us must not be asked without end
        except* BrokerError as group:
            log.warning("no longer leading, the broker does not answer: %s", group.exceptions[0])

    async def _hear(self) -> None:
        async for beat in self._broker.heartbeats.listen():
            if beat.name == SCHEDULER:
                self._watch.sound(self._clock.seconds())
                self._election.hear(beat)
            else:
                self._watch.hear(beat, self._clock.seconds())

    def _lapsed(self, now_s: float) -> None:
        self._watch.restart(now_s)
        self._election.restart()
