"""Fixtures: events written down one a line, each with its place in the log.

A line is the event's line on the wire with one more attribute at its end, ``"sequence":N``. Taking that attribute away
gives the line on the wire again, byte for byte, so an event that went through a fixture is the event of the log. Of
lines that another program wrote anew (``jq``, an editor), with spaces or in another order, the meaning is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import msgspec

from muster.model.errors import FixtureInvalidError
from muster.model.log.envelope import Event, Recorded, decode, encode

LINE_BYTES_MAX: Final = 16 << 20  # twice what one message of the broker may hold; what is longer is no event

_NUMBERED: Final = re.compile(rb',"sequence":(0|[1-9][0-9]*)\}\Z')
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class _Place(msgspec.Struct, frozen=True):
    sequence: Any = None


_place: Final = msgspec.json.Decoder(_Place)


def line(recorded: Recorded) -> bytes:
    """The event's line on the wire with its sequence as the last attribute, without a line end."""
    return encode(recorded.event).rstrip()[:-1] + b',"sequence":%d}' % recorded.sequence


def parse(lines: Iterable[bytes], name: str) -> list[Recorded]:
    """The events of a fixture; ``name`` is what errors call it. Lines may end in line ends; empty ones are skipped.

    Raises FixtureInvalidError naming the file, the line, what is wrong with it and what to do.
    """
    found: list[Recorded] = []
    for number, raw in enumerate(lines, 1):
        text = (raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw).strip()
        if text:
            recorded = _recorded(text, name, number)
            if found and recorded.sequence <= found[-1].sequence:
                _refuse(
                    name,
                    number,
                    f"the sequence {recorded.sequence} does not rise: {found[-1].sequence} stands before it",
                    "Keep the lines in the order of the log, and each event once: sort by sequence, or record again.",
                )
            found.append(recorded)
    if not found:
        raise FixtureInvalidError(f"{name}: the fixture holds no event.")
    return found


def _recorded(text: bytes, name: str, number: int) -> Recorded:
    if len(text) > LINE_BYTES_MAX:
        _refuse(name, number, f"a line of {len(text)} bytes is no event; one has at most {LINE_BYTES_MAX}")
    try:
        sequence = _place.decode(text).sequence
    except msgspec.ValidationError:
        _refuse(name, number, "this is JSON, but no object")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if "truncated" in str(error):
            _refuse(
                name,
                number,
                "the line ends before the event does: it is cut off, or the event goes on in the next line",
                "Record it again; what writes a fixture anew must keep each event on one line, as jq -c does.",
            )
        _refuse(name, number, f"this is no JSON ({error})")
    except RecursionError:
        _refuse(name, number, "the JSON is nested too deeply for an event")
    if sequence is None:
        _refuse(
            name,
            number,
            "the event has no sequence",
            "Record with --json (lines written with --raw do not know their place): "
            "muster events EXECUTION --json > FILE.",
        )
    if type(sequence) is not int or sequence < 1:
        _refuse(name, number, f"the sequence is {str(sequence)[:40]!r} and must be a whole number from 1 on")
    return Recorded(sequence, _event(text, name, number))


def _event(text: bytes, name: str, number: int) -> Event:
    try:
        return decode(_wire_line(text))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        _refuse(name, number, f"this is no event of Muster ({error})")


def _wire_line(text: bytes) -> bytes:
    """The line without its sequence."""
    if found := _NUMBERED.search(text):
        return text[: found.start()] + b"}"
    # Not a line of ours any more: the attribute stands elsewhere, or has spaces around it.
    attributes: dict[str, msgspec.Raw] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    del attributes["sequence"]
    return msgspec.json.encode(attributes)


def _refuse(name: str, number: int, what: str, remedy: str | None = None) -> NoReturn:
    raise FixtureInvalidError(f"{name}, line {number}: {what}.", remedy=remedy, file=name, line=number)
