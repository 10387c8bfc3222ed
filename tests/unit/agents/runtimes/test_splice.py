"""What came live goes on where the log ended: nothing lost, and nothing twice that can be told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster_agents.runtimes.docker_listening import unheard
from muster_agents.runtimes.docker_splice import Splice

LINES = [b"%d %s\n" % (number, b"%d" % number * (number * 7 % 20)) for number in range(30)]


def joined(told: bytes, *live: bytes) -> bytes:
    """All that is told of a stream whose log says ``told``."""
    splice, found = Splice(), bytearray(told)
    splice.tell(told)
    for chunk in live:
        found += splice.hear(chunk)
        if not splice.joined and splice.is_ready:
            found += splice.join() or b""
    return bytes(found)


@given(
    since=st.integers(0, 200),
    known=st.integers(0, len(LINES)),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=12),
)
def test_nothing_is_lost(since: int, known: int, sizes: list[int]):
    """Wherever the connection began, however far the log is, and in whatever pieces it comes: all lines come, whole.

    None comes twice, where what came live first stands in one place only.
    """
    text = b"".join(LINES)
    told = b"".join(LINES[:known])
    pieces, place = [], since
    for size in [*sizes, len(text)]:
        pieces.append(text[place : place + size])
        place += size
    # The log has the line in whose middle the connection began, as soon as its end was heard.
    end = text.find(b"\n", since) + 1
    told = told if len(told) >= end else text[:end]
    found = joined(told, *pieces)
    assert set(found.splitlines(keepends=True)) == set(LINES)
    assert found.endswith(text[-20:])
    if text.count(text[since:end]) == 1:
        assert found == text


def test_half_a_line_waits_for_its_end():
    """What came of a line that began before is told by the log, when it is whole."""
    splice = Splice()
    splice.tell(b"one\n")
    assert splice.hear(b"lf") == b""
    assert not splice.is_ready
    assert splice.hear(b"\n") == b""
    assert splice.is_ready
    assert splice.join() is None  # the log has not got it yet
    splice.tell(b"half\nnext\n")
    assert splice.join() is None  # the log has more than was heard
    assert splice.ahead
    assert splice.hear(b"next\nmore\n") == b""
    assert splice.join() == b"more\n"
    assert splice.joined
    assert splice.hear(b"last\n") == b"last\n"


def test_the_same_again_and_again():
    """Of one who prints the same all the time, a line may come twice, and none is lost."""
    assert joined(b"tick\n" * 5, b"ck\n", b"tick\n" * 3).count(b"tick\n") >= 5
    assert joined(b"tick\n" * 5, b"tick\n" * 2 + b"tock\n").endswith(b"tick\ntock\n")


def test_a_log_that_never_has_it():
    """Where the log does not have what was heard, it is told all the same."""
    splice = Splice()
    splice.tell(b"one\n")
    splice.hear(b"two\n")
    assert splice.join() is None
    assert splice.join(anyhow=True) == b"two\n"
    assert splice.hear(b"three\n") == b"three\n"


@pytest.mark.parametrize(
    ("text", "tail", "rest", "begun"),
    [
        (b"a\nb\nc\n", b"", b"a\nb\nc\n", 0),
        (b"a\nb\nc\n", b"b\n", b"c\n", 0),
        (b"a\nb\n", b"b\n", b"", 0),
        (b"a\n", b"a\nhal", b"", 3),
        (b"a\nhalf\nc\n", b"a\nhal", b"f\nc\n", 0),
        (b"x\n", b"a\n", b"x\n", 0),
    ],
)
def test_what_was_not_heard(text: bytes, tail: bytes, rest: bytes, begun: int):
    """The log goes on behind what was heard last, though that ended in the middle of a line."""
    assert unheard(text, tail) == (rest, begun)
