"""What a container prints is heard on the loop, frame by frame, while a thread waits for the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from muster_agents.runtimes.docker_live import Live


def frame(stream: int, text: bytes) -> bytes:
    """As the engine sends it."""
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


class Heard:
    """Keeps it, and says when there is so much."""

    def __init__(self) -> None:
        self.all: list[tuple[str, bytes]] = []
        self._more = asyncio.Event()

    def __call__(self, stream: str, chunk: bytes) -> None:
        asyncio.get_running_loop()
        self.all.append((stream, chunk))
        self._more.set()

    async def until(self, count: int) -> list[tuple[str, bytes]]:
        """Wait for so many."""
        while len(self.all) < count:
            self._more.clear()
            await self._more.wait()
        return self.all


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The engine's and ours."""
    engine, ours = socket.socketpair()
    ours.setblocking(False)
    with engine, ours:
        yield engine, ours


def listening(ours: socket.socket, heard: Heard, first: bytes = b"") -> asyncio.Task[None]:
    """In a thread, until the end."""
    live = Live(asyncio.get_running_loop(), ours, first, heard)
    return asyncio.create_task(asyncio.to_thread(live.to_the_end))


async def test_frames_are_heard_whole_and_in_order(ends: tuple[socket.socket, socket.socket]):
    """However they are cut on their way, from what came first on."""
    engine, ours = ends
    text = frame(1, b"one\n") + frame(2, b"two\n") + frame(1, b"") + frame(7, b"x" * 3000)
    expected = [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b""), ("stdout", b"x" * 3000)]
    heard = Heard()
    ended = listening(ours, heard, text[:10])
    for at in range(10, len(text), 7):
        engine.sendall(text[at : at + 7])
        await asyncio.sleep(0)
    assert await heard.until(4) == expected
    assert not ended.done()
    engine.sendall(text)
    assert await heard.until(8) == expected * 2
    engine.close()
    await ended


async def test_the_end_is_told_behind_what_was_printed(ends: tuple[socket.socket, socket.socket]):
    """Half a frame is nothing."""
    engine, ours = ends
    heard = Heard()
    ended = listening(ours, heard)
    engine.sendall(frame(1, b"last") + frame(1, b"half")[:-1])
    engine.close()
    await ended
    assert heard.all == [("stdout", b"last")]


async def test_it_ends_when_the_connection_is_shut_down(ends: tuple[socket.socket, socket.socket]):
    """As whoever does not want to hear any more does it."""
    _, ours = ends
    ended = listening(ours, Heard())
    await asyncio.sleep(0)
    ours.shutdown(socket.SHUT_RDWR)
    await ended


async def test_who_hears_it_may_fail(ends: tuple[socket.socket, socket.socket]):
    """Whoever waits for the end is told; nothing more is heard."""
    engine, ours = ends
    calls = []

    def hear(stream: str, chunk: bytes) -> None:
        calls.append(chunk)
        raise ValueError("a defect")

    live = Live(asyncio.get_running_loop(), ours, b"", hear)
    ended = asyncio.create_task(asyncio.to_thread(live.to_the_end))
    engine.sendall(frame(1, b"one"))
    with pytest.raises(ValueError, match="a defect"):
        await ended
    engine.sendall(frame(1, b"two"))
    await asyncio.sleep(0)
    assert calls == [b"one"]
