"""What every container of the engine's has in common: its files are taken, its end is waited for, and it is removed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Final

from muster_agents.runtimes.docker_engine import Engine
from muster_agents.runtimes.docker_stream import Attached
from muster_agents.runtimes.interface import Exit
from muster_agents.runtimes.threads import Threads

LAST_LINES_S: Final = 2.0
"""How long a stopped container's last lines are waited for."""


class DockerContainer:
    """Base of those that are made. ``container`` is one to go on with; else ``_starting`` makes it, in a thread."""

    def __init__(self, engine: Engine, calls: Threads, container: str) -> None:
        self._engine = engine
        self._calls = calls
        self._container = container
        self._starting: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[Exit] | None = None
        self._stopped = threading.Event()
        self._attached: Attached | None = None

    async def wait(self) -> Exit:
        """See ``Run.wait``."""
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """See ``Run.take``."""
        return await self._calls.call(
            self._engine.take, self._container, path, target, bytes_max, self._stopped.is_set
        )

    async def stop(self, grace_s: float) -> None:
        """See ``Run.stop``."""
        self._stopped.set()
        await self._settle()
        if not self._container or (self._ended is not None and self._ended.done()):
            return
        await self._calls.call(self._engine.stop, self._container, grace_s)
        if self._ended is not None:
            await asyncio.wait({self._ended}, timeout=LAST_LINES_S)

    async def remove(self) -> None:
        """See ``Run.remove``."""
        self._stopped.set()
        await self._settle()
        self._let_go()
        if self._container:
            await self._calls.call(self._engine.remove, self._container)

    def _let_go_for_good(self) -> None:
        """Also what a start that goes on in its thread opens."""
        self._let_go()
        if self._starting is not None and not self._starting.done():
            self._starting.add_done_callback(lambda _: self._let_go())

    def _let_go(self) -> None:
        """A start that was cancelled leaves an output nobody reads."""
        attached, self._attached = self._attached, None
        if attached is not None:
            attached.close()

    async def _settle(self) -> None:
        """A start that was cancelled half way: wait for what it made. Whatever it failed with, its caller was told."""
        if self._starting is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(self._starting)
