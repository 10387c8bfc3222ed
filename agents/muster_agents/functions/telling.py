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
        self._newest: AttemptProgress | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told = False

    def hear(self, params: Mapping[str, Any]) -> None:
        """What the function said; what cannot be understood is passed over."""
        known = {name: params[name] for name in ("current", "total", "unit", "message") if name in params}
        try:
            self._newest = msgspec.convert({"phase": "run"} | known, AttemptProgress)
        except msgspec.ValidationError:
            return
        self._news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            await self._tell_newest()
            await asyncio.sleep(PROGRESS_S)

    async def _tell_newest(self) -> None:
        newest, self._newest = self._newest, None
        self._news.clear()
        if newest is not None:
            self._told = True
            await self._report(newest)

    async def close(self) -> None:
        """The call is over. A quick one's first word is still told."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._told:
            await self._tell_newest()
