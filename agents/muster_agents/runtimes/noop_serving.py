"""A function that answers each call at once, with nothing, and from nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from muster_agents.runtimes.feed import unread
from muster_agents.runtimes.interface import Ears, Exit, Launch

CONCURRENCY: Final = 1024
"""More calls at once than an agent has slots: none waits for another."""


class NoopServing:
    """A ``Serving``."""

    container = ""
    digest = ""

    def __init__(self, launch: Launch, ears: Ears) -> None:
        self._ears = ears
        self._ended = asyncio.Event()
        name = launch.container.function or ""
        self._results: dict[str, Any] = {
            "load": {"protocol": 1, "concurrency": CONCURRENCY, "name": name, "marks": False},
            "execute": {"$returned": {}},
            "ping": {"calls": []},
            "shutdown": None,
        }

    async def pull(self) -> None:
        """See ``Serving.pull``."""

    async def start(self) -> None:
        """See ``Serving.start``."""

    async def send(self, line: bytes) -> None:
        """Answer it, as soon as its sender waits for that."""
        if self._ended.is_set():
            raise unread()
        if not line.strip():
            return
        message = msgspec.json.decode(line)
        method = message.get("method")
        if "id" in message and method in self._results:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": self._results[method]}
            text = msgspec.json.encode(answer) + b"\n"
            asyncio.get_running_loop().call_soon(self._ears.print, "stdout", text)
        if method == "shutdown":
            self._ended.set()

    def folders(self, call: str) -> tuple[str, str]:
        """See ``Serving.folders``. Nobody will look there."""
        return f"/muster/in/{call}", f"/muster/out/{call}"

    async def put(self, call: str, files: Mapping[str, Path]) -> tuple[str, str]:  # noqa: ARG002
        """See ``Serving.put``."""
        return self.folders(call)

    async def wait(self) -> Exit:
        """See ``Serving.wait``."""
        await self._ended.wait()
        return Exit(container="", exit_code=0)

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:  # noqa: ARG002
        """It makes no files."""
        return None

    async def stop(self, grace_s: float) -> None:  # noqa: ARG002
        """See ``Serving.stop``."""
        self._ended.set()

    async def remove(self) -> None:
        """See ``Serving.remove``."""
        self._ended.set()
