"""The stdin of a container, over a connection of its own: reading and writing never wait for each other."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from muster_agents.runtimes.docker_engine import Engine, starting
from muster_agents.runtimes.docker_stream import close
from muster_agents.runtimes.feed import FULL, Feed


class Stdin:
    """Made by a thread, since that blocks; all else is for the loop. The container's stdin outlives it."""

    def __init__(self, engine: Engine, container: str) -> None:
        with starting():
            self._socket: Any = engine.api.attach_socket(container, params={"stdin": 1, "stream": 1})
        self._connection: Any = getattr(self._socket, "_sock", self._socket)
        self._connection.setblocking(False)
        self._descriptor: int = self._connection.fileno()
        self._feed: Feed | None = None
        self.closed = False

    async def send(self, line: bytes) -> None:
        """See ``Feed.send``."""
        if self._feed is None:
            self._feed = Feed(self._descriptor, self._connection.send)
            if self.closed:
                self._feed.close()
            else:
                asyncio.get_running_loop().add_reader(self._descriptor, self._on_readable)
        await self._feed.send(line)

    def close(self) -> None:
        """Write no more; who waits hears that it is in vain."""
        if self.closed:
            return
        self.closed = True
        if self._feed is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._feed.close()
        close(self._socket, self._connection)

    def _on_readable(self) -> None:
        """Nothing ever comes this way but the end."""
        data = b""
        with contextlib.suppress(OSError, ValueError):
            try:
                data = self._connection.recv(4096)
            except FULL:
                return
        if not data:
            self.close()
