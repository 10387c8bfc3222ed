"""The recording of one execution and its family: their events, and those of others that their decisions rest on.

Theory of operation. A ``Recorder`` is fed the log once, in its order (what ``OTHERS`` and the execution's own subject
give is enough), and keeps so much that folding what it kept shows, at each decision about the execution, the machines
as they were: who was connected and open, what was held there, which of the wanted images were known. A decision rests
on the facts up to its basis and not on those up to its own place, so a fact is looked at only when the first decision
comes that could know of it. Rules:

1. Of the execution, and of what its steps run: everything from ``execution.queued`` on. Parent and child are decided
   about in the same rounds, so a child is recorded with the first of its ancestors; of one that was cleared, its mark.
2. Of machines: everything about one since the connection under which it stood when the execution was queued, or since
   an earlier one, where an attempt that still held room was given to it then.
3. Of other executions: only what takes and gives back room, of attempts that held any while this one lived. Never an
   ``execution.queued``: whoever folds the recording cannot take another execution for one of its own.
4. Of images: the pull by which a machine came to know one that the workflow names. Machines forget the image they used
   least where they know too many; where that happened to a wanted one, every pull on that machine is kept.
5. Of functions, where the workflow calls any: what machines have loaded then, and every load and unload from then on.
6. Of the result cache: the success of another execution's step that one of this execution was given again.

Before the execution is queued only a window is held in memory, whose size is that of the cluster and not of the log.
What was erased from the log (another execution that was cleared) cannot be recorded: the room it held is then missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import Workflow
from muster.model.engine.evolve import IMAGES_KEPT
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Basis, Event, Recorded
from muster.model.log.facts import AGENT_ENDS
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.policy import Policy
from muster.model.proof.loads import Loads, calls
from muster.model.reuse.cache import CACHED
from muster.model.values import size

OTHERS: Final = (
    subjects.LEADER,
    subjects.events(execution=NO_EXECUTION, noun="machine"),
    subjects.events(noun="image", verb="pulled"),
    subjects.events(noun="function", verb="loaded"),
    subjects.events(noun="function", verb="unloaded"),
    subjects.events(writer=SCHEDULER, noun="step", verb="scheduled"),
    subjects.events(writer=SCHEDULER, noun="step", verb="succeeded"),
    *(
        subjects.events(noun="attempt", verb=verb)
        for verb in ("accepted", "superseded", "finished", "failed", "stopped")
    ),
)
"""The subjects of what a recording may need beside the execution's own events. No two of them overlap."""


def record(log: Iterable[Recorded], execution: str) -> list[Recorded]:
    """The recording of ``execution`` from its log; empty where the log has no ``execution.queued`` of it."""
    listed = list(log)
    parents = {
        each.event.execution: parent_of(each.event)
        for each in listed
        if isinstance(each.event.data, c.ExecutionQueued)
    }
    while (parent := parents.get(execution)) in parents and parent is not None:
        execution = parent
    recorder = Recorder(execution)
    for recorded in listed:
        recorder.add(recorded)
    return recorder.recording()


def parent_of(event: Event) -> str | None:
    """The execution that runs the one that is queued here."""
    data = event.data
    return data.parent.execution if isinstance(data, c.ExecutionQueued) and data.parent is not None else None


def _images(workflow: Workflow) -> Iterator[str]:
    """The images that it names, and those that it runs do."""
    yield from (step.image for _, step in members(workflow) if step.image is not None)
    for inner in workflow.workflows.values():
        yield from _images(inner)


class _Attempt(msgspec.Struct):
    """An attempt of another execution that holds room, and the events that tell of it."""

    ordered_in: int
    told: list[Recorded]
    accepted: bool = False


class _Machine(msgspec.Struct, kw_only=True):
    """What has to be kept of a machine. ``trail`` is everything about it since the oldest connection that matters."""

    first: Recorded
    session: int = 0
    n: int = 0
    trail: list[Recorded] = []
    draining: Recorded | None = None
    leaving: list[Recorded] = []
    held: dict[AttemptRef, _Attempt] = {}
    images: dict[str, Recorded] = {}
    pulls: list[Recorded] = []
    forgot: bool = False
    loads: Loads = msgspec.field(default_factory=Loads)

    def prune(self) -> None:
        """Let go what stood before the connection that the oldest attempt still held was given under."""
        oldest = min((attempt.ordered_in for attempt in self.held.values()), default=self.session)
        starts = [
            at
            for at, recorded in enumerate(self.trail)
            if isinstance(recorded.event.data, c.MachineConnected) and recorded.sequence <= oldest
        ]
        self.trail = self.trail[starts[-1] if starts else 0 :]


def _basis(recorded: Recorded) -> int:
    """How far whoever decided this had read. Of what is no basis, that it had read all is the best guess."""
    try:
        return Basis.parse(recorded.event.basis or "").sequence
    except ValueError:
        return recorded.sequence


