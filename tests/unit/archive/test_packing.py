"""An object of the archive: a gzip file of fixture lines, the same whenever it is made of the same events."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.archive import packing
from muster.archive.packing import Packer, Span, pack, unpack
from muster.model.errors import ArchiveDamagedError
from muster.model.log.envelope import encode
from muster.model.proof import fixture
from tests.fixtures.histories import history

EVENTS = history(5, executions=3).events


def test_what_was_packed_comes_out_again():
    """Every event comes back at its place, its line byte for byte."""
    data, moved = pack(EVENTS)
    found = list(unpack(data, "x1"))
    assert [(each.sequence, encode(each.event)) for each in found] == [
        (each.sequence, encode(each.event)) for each in EVENTS
    ]
    assert (moved.first, moved.last, moved.events, moved.bytes) == (1, len(EVENTS), len(EVENTS), len(data))


def test_an_object_is_a_fixture(tmp_path: Path):
    """Any gunzip gives the lines of a fixture."""
    data, _ = pack(EVENTS)
    path = tmp_path / "x1.jsonl.gz"
    path.write_bytes(data)
    text = subprocess.run(["gzip", "-dc", str(path)], capture_output=True, check=True).stdout
    assert text == gzip.decompress(data) == b"".join(fixture.line(each) + b"\n" for each in EVENTS)
    assert fixture.parse(text.splitlines(), "x1") == EVENTS


@given(st.lists(st.integers(1, 40), max_size=20))
def test_the_batches_leave_no_trace(sizes: list[int]):
    """However the events come in, the object is the same to the last bit."""
    packer, at = Packer(), 0
    for size in [*sizes, len(EVENTS)]:
        packer.add(EVENTS[at : at + size])
        at += size
    assert packer.object() == pack(EVENTS)


def test_the_head_says_what_it_holds():
    """The first bytes tell first, last and number of events; of a foreign file they tell nothing."""
    data, moved = pack(EVENTS[3:9])
    assert packing.span(data[: packing.HEAD_BYTES]) == Span(4, 9, 6)
    assert moved.first == 4
    assert packing.span(gzip.compress(b"x")) is None
    assert packing.span(b"") is None


def test_an_object_compressed_anew_is_read():
    """What somebody unpacked, looked at and packed again with gzip is still read, and its beginning found."""
    data, _ = pack(EVENTS[3:9])
    again = gzip.compress(gzip.decompress(data))
    assert packing.first_of(again, "x1") == packing.first_of(data, "x1") == 4
    assert list(unpack(again, "x1")) == EVENTS[3:9]


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "end": lambda data: data[:-20],
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "foreign": lambda data: b"no gzip at all",
    "bit": lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:],
    "line": lambda data: gzip.compress(gzip.decompress(data)[:-30]),
    "no-event": lambda data: gzip.compress(b'{"no":"event","sequence":3}\n'),
    "no-sequence": lambda data: gzip.compress(b'{"no":"sequence"}\n'),
    "rubbish": lambda data: gzip.compress(b"rubbish\n"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_object_is_named(how: str):
    """Whatever happened to an object, the error names the execution and never passes for a shorter history."""
    data, _ = pack(EVENTS)
    with pytest.raises(ArchiveDamagedError, match="x1"):
        list(unpack(SPOILT[how](data), "x1"))


def test_unpacking_takes_little_memory_at_once():
    """However well an object was compressed, it is unpacked in slices."""
    sizes: list[int] = []
    data = gzip.compress(b" " * 50_000_000)
    with pytest.raises(ArchiveDamagedError):
        sizes.extend(map(len, packing._unpacked(data[:-8], "x1")))
    assert max(sizes) <= packing.SLICE_BYTES


def test_an_unreadable_event_keeps_its_place():
    """What was rubbish in the stream is an unreadable event in the archive too, with the same line."""
    from muster.broker.codec import decode_event
    from muster.model.log.envelope import Recorded

    rubbish = decode_event(
        b"rubbish", sequence=7, subject="muster.events.m1.x1.a.b", time=EVENTS[0].event.time
    )
    [found] = unpack(pack([Recorded(7, rubbish)])[0], "x1")
    assert encode(found.event) == encode(rubbish)
    assert (found.event.kind, found.event.execution, found.event.writer) == ("unreadable.event", "x1", "m1")


def test_zlib_is_what_the_header_says():
    """The object has a checksum that zlib itself verifies."""
    data, _ = pack(EVENTS)
    assert zlib.decompress(data, zlib.MAX_WBITS | 16).count(b"\n") == len(EVENTS)
