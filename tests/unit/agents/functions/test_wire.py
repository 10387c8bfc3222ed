"""What the agent understands of what a function writes, however it comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster_agents.functions.lines import ENDS_BYTES, Lines, TooLong
from muster_agents.functions.printed import AGAIN_BYTES_MAX, Printed
from muster_agents.functions.wire import RefusedError, TooLargeError, Wire
from tests.unit.agents.functions.pretending import line


class Ear:
    """A wire whose other end is the test."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[Any] = []
        self.told: list[tuple[str, Any]] = []
        self.wire = Wire(self._send, lambda *what: self.told.append(what), message_bytes=1000, **options)

    async def _send(self, text: bytes) -> None:
        self.sent.append(json.loads(text))


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 7))
def test_nothing_is_lost_or_changed(texts: list[bytes], size: int):
    """Whatever is printed, in whatever pieces: lines that may be messages and all the rest are the whole of it."""
    text = b"\n".join(texts) + b"\n"
    lines, found, passed = Lines(1000), [], b""
    for at in range(0, len(text), size):
        new, rest = lines.take(text[at : at + size])
        found += new
        passed += rest
    whole = text.split(b"\n")[:-1]
    assert found == [one + b"\n" for one in whole if one.startswith(b"{")]
    assert passed == b"".join(one + b"\n" for one in whole if not one.startswith(b"{"))


def test_a_line_that_is_too_long_is_not_kept():
    """Of 100 MB its beginning and its end are held, and its size is known."""
    lines = Lines(10_000)
    assert lines.take(b'{"id": "x", ') == ([], b"")
    for _ in range(1600):
        assert lines.take(b"x" * (64 << 10)) == ([], b"")
        assert len(lines._kept) + len(lines._tail) <= 2 * ENDS_BYTES
    [found], _ = lines.take(b'the end"}\n{')
    assert isinstance(found, TooLong)
    assert found.head.startswith(b'{"id": "x"')
    assert found.tail.endswith(b'the end"}\n')
    assert found.size > 100_000_000
    assert lines.take(b'"next": 1}\n') == ([b'{"next": 1}\n'], b"")


async def test_an_answer_goes_to_its_question():
    """In whatever order they come; an error is raised with its code, message and data."""
    ear = Ear()
    first, second = ear.wire.expect("a"), ear.wire.expect("b")
    ear.wire.hear(line(id="b", error={"code": -32000, "message": "no", "data": {"x": 1}}))
    ear.wire.hear(line(id="a", result={"n": [1, 2]}))
    assert json.loads(await first) == {"n": [1, 2]}
    with pytest.raises(RefusedError) as raised:
        await second
    assert (raised.value.code, raised.value.message, raised.value.data) == (-32000, "no", {"x": 1})


async def test_answers_to_nothing_are_counted_and_warned_of_once(caplog: pytest.LogCaptureFixture):
    """A second answer, one to no question, one with a number for an id, one to a line that could not be read."""
    ear = Ear()
    answer = ear.wire.expect("a")
    for id_ in ("a", "a", "b", 7, None):
        assert ear.wire.hear(line(id=id_, result=id_)) == b""
    assert json.loads(await answer) == "a"
    assert ear.wire.strange == 4
    assert len(caplog.records) == 1


async def test_a_late_answer_was_asked_for(caplog: pytest.LogCaptureFixture):
    """The first answer to what nobody waits for any more blames no function; a second one is strange as ever."""
    ear = Ear()
    asking = asyncio.ensure_future(ear.wire.ask("load", "load"))
    ear.wire.expect("e/s/1")
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    ear.wire.forget("e/s/1")
    for id_ in ("load", "e/s/1"):
        ear.wire.hear(line(id=id_, error={"code": -32800, "message": "stopped while it was loaded."}))
    assert (ear.wire.strange, caplog.records) == (0, [])
    ear.wire.hear(line(id="load", result=None))
    assert ear.wire.strange == 1


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"{",
        b'{"jsonrpc": "2.0"}',
        b'{"id": "a", "result": 1}',
        b'{"jsonrpc": "2.0", "id": [1], "result": 1}',
        b'{"jsonrpc": 2, "id": "b", "result": 1}',
        b'{"jsonrpc": "2.0", "method": "progress", "params": {"id": "a", "current": NaN}}',
        b"{" * 500,
        b"[1]",
        b"\x00\x01\x02",
    ],
)
async def test_what_is_no_message_goes_to_the_logs(text: bytes):
    """It is nobody's answer, and comes back as it was."""
    ear = Ear()
    answer = ear.wire.expect("a")
    assert ear.wire.hear(text + b"\n") == text + b"\n"
    assert not answer.done()


