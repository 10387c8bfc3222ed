"""Machines as the log knows them.

Facts about a machine are written by its agent, verdicts by the scheduler. Folding must give the same whether
a verdict is applied before or after the facts around it (see ``muster.model.engine.state``), so a verdict never
overwrites a fact: it names the connection (``session``) it is about, and what a machine *is* follows from
both.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from muster.model.log.catalogue import AttemptFailed, AttemptRef, MachineFacts, StepScheduled
from muster.model.log.commands import AttemptResources
from muster.model.plan.results import Result

FUNCTIONS_KEPT: Final = 1024  # containers per machine; only a preference in placement rests on it


class Attempt(msgspec.Struct, kw_only=True):
    """One try of one step on one machine. It holds its resources until it has ended or is known to be gone."""

    ref: AttemptRef
    machine: str
    resources: AttemptResources
    ordered_at: datetime
    ordered_in: int
    labels: dict[str, str] = {}
    function: str = ""
    # facts
    accepted: bool = False
    started_id: str | None = None
    ended: str | None = None
    ended_id: str | None = None
    outputs: dict[str, object] = {}
    result: Result | None = None
    failure: AttemptFailed | None = None
    lost_id: str | None = None
    # decisions
    superseded: bool = False
    superseded_id: str | None = None


def ordered(ref: AttemptRef, data: StepScheduled, at: datetime) -> Attempt:
    """The attempt that a ``step.scheduled`` orders."""
    return Attempt(
        ref=ref,
        machine=data.machine,
        resources=AttemptResources(slots=data.slots, cpus=data.cpus, memory=data.memory, gpus=data.gpus),
        ordered_at=at,
        ordered_in=data.session,
        labels=data.labels,
        function=data.function,
    )


def called(image: str, function: str, execution: str = "") -> str:
    """What stands for a function of an image, for one execution where it serves no other; empty where nothing can."""
    if not image or not function or " " in image:  # no image has a space, which parts the words here
        return ""
    return f"{image} {function} {execution}".rstrip()


class Loaded(msgspec.Struct, frozen=True):
    """A container in which a function is loaded, and how many calls it takes at once."""

    function: str
    image: str
    concurrency: int
    execution: str = ""

    @property
    def called(self) -> str:
        """What stands for it where it is looked for."""
        return called(self.image, self.function, self.execution)


class Machine(msgspec.Struct, kw_only=True):
    """A machine that has connected at least once.

    ``offline_at`` is on the scheduler's clock, ``gone_at`` (when its agent said goodbye) on the machine's own.
    ``strays`` are attempts its agent answers for that nobody here knows of: they are stopped. ``leaving``: its agent
    stops what it runs, and will say goodbye. ``keeps``: its agent keeps functions loaded; ``loaded`` are those, by
    container, ``warm`` how many calls they take by what is called, and ``calling`` the attempts held that call it.
    """

    name: str
    session: int = 0
    facts: MachineFacts = MachineFacts()
    interval_s: float = 3.0
    gone_id: str | None = None
    gone_at: datetime | None = None
    n: int = 0
    offline_session: int = 0
    offline_id: str | None = None
    offline_at: datetime | None = None
    strays: dict[AttemptRef, None] = {}
    draining: bool = False
    leaving: bool = False
    held: dict[AttemptRef, Attempt] = {}
    images: dict[str, None] = {}
    keeps: bool = False
    loaded: dict[str, Loaded] = {}
    warm: dict[str, int] = {}
    calling: dict[str, int] = {}
    slots_used: int = 0
    cpus_used: float = 0.0
    memory_used: int = 0
    gpus_used: int = 0

    @property
    def status(self) -> str:
        """``connected``, ``offline`` or ``disconnected``."""
        if self.gone_id is not None:
            return "disconnected"
        return "offline" if self.offline_session == self.session else "connected"

    @property
    def online(self) -> bool:
        """Whether attempts there can be expected to go on."""
        return self.gone_id is None and self.session != self.offline_session

    @property
    def open(self) -> bool:
        """Whether new attempts may be given to it."""
        return self.online and not self.draining and not self.leaving

    def hold(self, attempt: Attempt) -> None:
        """Take the attempt's resources."""
        self.held[attempt.ref] = attempt
        self._use(attempt.resources, 1)
        _count(self.calling, attempt.function, 1)

    def release(self, ref: AttemptRef) -> bool:
        """Give back what the attempt held; whether it held anything."""
        attempt = self.held.pop(ref, None)
        if attempt is None:
            return False
        self._use(attempt.resources, -1)
        _count(self.calling, attempt.function, -1)
        if not self.held:
            self.cpus_used = 0.0
        return True

    def load(self, container: str, loaded: Loaded) -> None:
        """A function is loaded in this container, and nothing else any more."""
        self.unload(container)
        self.loaded[container] = loaded
        _count(self.warm, loaded.called, loaded.concurrency)
        if len(self.loaded) > FUNCTIONS_KEPT:
            self.unload(next(iter(self.loaded)))

    def unload(self, container: str) -> None:
        """The container is gone, if it was there."""
        if (loaded := self.loaded.pop(container, None)) is not None:
            _count(self.warm, loaded.called, -loaded.concurrency)

    def idle(self, function: str) -> int:
        """How many calls of this function more could begin here without its being loaded once more."""
        return self.warm.get(function, 0) - self.calling.get(function, 0)

    def _use(self, resources: AttemptResources, sign: int) -> None:
        self.slots_used += sign * resources.slots
        self.cpus_used += sign * resources.cpus
        self.memory_used += sign * resources.memory
        self.gpus_used += sign * resources.gpus

    def could_hold(self, resources: AttemptResources) -> bool:
        """Whether it would fit if nothing else ran here."""
        facts = self.facts
        return (
            resources.slots <= facts.slots
            and resources.cpus <= facts.cpus
            and resources.memory <= facts.memory
            and resources.gpus <= len(facts.gpus)
        )

    def fits(self, resources: AttemptResources) -> bool:
        """Whether it fits beside what is held."""
        facts = self.facts
        return (
            self.slots_used + resources.slots <= facts.slots
            and self.cpus_used + resources.cpus <= facts.cpus + 1e-9
            and self.memory_used + resources.memory <= facts.memory
            and self.gpus_used + resources.gpus <= len(facts.gpus)
        )


def _count(counts: dict[str, int], name: str, by: int) -> None:
    """Count on; what is counted to nothing is let go."""
    if name and (count := counts.pop(name, 0) + by):
        counts[name] = count