def _authorised(event: Event) -> bool:
    """Whether it is its writer's to write, as ``muster.model.engine.evolve`` has it; what is not known may be."""
    writer = getattr(event.data, "writer", None)
    return writer is None or (writer == SCHEDULER) == (event.writer == SCHEDULER)


def _size(made: Recorded | None) -> int:
    """The bytes of what a step gave."""
    return size(made.event.data.outputs) if made and isinstance(made.event.data, c.StepSucceeded) else 0


class Recorder:
    """Feed it the log; see the module's theory of operation. ``execution`` is the first of its family."""

    def __init__(self, execution: str) -> None:
        self._family = {execution}
        self._children: set[str] = set()
        self._cleared: list[Recorded] = []
        self._machines: dict[str, _Machine] = {}
        self._elected: Recorded | None = None
        self._wanted: frozenset[str] | None = None  # the images the workflow names, once it is queued
        self._calls = False  # whether it calls functions
        self._kept: dict[int, Recorded] = {}
        self._last = 0
        self._facts: deque[Recorded] = deque()
        self._made: dict[str, Recorded] = {}
        self._made_bytes = 0

    def add(self, recorded: Recorded) -> None:
        """Take the next event of the log."""
        event = recorded.event
        if event.writer != SCHEDULER or event.basis is None:
            self._facts.append(recorded)
            return
        self._look_to(_basis(recorded))
        self._look(recorded)

    def recording(self) -> list[Recorded]:
        """What was kept, in the order of the log, up to the execution's last event. Nothing can be added after it."""
        while self._facts:
            self._look(self._facts.popleft())
        for machine in self._machines.values():
            if machine.forgot:
                self._keep(machine.first, *machine.pulls)
        kept = [self._kept[sequence] for sequence in sorted(self._kept) if sequence <= self._last]
        return sorted([*kept, *self._cleared], key=lambda recorded: recorded.sequence)

    def _look_to(self, sequence: int) -> None:
        while self._facts and self._facts[0].sequence <= sequence:
            self._look(self._facts.popleft())

    def _look(self, recorded: Recorded) -> None:
        event = recorded.event
        if parent_of(event) in self._family:
            self._family.add(event.execution)
        if _authorised(event) and (event.writer == SCHEDULER or self._fresh(event)):
            self._sort(recorded, event)
        if event.execution in self._family:
            self._own(recorded)
        elif isinstance(event.data, c.ExecutionCleared) and event.execution in self._children:
            self._cleared.append(recorded)

    def _sort(self, recorded: Recorded, event: Event) -> None:
        match event.data:
            case c.LeaderElected():
                self._elected = recorded
                self._keep(recorded)
            case c.MachineConnected():
                self._connected(recorded, event.data)
            case c.ImagePulled(image=image):
                self._pulled(recorded, image)
            case c.FunctionLoaded() | c.FunctionUnloaded():
                self._told(recorded)
            case c.AttemptFinished() | c.AttemptFailed() | c.AttemptStopped():
                self._answered(recorded)
            case c.AttemptAccepted():
                self._accepted(recorded)
            case c.AttemptSuperseded(machine=name):
                self._superseded(recorded, name)
            case c.StepScheduled():
                self._scheduled(recorded, event.data)
            case c.StepSucceeded(cache_key=key) if key:
                self._cached(recorded, event.data)
            case _ if event.kind.startswith("machine."):
                self._said(recorded)

    # ---- the execution

    def _own(self, recorded: Recorded) -> None:
        data = recorded.event.data
        if self._wanted is None:
            if not isinstance(data, c.ExecutionQueued):
                return
            self._wanted = frozenset(_images(data.workflow))
            self._calls = calls(data.workflow)
            self._begin()
        if isinstance(data, c.StepStarted) and data.child is not None:
            self._children.add(data.child)
        self._last = recorded.sequence
        self._keep(recorded)

    def _begin(self) -> None:
        """The execution is queued: what stands now is what its first decisions rest on."""
        if self._elected is not None:
            self._keep(self._elected)
        for machine in self._machines.values():
            machine.prune()
            machine.pulls = list(machine.images.values())
            early = [pull for image, pull in machine.images.items() if image in (self._wanted or ())]
            early += [machine.draining] if machine.draining is not None else []
            if any(recorded.sequence < machine.trail[0].sequence for recorded in early):
                self._keep(machine.first)
            self._keep(*early, *machine.trail, *machine.leaving)
            self._keep(*(machine.loads.all() if self._calls else ()))
            for attempt in machine.held.values():
                self._keep(*attempt.told)

    def _keep(self, *events: Recorded) -> None:
        if self._wanted is not None:
            self._kept |= {recorded.sequence: recorded for recorded in events}

    # ---- machines

    def _fresh(self, event: Event) -> bool:
        """Whether it counts: as ``muster.model.engine.evolve`` has it, an agent's event is counted once."""
        if isinstance(event.data, c.MachineConnected):
            return True
        machine = self._machines.get(event.writer)
        if machine is None or event.n is None or event.n <= machine.n:
            return False
        machine.n = event.n
        return True

    def _connected(self, recorded: Recorded, data: c.MachineConnected) -> None:
        name = recorded.event.writer
        machine = self._machines.setdefault(name, _Machine(first=recorded))
        machine.session, machine.n = recorded.sequence, max(machine.n, recorded.event.n or 0)
        machine.leaving = []
        machine.loads.connected(data)
        machine.trail.append(recorded)
        listed = set(data.attempts)
        machine.held = {
            ref: attempt for ref, attempt in machine.held.items() if ref in listed or not attempt.accepted
        }
        if self._wanted is None:
            machine.prune()
        self._keep(recorded)

    def _said(self, recorded: Recorded) -> None:
        """A goodbye, a verdict, or what a newer release may say about a machine."""
        event = recorded.event
        name = event.machine if event.writer == SCHEDULER else event.writer
        machine = self._machines.get(name or "")
        if machine is not None:
            machine.trail.append(recorded)
            if isinstance(event.data, c.MachineDraining):
                machine.draining = recorded
            self._keep(recorded)

    def _pulled(self, recorded: Recorded, image: str) -> None:
        machine = self._machines[recorded.event.writer]
        if self._wanted is not None:
            machine.pulls.append(recorded)
            if image in self._wanted and image not in machine.images:
                self._keep(recorded)
        machine.images.pop(image, None)
        machine.images[image] = recorded
        if len(machine.images) > IMAGES_KEPT:
            forgotten = next(iter(machine.images))
            del machine.images[forgotten]
            machine.forgot = machine.forgot or forgotten in (self._wanted or ())

    def _told(self, recorded: Recorded) -> None:
        self._machines[recorded.event.writer].loads.tell(recorded)
        if self._calls:
            self._keep(recorded)

    # ---- the result cache

    def _cached(self, recorded: Recorded, data: c.StepSucceeded) -> None:
        """What was found was made before; what was not used for longest is let go, as the scheduler does."""
        before = self._made.pop(data.cache_key, None)
        found = before if data.reason == CACHED else recorded
        self._made_bytes -= _size(before)
        if found is None:
            return
        self._made[data.cache_key] = found
        self._made_bytes += _size(found)
        if recorded.event.execution in self._family:
            self._keep(found)
        policy = self._policy
        while len(self._made) > policy.cache_kept or self._made_bytes > policy.cache_bytes:
            self._made_bytes -= _size(self._made.pop(next(iter(self._made))))

    @property
    def _policy(self) -> Policy:
        data = self._elected.event.data if self._elected is not None else None
        return (data.policy if isinstance(data, c.LeaderElected) else None) or Policy()

    # ---- attempts of other executions

    def _scheduled(self, recorded: Recorded, data: c.StepScheduled) -> None:
        machine, ref = self._machines.get(data.machine), self._ref(recorded.event)
        if machine is not None and ref is not None:
            machine.held[ref] = _Attempt(data.session, [recorded])
            self._keep(recorded)

    def _accepted(self, recorded: Recorded) -> None:
        if attempt := self._held(recorded):
            attempt.accepted = True
            self._tell(attempt, recorded)

    def _superseded(self, recorded: Recorded, machine: str) -> None:
        if attempt := self._held(recorded, machine):
            self._tell(attempt, recorded)

    def _answered(self, recorded: Recorded) -> None:
        if attempt := self._held(recorded):
            self._tell(attempt, recorded)
            machine, data = self._machines[recorded.event.writer], recorded.event.data
            ref = self._ref(recorded.event)
            assert ref is not None
            del machine.held[ref]
            if isinstance(data, c.AttemptStopped) and data.reason == AGENT_ENDS:
                machine.leaving = machine.leaving or (
                    attempt.told if attempt.ordered_in == machine.session else []
                )

    def _tell(self, attempt: _Attempt, recorded: Recorded) -> None:
        attempt.told.append(recorded)
        self._keep(recorded)

    def _held(self, recorded: Recorded, machine: str = "") -> _Attempt | None:
        known = self._machines.get(machine or recorded.event.writer)
        ref = self._ref(recorded.event)
        return known.held.get(ref) if known is not None and ref is not None else None

    def _ref(self, event: Event) -> AttemptRef | None:
        """The attempt it is about, where that is one of another execution."""
        if event.execution in self._family or event.step is None or event.attempt is None:
            return None
        return AttemptRef(event.execution, event.step, event.attempt)
