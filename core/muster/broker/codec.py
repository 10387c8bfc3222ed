"""Commands, beats and log lines as JSON, and events as the log gives them back."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from muster.model.errors import CommandInvalidError
from muster.model.log import envelope, subjects
from muster.model.log.catalogue import Unknown
from muster.model.log.commands import VERBS, Command, Heartbeat, LogLine
from muster.model.log.envelope import Event
from muster.model.log.names import NO_EXECUTION

_encoder: Final = msgspec.json.Encoder()
_commands: Final = {verb: msgspec.json.Decoder(kind) for verb, kind in VERBS.items()}
_heartbeat: Final = msgspec.json.Decoder(Heartbeat)
_lines: Final = msgspec.json.Decoder(list[LogLine])


def encode(value: Command | Heartbeat | list[LogLine]) -> bytes:
    """``value`` as JSON."""
    return _encoder.encode(value)


def decode_command(verb: str, payload: bytes) -> Command:
    """The command of ``payload``. Raises CommandInvalidError on an unknown verb or a body that does not fit."""
    decoder = _commands.get(verb)
    if decoder is None:
        raise CommandInvalidError(f"there is no command {verb!r}", verb=verb)
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandInvalidError(f"the {verb} command is malformed: {error}", verb=verb) from error


def decode_heartbeat(payload: bytes) -> Heartbeat:
    """The beat of ``payload``. Raises msgspec.DecodeError."""
    return _heartbeat.decode(payload)


def decode_lines(payload: bytes) -> list[LogLine]:
    """The lines of one message. Raises msgspec.DecodeError."""
    return _lines.decode(payload)


def decode_event(line: bytes, *, sequence: int, subject: str, time: datetime) -> Event:
    """The event of one stored line. Rubbish that somebody put into the stream becomes an ``unreadable.event``.

    One bad line must not stop every reader of the log; ``time`` is when the broker stored it. So does an event under
    a subject that is not its own: a subject is what the broker lets a machine publish on, and what a line says of its
    writer is worth no more than that.
    """
    try:
        event = envelope.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        event = None
    if event is not None and subjects.event(event) == subject:
        return event
    tokens = [*subject.split("."), "", "", ""]
    text = line.decode("utf-8", "replace")
    return Event(
        id=f"unreadable:{sequence}",
        writer=tokens[2],
        execution=tokens[3] or NO_EXECUTION,
        time=time,
        data=Unknown("unreadable.event", 0, msgspec.Raw(_encoder.encode(text))),
    )
