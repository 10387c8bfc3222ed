"""Fixtures: what is written is what is read, and what is no fixture is said so."""

import json

import pytest

from muster.model.errors import FixtureInvalidError
from muster.model.log.envelope import Recorded, decode, encode
from muster.model.proof import fixture
from tests.fixtures.site import decision, elected

LINES = [encode(decision(name)) for name in ("a", "b", "c")]
RECORDED = [Recorded(place, decode(line)) for place, line in zip((3, 4, 17), LINES, strict=True)]
WRITTEN = [fixture.line(recorded) for recorded in RECORDED]


def test_a_fixture_gives_back_the_lines_of_the_wire():
    """What was written down is read as the same events at the same places, their lines byte for byte."""
    found = fixture.parse([line + b"\n" for line in WRITTEN], "run.jsonl")
    assert found == RECORDED
    assert [encode(recorded.event) for recorded in found] == LINES


def test_the_sequence_stands_at_the_end_of_the_line():
    """A line is the object of the wire with one more attribute."""
    assert WRITTEN[2] == LINES[2][:-1] + b',"sequence":17}'


def test_an_event_that_was_never_read_can_be_written_down():
    """An event made here has no line yet and gets one."""
    event = elected("one")
    [found] = fixture.parse([fixture.line(Recorded(1, event))], "f")
    assert (found.event.id, found.event.data) == (event.id, event.data)


def test_blank_lines_and_foreign_line_ends_are_passed_over():
    """An editor's line ends, a mark at the start and empty lines change nothing."""
    lines = [b"\xef\xbb\xbf" + WRITTEN[0] + b"\r\n", b"\n", b"  \r\n", WRITTEN[1] + b"\n", WRITTEN[2]]
    assert fixture.parse(lines, "f") == RECORDED


def test_a_line_that_another_program_wrote_keeps_its_meaning():
    """With spaces, and the sequence in another place, the event is the same."""
    foreign = json.dumps({"sequence": 3} | json.loads(LINES[0]), indent=None).encode()
    [found] = fixture.parse([foreign], "f")
    assert found.sequence == 3
    assert json.loads(encode(found.event)) == json.loads(LINES[0])


def test_what_this_release_does_not_know_is_kept():
    """A kind and an attribute of a newer release come through untouched."""
    line = LINES[0].replace(b".v1", b".v99").replace(b'{"spec', b'{"newer":[1, 2],"spec')
    [found] = fixture.parse([line[:-1] + b',"sequence":9}'], "f")
    assert encode(found.event) == line


@pytest.mark.parametrize(
    ("lines", "place", "what"),
    [
        ([], "f: ", "no event"),
        ([b"", b"\n"], "f: ", "no event"),
        ([WRITTEN[0], b"rubbish"], "line 2", "no JSON"),
        ([WRITTEN[0], b"\xff\xfe"], "line 2", "no JSON"),
        ([b"[1]"], "line 1", "no object"),
        ([b"\n", WRITTEN[0][:-40]], "line 2", "it is cut off"),
        ([LINES[0]], "line 1", "no sequence"),
        ([WRITTEN[0].replace(b'ence":3', b'ence":"3"')], "line 1", "whole number"),
        ([WRITTEN[0].replace(b'ence":3', b'ence":0')], "line 1", "whole number"),
        ([WRITTEN[0].replace(b'ence":3', b'ence":true')], "line 1", "whole number"),
        ([WRITTEN[1], WRITTEN[0]], "line 2", "does not rise: 4"),
        ([WRITTEN[1], WRITTEN[1]], "line 2", "does not rise"),
        ([b'{"sequence":1}'], "line 1", "no event of Muster"),
        ([WRITTEN[0].replace(b"io.muster.", b"odd").replace(b".v1", b"")], "line 1", "no event of Muster"),
        ([b'{"data":' + b"[" * 100_000], "line 1", "nested too deeply"),
        ([b"x" * (fixture.LINE_BYTES_MAX + 1)], "line 1", "bytes is no event"),
    ],
)
def test_what_is_no_fixture_is_named(lines: list[bytes], place: str, what: str):
    """The error names the file, the line, what is wrong and what to do."""
    with pytest.raises(FixtureInvalidError, match=what) as caught:
        fixture.parse(lines, "f")
    assert place in caught.value.message
    assert caught.value.message.startswith("f")
    assert caught.value.advice
