"""The machines as the log and their beats tell of them: a small fold for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from muster.model import catalogue
from muster.model.catalogue import AttemptRef, MachineFacts
from muster.model.commands import Heartbeat
from muster.model.envelope import Recorded


class Machine(msgspec.Struct, kw_only=True):
    """One machine. ``status``: online, offline, disconnected, draining, drained or removed."""

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


def fold(records: Iterable[Recorded]) -> dict[str, Machine]:
    """The machines after these ``machine.*`` events; one that was removed is left out until it connects again."""
    machines: dict[str, Machine] = {}
    for recorded in records:
        _apply(machines, recorded)
    return machines


def _apply(machines: dict[str, Machine], recorded: Recorded) -> None:
    event = recorded.event
    data = event.data
    if isinstance(data, catalogue.MachineConnected):
        known = machines.get(event.writer)
        machine = _connected(event.writer, data, recorded.sequence)
        if known is not None and known.status in {"draining", "drained"}:
            machine.status = known.status
        machines[event.writer] = machine
        machine.since = event.time
        return
    name = event.machine or event.writer
    known = machines.get(name)
    if known is None:
        return
    match data:
        case catalogue.MachineDisconnected():
            known.status = "disconnected"
        # A verdict is about one connection: it says nothing of a later one (docs/decisions/0003).
        case catalogue.MachineOffline(evidence=evidence) if evidence.session == known.session:
            known.status = "offline"
        case catalogue.MachineOnline() if known.status == "offline":
            known.status = "online"
        case catalogue.MachineDraining():
            known.status = "draining"
        case catalogue.MachineDrained():
            known.status = "drained"
        case catalogue.MachineRemoved():
            del machines[name]
        case _:
            return
    known.since = event.time


def _connected(name: str, data: catalogue.MachineConnected, sequence: int) -> Machine:
    facts: MachineFacts = data.facts
    return Machine(
        name=name,
        slots=facts.slots,
        running=data.attempts,
        labels=facts.labels,
        runtime=facts.runtime,
        engine=f"{facts.engine} {facts.engine_version}".strip(),
        os=facts.os,
        arch=facts.arch,
        cpus=facts.cpus,
        memory=facts.memory,
        gpus=len(facts.gpus),
        interval_s=data.interval_s,
        session=sequence,
    )