async def test_an_answer_that_is_too_large_fails_its_question():
    """It is told whose it was by its beginning or its end; another question goes on waiting."""
    for text in (
        line(id="b", result="x" * 9000),
        json.dumps({"jsonrpc": "2.0", "result": "x" * 9000, "id": "b"}).encode() + b"\n",
    ):
        ear = Ear()
        other, answer = ear.wire.expect("a"), ear.wire.expect("b")
        for at in range(0, len(text), 700):
            ear.wire.hear(text[at : at + 700])
        with pytest.raises(TooLargeError) as raised:
            await answer
        assert raised.value.size == len(text)
        assert not other.done()


@pytest.mark.parametrize(
    "text", [b'{"jsonrpc": "2.0", "id": "a", "result": NaN}', b'{"jsonrpc": "2.0", "id": "a", "error": "x"}']
)
async def test_an_answer_that_cannot_be_read_fails_its_question(text: bytes):
    """Nobody waits for another: the function believes that it has answered."""
    ear = Ear()
    answer, other = ear.wire.expect("a"), ear.wire.expect("b")
    assert ear.wire.hear(text + b"\n") == b""
    with pytest.raises(RefusedError) as raised:
        await answer
    assert raised.value.code == -32001
    assert not other.done()


async def test_a_notification_that_is_too_large_is_no_answer():
    """Though it names a call, and though what it carries looks like one."""
    ear = Ear()
    answer = ear.wire.expect("a")
    ear.wire.hear(line(method="log", params={"id": "a", "text": '{"result": 1}' * 900}))
    assert not answer.done()


async def test_notifications_are_told():
    """With their parameters, whatever those are."""
    ear = Ear()
    ear.wire.hear(line(method="progress", params={"id": "a", "current": 1}) + line(method="hello"))
    assert ear.told == [("progress", {"id": "a", "current": 1}), ("hello", {})]


async def test_who_waits_when_it_is_lost():
    """Everybody who waits fails, and everybody who asks later."""
    ear = Ear()
    waiting = ear.wire.expect("a")
    ear.wire.lose(ValueError("gone"))
    for answer in (waiting, ear.wire.expect("b")):
        with pytest.raises(ValueError, match="gone"):
            await answer


async def test_a_question_is_one_line():
    """With its id, method and parameters; the answer is forgotten when it was given."""
    ear = Ear()

    async def send(text: bytes) -> None:
        assert text.count(b"\n") == 1
        ear.sent.append(json.loads(text))
        ear.wire.hear(line(id="ping/1", result={}))

    ear.wire = Wire(send, lambda *_: None, message_bytes=1000)
    assert await ear.wire.ask("ping/1", "ping") == b"{}"
    assert ear.sent == [{"jsonrpc": "2.0", "id": "ping/1", "method": "ping"}]


def printed(
    again: bool = False, known: tuple[str, ...] = ("e/s/1",)
) -> tuple[Printed, list[bytes], list[str]]:
    """With what it gives and the marks it reports."""
    given: list[bytes] = []
    marks: list[str] = []

    def marked(id_: str) -> bool:
        marks.append(id_)
        return id_ in known

    return Printed(given.append, marked, again=again), given, marks


@pytest.mark.parametrize("size", [1, 3, 100])
def test_marks_are_taken_out(size: int):
    """Wherever they stand, in whatever pieces they come; other NULs are what the program printed."""
    one, given, marks = printed()
    text = b"no end\0e/s/1\nbinary \0\x01\n\0late/of/2\nend\n"
    for at in range(0, len(text), size):
        one.take(text[at : at + size])
    assert b"".join(given) == b"no endbinary \0\x01\nend\n"
    assert "e/s/1" in marks


def test_a_nul_is_not_waited_with_for_ever():
    """A program that prints one and no line end is not held back beyond the length of a mark."""
    one, given, _ = printed()
    one.take(b"\0" + b"x" * 5000)
    assert b"".join(given) == b"\0" + b"x" * 5000


def test_a_flood_of_nuls_is_no_work():
    """Binary output is passed on as it is, and as fast."""
    one, given, _ = printed()
    for _ in range(100):
        one.take(b"\0" * (64 << 10))
    one.take(b"\0e/s/1\n")
    assert b"".join(given) == b"\0" * (6400 << 10)


def test_what_comes_again_is_kept_in_bounds_and_given_once():
    """Lines of earlier calls go, those after the last foreign mark are the call's; then it goes on as ever."""
    one, given, _ = printed(again=True)
    one.take(b"of another\n\0x/y/1\nmine\n")
    assert given == []
    one.take(b"\0e/s/1\n")
    assert given == [b"mine\n"]
    one.take(b"more\n")
    assert given == [b"mine\n", b"more\n"]
    other, given, _ = printed(again=True)
    for _ in range(40):
        other.take(b"x" * (64 << 10))
    other.settle()
    assert len(b"".join(given)) == AGAIN_BYTES_MAX
