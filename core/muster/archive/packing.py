"""An object of the archive: the fixture lines of one execution, compressed.

It is a gzip file like any other (``zcat`` shows the lines, and what it shows is a fixture), made the same to the last
bit whenever it is made from the same events with the same zlib: no time and no name of a file are in it. The comment of
its header says what it holds, so that a listing need not unpack anything: ``muster <first> <last> <events>``.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from muster.model.errors import ArchiveDamagedError, FixtureInvalidError
from muster.model.log.envelope import Recorded, decode
from muster.model.log.retention import Moved
from muster.model.proof import fixture

HEAD_BYTES: Final = 128
"""Enough of an object to know what it holds."""
SLICE_BYTES: Final = 1 << 16
"""What is unpacked at once: a bound on memory however well an object was compressed."""
LEVEL: Final = 6

_HEADER: Final = (
    b"\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\xff"  # deflate, with a comment; time 0, unknown system
)
_COMMENT: Final = re.compile(rb"muster (\d+) (\d+) (\d+)\x00")
_NUMBERED: Final = b',"sequence":'


class Span(msgspec.Struct, frozen=True, gc=False):
    """What an object says of itself."""

    first: int
    last: int
    events: int


class Packer:
    """Takes an execution's events in order and makes its object."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._parts: list[bytes] = []
        self._crc = 0
        self._length = 0
        self._first = self._last = self._events = 0
        self.size = 0

    def add(self, records: Sequence[Recorded]) -> None:
        """The next events."""
        for recorded in records:
            text = fixture.line(recorded) + b"\n"
            self._crc = zlib.crc32(text, self._crc)
            self._length += len(text)
            self._keep(self._deflate.compress(text))
        if records:
            self._first = self._first or records[0].sequence
            self._last = records[-1].sequence
            self._events += len(records)

    def _keep(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self.size += len(part)

    def object(self) -> tuple[bytes, Moved]:
        """The object, and what the manifest says of it. Nothing can be added afterwards."""
        self._keep(self._deflate.flush())
        comment = b"muster %d %d %d\x00" % (self._first, self._last, self._events)
        trailer = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        data = b"".join((_HEADER, comment, *self._parts, trailer))
        return data, Moved(
            sha256=sha256(data).hexdigest(),
            bytes=len(data),
            events=self._events,
            first=self._first,
            last=self._last,
        )


def pack(records: Sequence[Recorded]) -> tuple[bytes, Moved]:
    """The object of these events."""
    packer = Packer()
    packer.add(records)
    return packer.object()


def span(head: bytes) -> Span | None:
    """What the first bytes of an object say of it; None where they are none of ours."""
    if head[:3] != _HEADER[:3]:
        return None
    found = _COMMENT.match(head, len(_HEADER))
    return Span(*map(int, found.groups())) if found else None


def first_of(data: bytes, name: str) -> int:
    """The sequence of the first event, also of an object that another program compressed anew; 0 for rubbish.

    A listing must not fail because one object is damaged: whoever opens that one is told.
    """
    known = span(data[:HEAD_BYTES])
    if known is not None:
        return known.first
    try:
        return next(lines(data, name), (0, b""))[0]
    except ArchiveDamagedError:
        return 0


def lines(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """``(sequence, line)`` of each event, the line as it was on the wire. Raises ArchiveDamagedError."""
    for part in texts(data, name):
        for text in part:
            yield numbered(text, name)


def texts(data: bytes, name: str) -> Iterator[list[bytes]]:
    """The lines as they stand in the object, some at a time. Raises ArchiveDamagedError."""
    rest = b""
    for part in _unpacked(data, name):
        *whole, rest = (rest + part).split(b"\n")
        yield [text for text in whole if text]
    if rest:
        raise ArchiveDamagedError(
            f"The object of {name} in the archive ends in the middle of a line.", name=name
        )


def _unpacked(data: bytes, name: str) -> Iterator[bytes]:
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    waiting = data
    while not inflate.eof:
        try:
            part = inflate.decompress(waiting, SLICE_BYTES)
        except zlib.error as error:
            raise ArchiveDamagedError(
                f"The object of {name} cannot be unpacked ({error}).", name=name
            ) from error
        waiting = inflate.unconsumed_tail
        if part:
            yield part
        elif not waiting and not inflate.eof:
            raise ArchiveDamagedError(f"The object of {name} is cut off.", name=name)


def numbered(text: bytes, name: str) -> tuple[int, bytes]:
    """The place and the line on the wire of one line of an object. Raises ArchiveDamagedError."""
    line, found, digits = text.rpartition(_NUMBERED)
    if found and digits[:-1].isdigit() and digits[-1] == 125:  # a closing brace
        return int(digits[:-1]), line + b"}"
    [recorded] = _parsed([text], name)
    return recorded.sequence, recorded.event.line or b""


def _parsed(texts: list[bytes], name: str) -> list[Recorded]:
    try:
        return fixture.parse(texts, name)
    except FixtureInvalidError as error:
        raise ArchiveDamagedError(f"The object of {name}: {error.message}", name=name) from error


def recorded(sequence: int, line: bytes, name: str) -> Recorded:
    """The event of one line. Raises ArchiveDamagedError."""
    try:
        return Recorded(sequence, decode(line))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ArchiveDamagedError(
            f"The object of {name} holds a line at {sequence} that is no event ({error}).", name=name
        ) from error


def unpack(data: bytes, name: str) -> Iterator[Recorded]:
    """Every event of an object, in order. Raises ArchiveDamagedError naming the execution."""
    for sequence, line in lines(data, name):
        yield recorded(sequence, line, name)
