"""A recorded execution, folded for a test to look at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from muster import fixtures
from muster.client.follower import ExecutionView
from muster.model.errors import ErrorInfo, ExecutionNotFoundError
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, Recorded, encode
from muster.model.proof.replay import Difference, replay


class ReplayedExecution(ExecutionView):
    """Everything a recording says about its execution: ``status``, ``inputs``, ``outputs``, ``steps`` by their path,
    ``transitions``, ``timeline``, ``error``; and whether this release decides the same.
    """

    def __init__(self, execution: str, records: Sequence[Recorded]) -> None:
        super().__init__(execution)
        self.records = list(records)
        """The whole recording, in the order of the log."""
        self.apply_all(recorded for recorded in records if recorded.event.execution == execution)

    @property
    def events(self) -> list[Event]:
        """The execution's own events, in the order of the log."""
        return [recorded.event for recorded in self.records if recorded.event.execution == self.id]

    @property
    def kinds(self) -> list[str]:
        """The kinds of its own events, in the order of the log: ``execution.queued``, ``step.scheduled`` …"""
        return [event.kind for event in self.events]

    @property
    def errors(self) -> dict[str, ErrorInfo]:
        """The error of each step that failed, by the step's path."""
        return {
            path: step.error for path, step in self.steps.items() if step.status == "failed" and step.error
        }

    @cached_property
    def differences(self) -> list[Difference]:
        """The first decision of the recording that this release of Muster would make otherwise, if there is one."""
        return replay(self.records).differences

    def check(self) -> None:
        """Raise AssertionError where this release decides anything otherwise, and show what and on which grounds."""
        __tracebackhide__ = True
        if self.differences:
            raise AssertionError(_told(self.differences[0]))


def replayed(path: str | Path, execution: str | None = None) -> ReplayedExecution:
    """The execution recorded in this fixture (by its id, where there are several), folded.

    Raises FixtureInvalidError where the file is no fixture, ExecutionNotFoundError where that is not in it.
    """
    records = fixtures.load(path)
    there = [r.event.execution for r in records if isinstance(r.event.data, c.ExecutionQueued)]
    if execution is None and len(there) == 1:
        execution = there[0]
    if execution in there and execution is not None:
        return ReplayedExecution(execution, records)
    if execution is None and there:
        raise ExecutionNotFoundError(
            f"{path} holds {len(there)} executions.",
            remedy=f"Say which: execution={there[0]!r}. It holds {', '.join(there)}.",
        )
    raise ExecutionNotFoundError(
        f"{path} holds no execution {execution or 'at all'}.",
        remedy=f"It holds {', '.join(there)}."
        if there
        else "Record one: muster events EXECUTION --json > FILE.",
    )


def _told(difference: Difference) -> str:
    basis = difference.basis
    lines = [f"this release decides otherwise at sequence {difference.sequence}"]
    for name, event in (("then", difference.then), ("now ", difference.now)):
        lines.append(f"  {name}: {'nothing' if event is None else encode(event).decode()}")
    lines.append(f"  on the log up to {basis.sequence} at {basis.now.isoformat()}:")
    lines += [f"    {name}: {value}" for name, value in difference.grounds.items()]
    return "\n".join(lines)
