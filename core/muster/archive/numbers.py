"""The numbers that writers give their events: without a gap for each execution, rising for each machine."""

from __future__ import annotations

from typing import Final

from muster.archive.findings import Verified
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER

RECENT_MAX: Final = 4096
"""Numbers of a machine that are remembered with their ids, to tell an event that came twice from another."""
ENDS: Final = (c.ExecutionSucceeded, c.ExecutionFailed, c.ExecutionCancelled)


class Numbers:
    """The numbers that writers give: the scheduler's for each execution, an agent's for each machine."""

    def __init__(self, report: Verified) -> None:
        self._report = report
        self._scheduler: dict[str, int] = {}
        self._machines: dict[str, int] = {}
        self._recent: dict[str, dict[int, str]] = {}

    def look(self, recorded: Recorded) -> None:
        """The next event."""
        event = recorded.event
        if event.kind == "unreadable.event":
            self._report.warn(
                "unreadable",
                f"what stands at {recorded.sequence}, written by {event.writer}, is no event of Muster",
                first=recorded.sequence,
            )
        elif event.writer == SCHEDULER:
            self._decision(recorded, event)
        elif event.n is not None and not isinstance(event.data, c.MachineConnected):
            self._fact(recorded, event, event.n)

    def _decision(self, recorded: Recorded, event: Event) -> None:
        number = event.id.removeprefix(f"{event.execution}:")
        if number == event.id or not number.isdecimal():
            return
        last, found = self._scheduler.get(event.execution, 0), int(number)
        if found != last + 1:
            said = (
                f"decision {found} of {_of(event.execution)} stands twice"
                if found <= last
                else f"the decisions {last + 1} to {found - 1} of {_of(event.execution)} are missing"
            )
            self._report.find("number", said, last=recorded.sequence, execution=event.execution)
        self._scheduler[event.execution] = max(found, last)
        if isinstance(event.data, ENDS):
            del self._scheduler[event.execution]

    def _fact(self, recorded: Recorded, event: Event, number: int) -> None:
        recent = self._recent.setdefault(event.writer, {})
        if number <= self._machines.get(event.writer, 0) and recent.get(number, event.id) != event.id:
            self._report.find(
                "number",
                f"{event.writer} gave the number {number} to two events",
                last=recorded.sequence,
            )
        recent[number] = event.id
        if len(recent) > RECENT_MAX:
            del recent[next(iter(recent))]
        self._machines[event.writer] = max(number, self._machines.get(event.writer, 0))


def _of(execution: str) -> str:
    return "the scheduler itself" if execution == NO_EXECUTION else f"the execution {execution}"
