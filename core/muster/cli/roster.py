"""The machines as the log tells of them, which is the scheduler's own fold, and what their beats add to it.

``machine.*`` events are enough to know who is there, with ``function.*`` what is loaded there; who holds what needs the
whole log (``muster.cli.standing``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from muster.model.engine import cluster
from muster.model.engine.evolve import evolve
from muster.model.engine.state import State
from muster.model.log import catalogue, subjects
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Heartbeat
from muster.model.log.envelope import Recorded
from muster.model.log.names import NO_EXECUTION

SUBJECTS: Final = (
    subjects.events(execution=NO_EXECUTION, noun="machine"),
    subjects.events(noun="function", verb="loaded"),
    subjects.events(noun="function", verb="unloaded"),
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A container in which a function is loaded; ``concurrency`` is how many calls it takes at once.

    ``execution`` is the only one it serves, where that is so.
    """

    container: str
    function: str
    image: str
    concurrency: int
    execution: str


def kept(machine: cluster.Machine) -> list[Kept]:
    """What the machine has loaded, by function."""
    found = [
        Kept(
            container=container,
            function=loaded.function,
            image=loaded.image,
            concurrency=loaded.concurrency,
            execution=loaded.execution,
        )
        for container, loaded in machine.loaded.items()
    ]
    return sorted(found, key=lambda one: (one.function, one.image, one.container))


class Machine(msgspec.Struct, kw_only=True):
    """One machine. ``status``: online, offline, disconnected, draining or drained."""

    name: str
    status: str = "online"
    since: datetime | None = None
    slots: int = 0
    running: list[AttemptRef] = []
    labels: dict[str, str] = {}
    runtime: str = ""
    engine: str = ""
    os: str = ""
    arch: str = ""
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0
    functions: list[Kept] = []
    last_beat: datetime | None = None
    interval_s: float = 0.0
    session: int = 0
    outbox: int = 0

    def hear(self, beat: Heartbeat | None) -> None:
        """Take over what the newest beat says, if it is of the present connection."""
        if beat is not None and beat.session == self.session:
            self.last_beat, self.running, self.outbox = beat.time, beat.running, beat.outbox

    def silent_s(self, now: datetime) -> float | None:
        """Seconds since the last beat."""
        return None if self.last_beat is None else max(0.0, (now - self.last_beat).total_seconds())


class Roster:
    """The scheduler's fold, and since when each machine is what it is. One that was removed is left out until it
    connects again.
    """

    def __init__(self) -> None:
        self.state = State()
        self._since: dict[str, datetime] = {}
        self._said: dict[str, str] = {}  # what decides nothing and so is not in the scheduler's state

    def apply_all(self, records: Iterable[Recorded]) -> None:
        """Fold these events."""
        for recorded in records:
            self.apply(recorded)

    def apply(self, recorded: Recorded) -> None:
        """Fold one event."""
        event, data = recorded.event, recorded.event.data
        name = event.machine or event.writer
        before = self.status(name)
        evolve(self.state, event, recorded.sequence)
        match data:
            case catalogue.MachineDrained() if before is not None:
                self._said[name] = "drained"
            case catalogue.MachineRemoved() if before is not None:
                self._said[name] = "removed"
            case catalogue.MachineConnected() if before == "removed":
                del self._said[name]
        if isinstance(data, catalogue.MachineConnected) or self.status(name) != before:
            self._since[name] = event.time

    def status(self, name: str) -> str | None:
        """What the machine is, or None where nobody knows it."""
        machine = self.state.machines.get(name)
        said = self._said.get(name)
        if machine is None or said == "removed":
            return said
        if not machine.online:
            return machine.status
        return said or ("draining" if machine.draining else "online")

    def since(self, name: str) -> datetime | None:
        """Since when it is that."""
        return self._since.get(name)

    def known(self) -> list[cluster.Machine]:
        """The machines in the scheduler's own terms, by name."""
        machines = sorted(self.state.machines.items())
        return [machine for name, machine in machines if self._said.get(name) != "removed"]

    def machines(self) -> list[Machine]:
        """The machines by name."""
        return [self._machine(machine) for machine in self.known()]

    def _machine(self, machine: cluster.Machine) -> Machine:
        facts = machine.facts
        return Machine(
            name=machine.name,
            status=self.status(machine.name) or "",
            since=self.since(machine.name),
            slots=facts.slots,
            running=[*machine.held, *machine.strays],
            labels=facts.labels,
            runtime=facts.runtime,
            engine=f"{facts.engine} {facts.engine_version}".strip(),
            os=facts.os,
            arch=facts.arch,
            cpus=facts.cpus,
            memory=facts.memory,
            gpus=len(facts.gpus),
            functions=kept(machine),
            interval_s=machine.interval_s,
            session=machine.session,
        )
