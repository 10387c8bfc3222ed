"""Lines into a pipe: whole, in order, whoever stops waiting, and never in the loop's way."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from muster.model.errors import AttemptLostError
from muster_agents.runtimes.feed import Feed

LARGE = 1 << 20
"""More than any pipe holds."""


class Pipe:
    """A pipe with a feed at its writing end."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.feed = Feed(self.writer, lambda data: os.write(self.writer, data))

    async def read(self, size: int) -> bytes:
        """This many bytes."""
        found = bytearray()
        while len(found) < size:
            found += await asyncio.to_thread(os.read, self.reader, size - len(found))
        return bytes(found)

    def close(self) -> None:
        """Both ends."""
        self.feed.close()
        for number in {self.reader, self.writer} - {-1}:
            os.close(number)


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


async def waits(task: asyncio.Task[None]) -> None:
    """Let the task begin; it cannot end."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()


async def test_a_line_is_written_at_once(pipe: Pipe):
    """Where there is room, a line is taken within the call."""
    await pipe.feed.send(b"hello\n")
    assert os.read(pipe.reader, 100) == b"hello\n"


async def test_lines_stay_whole_and_in_order(pipe: Pipe):
    """Lines larger than the pipe, sent together, come one after the other."""
    lines = [bytes([65 + number]) * LARGE + b"\n" for number in range(4)]
    sending = [asyncio.create_task(pipe.feed.send(line)) for line in lines]
    assert await pipe.read(sum(map(len, lines))) == b"".join(lines)
    await asyncio.gather(*sending)


async def test_nobody_reads(pipe: Pipe):
    """A line that nobody reads is waited for, up to the sender's own deadline; the loop goes on."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await pipe.feed.send(b"x" * LARGE)


async def test_a_begun_line_is_written_to_its_end(pipe: Pipe):
    """Whoever gives up half way leaves no half a line: the next one begins where that ended."""
    first = asyncio.create_task(pipe.feed.send(b"a" * LARGE + b"\n"))
    await waits(first)
    first.cancel()
    second = asyncio.create_task(pipe.feed.send(b"b\n"))
    assert await pipe.read(LARGE + 3) == b"a" * LARGE + b"\nb\n"
    await second


async def test_a_line_that_was_not_begun_is_not_sent(pipe: Pipe):
    """Whoever gives up before its turn has sent nothing."""
    first = asyncio.create_task(pipe.feed.send(b"a" * LARGE + b"\n"))
    second = asyncio.create_task(pipe.feed.send(b"b\n"))
    third = asyncio.create_task(pipe.feed.send(b"c\n"))
    await waits(second)
    second.cancel()
    assert await pipe.read(LARGE + 3) == b"a" * LARGE + b"\nc\n"
    await asyncio.gather(first, third)
    assert second.cancelled()


async def test_a_full_pipe_takes_nothing(pipe: Pipe):
    """Whoever gives up while nothing at all was taken leaves a feed that has nothing to do."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await pipe.feed.send(b"a" * LARGE)
    held = bytearray()
    while len(held) < LARGE:
        held += await pipe.read(1 << 16)
    while True:  # full to the last byte, by another hand
        try:
            os.write(pipe.writer, b"f" * 4096)
        except BlockingIOError:
            break
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await pipe.feed.send(b"never\n")
    os.set_blocking(pipe.reader, False)
    while True:
        try:
            assert b"never" not in os.read(pipe.reader, 1 << 20)
        except BlockingIOError:
            break
    await pipe.feed.send(b"after\n")
    assert os.read(pipe.reader, 100) == b"after\n"


async def test_the_reader_goes(pipe: Pipe):
    """When the other end is closed, who waits is told, and so is everybody after."""
    sending = asyncio.create_task(pipe.feed.send(b"x" * LARGE))
    await waits(sending)
    os.close(pipe.reader)
    pipe.reader = -1
    with pytest.raises(AttemptLostError, match="does not read"):
        await sending
    assert pipe.feed.closed
    with pytest.raises(AttemptLostError):
        await pipe.feed.send(b"more\n")


async def test_a_feed_is_closed(pipe: Pipe):
    """Closing ends every wait."""
    sending = [asyncio.create_task(pipe.feed.send(b"x" * LARGE)) for _ in range(3)]
    await waits(sending[-1])
    pipe.feed.close()
    for one in sending:
        with pytest.raises(AttemptLostError):
            await one
