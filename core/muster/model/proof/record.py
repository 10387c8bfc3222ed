"""A fold of the log that takes every round as it stands there, and from which a trial can be made at any time."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from muster.model.log import catalogue as c
from muster.model.log.envelope import Basis, Recorded
from muster.model.proof.replay import Recomputed, Replay


class Record(Replay):
    """Folds every round as it stands in the log, where ``Replay`` decides it."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = 0
        self.begun: dict[str, int] = {}
        self.leader = self.software = ""
        self._read: tuple[str, Basis | None] = ("", None)

    @property
    def pending(self) -> Basis | None:
        """The basis of the round that may not be complete."""
        if self._basis is None:
            return None
        if self._read[0] != self._basis:
            self._read = (self._basis, Basis.parse(self._basis))
        return self._read[1]

    @property
    def size(self) -> int:
        """How many events of it have come."""
        return len(self._round)

    def close(self, *, cut: bool = True) -> Recomputed | None:
        """Count it too."""
        self.rounds += bool(self._round)
        return super().close(cut=cut)

    def trial(self) -> Replay:
        """A copy that decides what comes next."""
        made = Replay()
        vars(made).update({name: value for name, value in vars(copied(self)).items() if name in vars(made)})
        return made

    def open(self) -> dict[str, int]:
        """The executions that are not known to be over, with the places where they begin."""
        self.begun = {name: first for name, first in self.begun.items() if name in self.state.executions}
        return self.begun

    def _decide(self, basis: Basis, events: list[Recorded], *, cut: bool) -> Recomputed:
        self.state.round = basis.round
        for recorded in events:
            self._enter(recorded)
        return Recomputed(basis=basis, last=events[-1].sequence, given=0, recorded=[], decided=[], cut=cut)

    def _enter(self, recorded: Recorded) -> None:
        if isinstance(recorded.event.data, c.ExecutionQueued):
            self.begun[recorded.event.execution] = recorded.sequence
            if len(self.begun) > 2 * len(self.state.executions) + 1000:
                self.open()
        super()._enter(recorded)

    def _fold(self, recorded: Recorded) -> None:
        data = recorded.event.data
        if isinstance(data, c.LeaderElected):
            self.leader, self.software = data.scheduler, data.software
        super()._fold(recorded)


def copied(record: Record) -> Record:
    """A copy that shares what never changes: definitions, values, errors, events."""
    shared: dict[int, Any] = {}

    def share(things: Iterable[Any]) -> None:
        shared.update((id(thing), thing) for thing in things)

    share(record._facts)
    share(record._round)
    for execution in record.state.executions.values():
        share((execution.plan, execution.inputs))
        for step in execution.steps.values():
            share((step.plan, step.outputs, step.error))
            if step.attempt is not None:
                share((step.attempt.ref, step.attempt.resources, step.attempt.outputs, step.attempt.failure))
    for schedule in record.state.schedules.by_name.values():
        share((schedule.workflow, schedule.inputs, schedule.schedule, schedule.labels))
    return deepcopy(record, shared)
