"""What is not urgent, done together with others of its kind."""

from __future__ import annotations

import asyncio


class Moments:
    """One comes ``wait_s`` after somebody began to wait for it, for all who wait by then."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._next: asyncio.Future[None] | None = None

    async def next(self) -> None:
        """Wait for it."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_later(self._wait_s, self._come)
        await asyncio.shield(self._next)

    def _come(self) -> None:
        come, self._next = self._next, None
        if come is not None:
            come.set_result(None)
