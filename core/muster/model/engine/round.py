"""One round of decisions as it is being made."""

from __future__ import annotations

from datetime import datetime

from muster.model.engine.cluster import Attempt
from muster.model.engine.evolve import evolve
from muster.model.engine.state import State
from muster.model.log.body import AttemptRef, Body
from muster.model.log.commands import AttemptOrder
from muster.model.log.envelope import Basis, Event
from muster.model.log.names import NO_EXECUTION, SCHEDULER


class Round:
    """One round of decisions: the events to append, and the commands to send once they are acknowledged."""

    def __init__(self, state: State, now: datetime) -> None:
        state.round += 1
        self.state = state
        self.now = now
        self.events: list[Event] = []
        self.starts: dict[str, list[AttemptOrder]] = {}
        self.stops: dict[str, list[AttemptRef]] = {}
        self._basis = str(Basis(state.sequence, now, state.round))

    def write(
        self,
        body: Body,
        cause: str,
        *,
        execution: str = NO_EXECUTION,
        step: str | None = None,
        attempt: int | None = None,
        machine: str | None = None,
        event_id: str | None = None,
    ) -> None:
        """Decide ``body`` and fold it. ``event_id`` is for what stands outside the numbering of the execution."""
        state = self.state.executions.get(execution)
        number = 1 if execution != NO_EXECUTION else self.state.number + 1
        number = state.number + 1 if state is not None else number
        event = Event(
            id=event_id or f"{execution}:{number}",
            writer=SCHEDULER,
            time=self.now,
            data=body,
            execution=execution,
            step=step,
            attempt=attempt,
            machine=machine,
            cause=cause,
            basis=self._basis,
        )
        self.events.append(event)
        evolve(self.state, event)

    def stop(self, attempt: Attempt) -> None:
        """Have the machine stop the attempt."""
        self.stops.setdefault(attempt.machine, []).append(attempt.ref)
