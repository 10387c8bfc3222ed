"""Following the log into the state, and knowing which of our own decisions have come back from it.

The leader folds its decisions when it makes them. When one is read back it is not folded again, only struck
off the list of those outstanding. What is left on that list when the log has been read up to a later election
of our own was never written, and is written again, the same events under the same ids. Anything else that a
scheduler wrote while we believed to lead means that we do not: the state is dropped and folded anew.

Executions leave the log while it is read. Of one that is archived in that moment only the beginning may be read; the
``log.archived`` that names it comes later in the log, and before anything is decided here: then it is let go, as ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from muster.broker.interface import Broker
from muster.model.engine.evolve import evolve
from muster.model.engine.state import CLEARED, State
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.policy import Policy

ENDS: Final = (c.ExecutionSucceeded, c.ExecutionFailed, c.ExecutionCancelled, c.ExecutionCleared)

log = logging.getLogger("muster.scheduler")


class Follower:
    """The state, and the reading that keeps it current. ``woke`` is called after every batch."""

    def __init__(self, broker: Broker, policy: Policy, woke: Callable[[], None]) -> None:
        self._broker = broker
        self._policy = policy
        self._woke = woke
        self._moved = asyncio.Event()
        self._reset = False
        self.resets = 0
        self.state = State(policy)
        self.outstanding: deque[Event] = deque()
        self.arrivals: set[str] = set()
        self.late: set[str] = set()
        self._begun: dict[str, int] = {}
        self.leading_id = ""

    def decided(self, events: list[Event]) -> None:
        """These were folded already and will come back."""
        self.outstanding.extend(events)

    def unacknowledged(self) -> set[AttemptRef]:
        """Attempts of which a decision is outstanding: no command may go out that it has not been read back for."""
        return {
            AttemptRef(event.execution, event.step, event.attempt)
            for event in self.outstanding
            if isinstance(event.data, c.StepScheduled | c.AttemptSuperseded) and event.step and event.attempt
        }

    def _drop(self) -> None:
        """Fold everything anew: the state holds decisions that do not stand. Whoever leads by it must stop."""
        if not self._reset:
            self._reset = True
            self.resets += 1

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            async with aclosing(self._broker.log.follow(self.state.sequence + 1)) as batches:
                async for batch in batches:
                    for recorded in batch:
                        self._fold(recorded)
                    self._notify()
                    if self._reset:
                        break
            if self._reset:
                log.info("folding the log anew")
                self.state = State(self._policy)
                self.outstanding.clear()
                self._begun.clear()
                self._reset = False

    async def reach(self, sequence: int) -> None:
        """Return when everything up to ``sequence`` is folded."""
        while self.state.sequence < sequence or self._reset:
            await self.moved()

    async def moved(self) -> None:
        """Return when something was read."""
        self._moved.clear()
        await self._moved.wait()

    def _notify(self) -> None:
        self._moved.set()
        self._woke()

    def _fold(self, recorded: Recorded) -> None:
        event, state = recorded.event, self.state
        self._watch_ends(recorded)
        if event.writer == SCHEDULER and not isinstance(event.data, c.LeaderElected):
            if self.outstanding and event.id == self.outstanding[0].id:
                self.outstanding.popleft()
                state.sequence = recorded.sequence
                return
            if self.outstanding:
                self._drop()
        elif isinstance(event.data, c.MachineConnected):
            self.arrivals.add(event.writer)
        elif isinstance(event.data, c.LeaderElected) and self.outstanding and event.id != self.leading_id:
            self._drop()
        self._notice(event)
        self._evolve(recorded)

    def _watch_ends(self, recorded: Recorded) -> None:
        """Let go of what has left the log with its end unread."""
        event = recorded.event
        if isinstance(event.data, c.ExecutionQueued):
            self._begun[event.execution] = recorded.sequence
        elif isinstance(event.data, ENDS):
            self._begun.pop(event.execution, None)
        elif isinstance(event.data, c.LogArchived):
            moved = {each.first for each in event.data.objects}
            for execution in [name for name, first in self._begun.items() if first in moved]:
                del self._begun[execution]
                self.state.leave(execution)

    def _notice(self, event: Event) -> None:
        """``late`` gets whatever may have been cleared and not be erased yet; whoever leads looks closer."""
        state, execution = self.state, event.execution
        if execution == NO_EXECUTION or execution in state.executions:
            return
        known = state.ended.get(execution)
        if event.writer != SCHEDULER:
            noticed = known == CLEARED or (known is None and state.forgotten)
        else:
            # A marker has nothing of its execution below it once that is erased.
            noticed = isinstance(event.data, c.ExecutionCleared) and (known is not None or state.forgotten)
        if noticed:
            self.late.add(execution)

    def _evolve(self, recorded: Recorded) -> None:
        try:
            evolve(self.state, recorded.event, recorded.sequence)
        except Exception:
            # What an agent says must not end every scheduler; our own decisions are another matter.
            if recorded.event.writer == SCHEDULER:
                raise
            log.exception("the event %s at %d is passed over", recorded.event.id, recorded.sequence)
