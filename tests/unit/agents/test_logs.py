"""Lines: cutting, bounds, batches, the flush at the end."""

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.broker.interface import LogLines
from muster.model.errors import BrokerError
from muster.model.log.catalogue import AttemptRef
from muster_agents.logs import LogShipper, LogStream
from muster_agents.options import AgentOptions

REF = AttemptRef("e1", "work", 1)


def stream(**options) -> LogStream:
    return LogStream(REF, AgentOptions(name="m1", **options), lambda _: None)


def texts(lines: LogStream) -> list[str]:
    found = []
    while lines.pending:
        found += [line.text for line in lines.take()]
    return found


class Lines:
    """Takes lines, as slowly as a test wants."""

    def __init__(self):
        self.batches = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def write(self, machine, execution, step, attempt, lines):
        if self.broken:
            raise BrokerError
        await self.open.wait()
        self.batches.append([line.text for line in lines])


async def shipping(options: AgentOptions | None = None):
    lines = Lines()
    shipper = LogShipper(cast("LogLines", lines), options or AgentOptions(name="m1"))
    return lines, shipper, asyncio.create_task(shipper.ship())


async def test_lines_are_cut_where_they_end():
    """A line goes on when its end has come; what has none waits for more, or for the close."""
    lines = stream()
    lines.print("stdout", b"one\ntw")
    lines.print("stdout", b"o\r\nthr")
    assert texts(lines) == ["one", "two"]
    lines.close()
    assert texts(lines) == ["thr"]


async def test_the_streams_do_not_mix():
    """Half a line of stdout is not finished by stderr."""
    lines = stream()
    lines.print("stdout", b"out")
    lines.print("stderr", b"err\n")
    lines.print("stdout", b"put\n")
    assert [(line.stream, line.text) for line in lines.take()] == [("stderr", "err"), ("stdout", "output")]


async def test_any_bytes_are_text():
    """What is no UTF-8 becomes replacement characters."""
    lines = stream()
    lines.print("stdout", b"\xff\xfe ok \x00\n")
    assert texts(lines) == ["\ufffd\ufffd ok \x00"]


async def test_long_lines_are_cut_between_characters():
    """A line that is too long becomes several, none of which splits a character, and nothing is lost."""
    lines = stream(log_line_bytes=10)
    lines.print("stdout", ("ü" * 12).encode())
    lines.print("stdout", b"!\n")
    found = texts(lines)
    assert "".join(found) == "ü" * 12 + "!"
    assert max(len(text.encode()) for text in found) <= 10


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(4, 20))
def test_nothing_is_lost_however_it_comes(chunks, limit):
    """Whatever the chunks, the lines put together again are what was printed."""
    lines = stream(log_line_bytes=limit)
    for chunk in chunks:
        lines.print("stdout", chunk.replace(b"\r", b""))
    lines.close()
    printed = b"".join(chunks).replace(b"\r", b"")
    kept = b"".join(line for _, _, line in lines.pending)
    assert kept == printed.replace(b"\n", b"")


async def test_the_oldest_lines_go_and_it_is_said():
    """Above the bound the oldest lines are dropped, and a line says how many."""
    lines = stream(log_backlog_bytes=1000)
    for number in range(300):
        lines.print("stdout", b"%09d\n" % number)
    found = texts(lines)
    assert found[0].startswith("285 lines were dropped here")
    assert found[1:] == [f"{number:09}" for number in range(285, 300)]


async def test_lines_go_in_small_batches():
    """Lines that come together go together, and a full batch does not wait."""
    lines, shipper, task = await shipping(AgentOptions(name="m1", log_batch_lines=3, log_delay_s=30))
    out = shipper.open(REF)
    out.print("stdout", b"1\n2\n3\n4\n")
    await out.sent.wait()
    assert lines.batches == [["1", "2", "3"], ["4"]]
    task.cancel()


async def test_a_flush_does_not_wait_for_company():
    """The end of an attempt sends its lines at once, also the last one without an end."""
    lines, shipper, task = await shipping(AgentOptions(name="m1", log_delay_s=30))
    out = shipper.open(REF)
    out.print("stdout", b"1\n2")
    await shipper.flush(out)
    assert lines.batches == [["1", "2"]]
    task.cancel()


async def test_a_slow_broker_does_not_hold_the_end(caplog):
    """A flush that takes too long is given up; the lines come later."""
    lines, shipper, task = await shipping(AgentOptions(name="m1", log_flush_s=0.05))
    lines.open.clear()
    out = shipper.open(REF)
    out.print("stdout", b"late\n")
    await shipper.flush(out)
    assert "late" in caplog.text
    lines.open.set()
    await out.sent.wait()
    assert lines.batches == [["late"]]
    task.cancel()


async def test_lines_the_broker_does_not_take_are_counted():
    """A failed write loses its lines, says how many, and does not end the shipping."""
    lines, shipper, task = await shipping(AgentOptions(name="m1", log_delay_s=0))
    out = shipper.open(REF)
    lines.broken = True
    out.print("stdout", b"1\n2\n")
    await out.sent.wait()
    lines.broken = False
    out.print("stdout", b"3\n")
    await out.sent.wait()
    assert lines.batches == [["2 lines were dropped here: they came faster than they can be taken", "3"]]
    task.cancel()


@pytest.mark.parametrize("size", [1, 70_000])
async def test_a_flood_is_bounded(size):
    """A container that prints without end costs bounded memory, whatever its lines look like."""
    lines = stream(log_backlog_bytes=100_000)
    for _ in range(200):
        lines.print("stdout", b"\n" * size)
    assert len(lines.pending) <= 100_000
    assert lines.dropped + len(lines.pending) == 200 * size


async def test_of_a_flood_the_end_is_kept(monkeypatch):
    """Of a program that prints without end the last lines are there: they may say why it ended."""
    monkeypatch.setattr("muster_agents.logs.monotonic", lambda: 7.0)  # all in one second
    lines = stream(log_lines_per_s=100, tail_lines=3)
    for number in range(1000):
        lines.print("stdout", b"".join(b"%d-%d\n" % (number, part) for part in range(10)))
    lines.print("stderr", b"the rea")
    lines.print("stderr", b"son\n")
    lines.close()
    found = texts(lines)
    assert found[-3:] == ["999-8", "999-9", "the reason"]
    assert found[:3] == [
        "9898 lines were dropped here: they came faster than they can be taken",
        "0-0",
        "0-1",
    ]
    assert len(found) == 1 + 100 + 3
