"""The call of a function, as the agent follows it.

The process of a function tells of itself on stdout, one JSON-RPC notification a line: ``loaded``, when it can be
called, and ``progress``. Its answer is the file $MUSTER_OUTPUT (``muster.model.plan.calls``). So the load phase
ends with a line, or with the process; both are waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from muster.model.log.catalogue import AttemptProgress, Body, FunctionLoaded, FunctionLoading
from muster_agents.runtimes.interface import Exit, Run

PROGRESS_S: Final = 1.0
"""Between two facts about how far a function has come."""
LINE_BYTES_MAX: Final = 64 << 10
"""A line on stdout that is longer is no notification."""

Report = Callable[[Body], Awaitable[None]]


class _Notification(msgspec.Struct, frozen=True):
    jsonrpc: str
    method: str
    params: dict[str, Any] = {}


class Call:
    """Hears what the harness says, and waits for the end of its process. Made for one attempt."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.loaded = False
        self._heard = asyncio.Event()
        self._news = asyncio.Event()
        self._progress: AttemptProgress | None = None
        self._rest = b""
        self._ending: asyncio.Future[Exit] | None = None

    def hear(self, chunk: bytes) -> bytes:
        """What stdout said; gives back what was not meant for the agent."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        other = [line + b"\n" for line in lines if not self._notified(line)]
        if len(self._rest) > LINE_BYTES_MAX:
            other.append(self._rest)
            self._rest = b""
        return b"".join(other)

    def _notified(self, line: bytes) -> bool:
        try:
            told = msgspec.json.decode(line, type=_Notification)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if told.method == "loaded":
            self.loaded = True
            self._heard.set()
        elif told.method == "progress":
            try:
                self._progress = msgspec.convert({"phase": "run"} | told.params, AttemptProgress)
            except msgspec.ValidationError:
                return False
            self._news.set()
        return True

    async def load(self, run: Run, report: Report, *, told: bool) -> Exit | None:
        """Until the function can be called. Gives how the process ended, if it ended before. ``told``: that it
        loads is in the log already.
        """
        if not told:
            await report(FunctionLoading(function=self.function))
        began = time.monotonic()
        ending = self._watched(run)
        hearing = asyncio.ensure_future(self._heard.wait())
        either: set[asyncio.Future[Any]] = {ending, hearing}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
        if not self.loaded:
            return await ending
        seconds = round(time.monotonic() - began, 6)
        await report(FunctionLoaded(function=self.function, seconds=seconds))
        return None

    async def wait(self, run: Run, report: Report) -> Exit:
        """Until its process has ended; meanwhile tell how far it is."""
        telling = asyncio.ensure_future(self._tell(report))
        try:
            return await asyncio.shield(self._watched(run))
        finally:
            telling.cancel()
            await asyncio.wait({telling})

    async def _tell(self, report: Report) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            assert self._progress is not None
            await report(self._progress)
            await asyncio.sleep(PROGRESS_S)

    def _watched(self, run: Run) -> asyncio.Future[Exit]:
        if self._ending is None:
            self._ending = asyncio.ensure_future(run.wait())
            self._ending.add_done_callback(_seen)
        return self._ending

    def close(self) -> None:
        """Watch no longer."""
        if self._ending is not None:
            self._ending.cancel()


def _seen(ending: asyncio.Future[Exit]) -> None:
    """Whoever was stopped does not ask how it ended; that is no failure to warn of."""
    if not ending.cancelled():
        ending.exception()
