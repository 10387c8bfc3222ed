"""How the whole cluster stands at a point of the log: who leads, who holds which slot, what waits and why.

It is the scheduler's own fold (``muster.model.engine.evolve``) with the times that people ask for and decisions do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from muster.cli.roster import Kept, Roster, kept
from muster.cli.waiting import reason
from muster.model.engine import cluster
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.placement import Slot, requirement
from muster.model.engine.state import State
from muster.model.log import catalogue
from muster.model.log.catalogue import AttemptRef
from muster.model.log.envelope import Recorded


class Leader(msgspec.Struct, frozen=True):
    """The scheduler that was elected last."""

    name: str
    term: int
    sequence: int
    since: datetime | None


class Room(msgspec.Struct, frozen=True):
    """How much there is of something, and how much of it is held. Memory is in bytes."""

    total: float
    used: float
    free: float


class Held(msgspec.Struct, frozen=True):
    """An attempt that holds room. ``state``: scheduled, accepted (by the agent) or started.

    One that is ``superseded`` does not count any more, but its machine has not yet answered for it.
    """

    execution: str
    step: str
    attempt: int
    since: datetime
    state: str
    superseded: bool
    slots: int
    cpus: float
    memory: int
    gpus: int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A machine. ``open``: new attempts may be given to it. ``strays``: what it runs that nobody here knows of.

    ``functions`` are those that stay loaded there.
    """

    name: str
    status: str
    since: datetime | None
    open: bool
    slots: Room
    cpus: Room
    memory: Room
    gpus: Room
    held: list[Held]
    strays: list[AttemptRef]
    functions: list[Kept]


class Queued(msgspec.Struct, frozen=True):
    """A step that is ready and has no machine."""

    execution: str
    step: str
    since: datetime | None
    why: str


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that has not ended. ``steps`` counts them by status."""

    execution: str
    workflow: str
    status: str
    queued_at: datetime | None
    ending: str | None
    steps: dict[str, int]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand. ``queue`` is in the order in which steps are placed."""

    leader: Leader | None
    machines: list[Place]
    queue: list[Queued]
    executions: list[Live]


class Cluster:
    """Folds the whole log."""

    def __init__(self) -> None:
        self.roster = Roster()
        self._elected_at: datetime | None = None
        self._queued_at: dict[str, datetime] = {}

    def apply_all(self, records: Iterable[Recorded]) -> None:
        """Fold these events."""
        for recorded in records:
            self.roster.apply(recorded)
            self._time(recorded)

    def _time(self, recorded: Recorded) -> None:
        event, live = recorded.event, self.roster.state.executions
        if isinstance(event.data, catalogue.LeaderElected):
            self._elected_at = event.time
        elif event.execution in live:
            self._queued_at.setdefault(event.execution, event.time)
        else:
            self._queued_at.pop(event.execution, None)

    def standing(self, *, advise: bool = True) -> Standing:
        """How things stand after what was folded; ``advise`` adds to what waits what to do about it."""
        state = self.roster.state
        return Standing(
            leader=self._leader(state),
            machines=[self._place(machine) for machine in self.roster.known()],
            queue=[
                _queued(state, slot, advise=advise)
                for slot in state.queue.slots()
                if slot[0] in state.executions
            ],
            executions=[self._live(execution) for execution in state.executions.values()],
        )

    def _leader(self, state: State) -> Leader | None:
        if not state.leader_name:
            return None
        return Leader(state.leader_name, state.term, state.leader_sequence, self._elected_at)

    def _place(self, machine: cluster.Machine) -> Place:
        facts = machine.facts
        return Place(
            name=machine.name,
            status=self.roster.status(machine.name) or "",
            since=self.roster.since(machine.name),
            open=machine.open,
            slots=_room(facts.slots, machine.slots_used),
            cpus=_room(facts.cpus, machine.cpus_used),
            memory=_room(facts.memory, machine.memory_used),
            gpus=_room(len(facts.gpus), machine.gpus_used),
            held=sorted((_held(attempt) for attempt in machine.held.values()), key=lambda held: held.since),
            strays=sorted(machine.strays),
            functions=kept(machine),
        )

    def _live(self, execution: ExecutionState) -> Live:
        return Live(
            execution=execution.id,
            workflow=execution.plan.workflow.name,
            status=execution.status,
            queued_at=self._queued_at.get(execution.id),
            ending=execution.ending,
            steps=dict(Counter(_status(step) for step in execution.steps.values())),
        )


def _room(total: float, used: float) -> Room:
    return Room(total, used, max(total - used, 0))


def _held(attempt: cluster.Attempt) -> Held:
    ref, resources = attempt.ref, attempt.resources
    return Held(
        execution=ref.execution,
        step=ref.step,
        attempt=ref.attempt,
        since=attempt.ordered_at,
        state="started" if attempt.started_id else "accepted" if attempt.accepted else "scheduled",
        superseded=attempt.superseded,
        slots=resources.slots,
        cpus=resources.cpus,
        memory=resources.memory,
        gpus=resources.gpus,
    )


def _queued(state: State, slot: Slot, *, advise: bool) -> Queued:
    execution, path = slot
    step = state.executions[execution].steps[path]
    why = reason(requirement(step.plan), state.machines, step.plan.step.image or "", advise=advise)
    return Queued(execution, path, step.ready_at, why)


def _status(step: StepState) -> str:
    """The step's status with what its attempt is known to do."""
    attempt = step.attempt
    if attempt is None or step.status not in {"scheduled", "running"}:
        return step.status
    if attempt.started_id is not None:
        return "running"
    return "preparing" if attempt.accepted else "scheduled"
