"""What a record says of the world around the scheduler: who asked for what, how machines came and went, how each
attempt went. Decisions are not in it, but for what they show of the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from muster.model.definition.workflow import Step
from muster.model.engine.cluster import Machine
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef, Body
from muster.model.log.envelope import Event, Recorded
from muster.model.plan.lowering import lower
from muster.model.plan.outline import find, paths
from muster.model.policy import Policy
from muster.model.proof.rehearsal.asking import Asking
from muster.model.proof.rehearsal.leadership import Gap
from muster.model.proof.rehearsal.silences import Silence

LOST_REASONS: Final = ("no_capacity", "lost")  # failures that are the machine's, not the attempt's


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to the scheduler at its time, as it is recorded.

    Of a connection: ``held`` are the attempts the machine was answerable for; those it still had are in the event.
    ``foreign``: it is about an attempt of an execution that the record does not hold.
    """

    at: datetime
    recorded: Recorded
    foreign: bool = False
    held: frozenset[AttemptRef] = frozenset()


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt went. Offsets count in seconds from ``base_at``, when the order could first reach its machine.
    ``sequences`` are the places of its facts and of its end in the record.

    ``end`` is there where the attempt itself came to an end, well or not. ``accident`` is an end that its machine or
    agent made of it, at ``accident_at``. Otherwise it was cut: it went on to ``known_until`` at least, and ``cut_by``
    says what came between. ``asked_at`` is when it was asked to stop, ``stop_s`` how long that took, or how long it
    did not at least. ``ignored``: its machine answered but did not take it up.
    """

    ref: AttemptRef
    machine: str
    scheduled_at: datetime
    base_at: datetime
    facts: tuple[tuple[float, Body], ...] = ()
    sequences: tuple[int, ...] = ()
    end: c.AttemptFinished | c.AttemptFailed | None = None
    end_s: float = 0.0
    accident: Body | None = None
    accident_at: datetime | None = None
    known_until: datetime
    cut_by: str = ""
    asked_at: datetime | None = None
    stop_s: float = 0.0
    ignored: bool = False

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if isinstance(self.end, c.AttemptFailed):
            return f"failed with {self.end.error.name} after {self.end_s:.3g} s"
        return f"succeeded after {self.end_s:.3g} s"


class Script(msgspec.Struct, kw_only=True):
    """All of it, in the order of the record.

    ``known`` are the executions the record holds, ``crowded`` those that waited under a key for others.
    """

    begins: datetime
    ends: datetime
    policy: Policy | None = None
    gaps: list[Gap] = []
    cues: list[Cue] = []
    silences: dict[str, list[Silence]] = {}
    courses: dict[AttemptRef, Course] = {}
    known: dict[str, c.ExecutionQueued] = {}
    children: dict[tuple[str, str], str] = {}
    machines: dict[str, Machine] = {}
    foreign: int = 0
    crowded: set[str] = set()
    restarts: list[tuple[str, datetime]] = []
    skews: dict[str, timedelta] = {}
    asking: Asking = msgspec.field(default_factory=Asking)

    def step(self, ref: AttemptRef) -> Step:
        """The definition of the attempt's step; an empty one where the record does not have it."""
        queued = self.known.get(ref.execution)
        found = find(lower(queued.workflow), ref.step) if queued is not None else None
        return found.step if found is not None else Step()

    def steps(self) -> set[str]:
        """The paths of all steps in the definitions of all executions."""
        return {path for queued in self.known.values() for path in paths(queued.workflow)}

    def child(self, execution: str, step: str) -> str | None:
        """What the step of this execution ran."""
        return self.children.get((execution, step))


def attempt_of(event: Event) -> AttemptRef | None:
    """The attempt that the event is about, if it is about one."""
    if event.step is None or event.attempt is None:
        return None
    return AttemptRef(event.execution, event.step, event.attempt)


def more(cues: Sequence[Cue], likes: Mapping[str, str]) -> Iterator[Cue]:
    """Machines more, by name: each from when the one that it is like comes first."""
    for name, like in likes.items():
        cue = next((cue for cue in cues if _connects(cue, like)), None)
        if cue is None:
            continue
        was = cue.recorded.event.data
        assert isinstance(was, c.MachineConnected)
        data = msgspec.structs.replace(was, attempts=[], functions=None if was.functions is None else [])
        event = msgspec.structs.replace(
            cue.recorded.event, id=f"{name}/besides", writer=name, machine=name, line=None, data=data
        )
        yield Cue(at=cue.at, recorded=Recorded(cue.recorded.sequence, event))


def _connects(cue: Cue, machine: str) -> bool:
    event = cue.recorded.event
    return isinstance(event.data, c.MachineConnected) and event.writer == machine
