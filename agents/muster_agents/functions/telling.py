"""How far a call has come, told about once a second whatever the function says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from muster.model.log.catalogue import AttemptProgress
from muster_agents.runtimes.interface import Report

PROGRESS_S: Final = 1.0
"""Between two facts about how far a function has come."""


class Telling:
    """Of one call. The first word is told at once, of later ones the newest; costs nothing until there is one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._first: AttemptProgress | None = None
        self._newest: AttemptProgress | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hear(self, params: Mapping[str, Any]) -> None:
        """What the function said; what cannot be understood is passed over."""
        known = {name: params[name] for name in ("current", "total", "unit", "message") if name in params}
        try:
            heard = msgspec.convert({"phase": "run"} | known, AttemptProgress)
        except msgspec.ValidationError:
            return
        if self._task is None:
            self._first = heard
            self._task = asyncio.create_task(self._tell())
        else:
            self._newest = heard
            self._news.set()

    async def _tell(self) -> None:
        await self._tell_first()
        while True:
            await asyncio.sleep(PROGRESS_S)
            await self._news.wait()
            self._news.clear()
            if self._newest is not None:
                await self._report(self._newest)

    async def _tell_first(self) -> None:
        first, self._first = self._first, None
        if first is not None:
            await self._report(first)

    async def close(self) -> None:
        """The call is over. A quick one's first word is still told."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._tell_first()
