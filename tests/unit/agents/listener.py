"""Somebody who hears a container out."""

from __future__ import annotations

import asyncio

from muster.model.log.catalogue import Body


class Listener:
    """``Ears`` that keep what they hear."""

    def __init__(self) -> None:
        self.heard = {"stdout": bytearray(), "stderr": bytearray()}
        self.bodies: list[Body] = []
        self._news = asyncio.Event()

    async def report(self, body: Body) -> None:
        """Keep it."""
        self.bodies.append(body)

    def print(self, stream: str, chunk: bytes) -> None:
        """Keep it."""
        self.heard[stream] += chunk
        self._news.set()

    def text(self, stream: str = "stdout") -> bytes:
        """All that was printed."""
        return bytes(self.heard[stream])

    async def until(self, text: bytes, stream: str = "stdout", *, after: int = 0) -> bytes:
        """All that was printed, as soon as ``text`` is there beyond the first ``after`` bytes."""
        async with asyncio.timeout(30):
            while self.heard[stream].find(text, after) < 0:
                self._news.clear()
                await self._news.wait()
        return self.text(stream)

    async def until_size(self, size: int, stream: str) -> None:
        """As soon as so many bytes were printed."""
        async with asyncio.timeout(50):
            while len(self.heard[stream]) < size:
                self._news.clear()
                await self._news.wait()
