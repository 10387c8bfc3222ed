"""The envelope: one CloudEvents 1.0 structured JSON object per event, on the wire and in a ``.jsonl`` fixture
alike.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

An event that was read keeps its line, so that fields and kinds this release does not know survive a round
trip byte for byte. Extension attributes: ``execution``, ``step``, ``attempt``, ``machine``, ``n`` (the
agent's outbox number), ``cause`` (an event id, a command id or ``timer:<what>:<due_at>``) and ``basis``,
which is a string because an extension may not be an object: ``<sequence>/<now>/<round>``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from muster.model.log.catalogue import CATALOGUE, Body, Unknown
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.log.upcasters import upcast

TYPE_PREFIX: Final = "io.muster."
SOURCE_SCHEDULER: Final = "/muster/scheduler"
SOURCE_MACHINE: Final = "/muster/machines/"


class Basis(msgspec.Struct, frozen=True):
    """What a decision rests on: the last sequence folded, the time that was now, the number of the round."""

    sequence: int
    now: datetime
    round: int

    def __str__(self) -> str:
        return f"{self.sequence}/{self.now.isoformat()}/{self.round}"

    @classmethod
    def parse(cls, text: str) -> Basis:
        """The basis that ``str`` wrote. Raises ValueError on anything else."""
        sequence, now, round_ = text.split("/")
        return cls(int(sequence), datetime.fromisoformat(now), int(round_))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable fact or decision."""

    id: str
    writer: str
    time: datetime
    data: Body | Unknown
    execution: str = NO_EXECUTION
    step: str | None = None
    attempt: int | None = None
    machine: str | None = None
    n: int | None = None
    cause: str | None = None
    basis: str | None = None
    line: bytes | None = None

    @property
    def kind(self) -> str:
        """``<noun>.<verb>``, as in the catalogue."""
        return self.data.kind


class Recorded(msgspec.Struct, frozen=True):
    """An event at its place in the log."""

    sequence: int
    event: Event


class _Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON object. Defaults are left out, so what CloudEvents requires has none."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime
    datacontenttype: str
    data: Any
    execution: str | None = None
    step: str | None = None
    attempt: int | None = None
    machine: str | None = None
    n: int | None = None
    cause: str | None = None
    basis: str | None = None


class _WireRead(_Wire, frozen=True, kw_only=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    datacontenttype: str = "application/json"


_encoder = msgspec.json.Encoder()
_wire = msgspec.json.Decoder(_WireRead)
_bodies: Final = {kind: msgspec.json.Decoder(body) for kind, body in CATALOGUE.items()}
_types: Final = {kind: f"{TYPE_PREFIX}{kind}.v{body.version}" for kind, body in CATALOGUE.items()}
_kinds: Final = {type_: kind for kind, type_ in _types.items()}


def encode(event: Event) -> bytes:
    """The event's line, without a line end. An event that was read gives back exactly what was read."""
    if event.line is not None:
        return event.line
    data = event.data
    return _encoder.encode(
        _Wire(
            specversion="1.0",
            id=event.id,
            source=SOURCE_SCHEDULER if event.writer == SCHEDULER else SOURCE_MACHINE + event.writer,
            type=f"{TYPE_PREFIX}{data.kind}.v{data.version}",
            subject=event.step or event.machine,
            time=event.time,
            datacontenttype="application/json",
            data=data.raw if isinstance(data, Unknown) else data,
            execution=None if event.execution == NO_EXECUTION else event.execution,
            step=event.step,
            attempt=event.attempt,
            machine=event.machine,
            n=event.n,
            cause=event.cause,
            basis=event.basis,
        )
    )


def decode(line: bytes) -> Event:
    """The event of one line. Raises msgspec.DecodeError or ValueError with what is wrong with it."""
    wire = _wire.decode(line)
    if wire.time.tzinfo is None:
        raise ValueError(f"the time of {wire.id} has no time zone")
    return Event(
        id=wire.id,
        writer=wire.source.rpartition("/")[2],
        time=wire.time,
        data=_body(wire.type, wire.data),
        execution=wire.execution or NO_EXECUTION,
        step=wire.step,
        attempt=wire.attempt,
        machine=wire.machine,
        n=wire.n,
        cause=wire.cause,
        basis=wire.basis,
        line=line,
    )


def _body(type_: str, raw: msgspec.Raw) -> Body | Unknown:
    kind = _kinds.get(type_)
    if kind is not None:
        return _bodies[kind].decode(raw)
    name, _, version = type_.removeprefix(TYPE_PREFIX).rpartition(".v")
    if not name or not version.isdecimal():
        raise ValueError(f"{type_!r} is not the type of a Muster event (io.muster.<noun>.<verb>.v<version>)")
    known = CATALOGUE.get(name)
    if known is None or int(version) > known.version:
        return Unknown(name, int(version), msgspec.Raw(bytes(raw)))
    return msgspec.convert(upcast(name, int(version), known.version, msgspec.json.decode(raw)), known)
