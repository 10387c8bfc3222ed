"""The agent says at an interval that it is alive, and what it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import Final

from muster import fault
from muster.broker.interface import Heartbeats
from muster.model.errors import MusterError
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import FunctionStatus, Heartbeat

NEWS_S: Final = 0.1
"""News wait so long for company: several containers come up at once."""

log = logging.getLogger(__name__)


class Pulse:
    """Beats of one connection."""

    def __init__(
        self,
        beats: Heartbeats,
        name: str,
        session: int,
        interval_s: float,
        *,
        running: Callable[[], list[AttemptRef]],
        outbox: Callable[[], int],
        functions: Callable[[], list[FunctionStatus]],
        news: asyncio.Event,
        now: Callable[[], datetime],
    ) -> None:
        self._beats = beats
        self._name = name
        self._session = session
        self._interval_s = interval_s
        self._running = running
        self._outbox = outbox
        self._functions = functions
        self._news = news
        self._now = now
        self._sequence = 0

    async def keep(self) -> None:
        """Beat until cancelled. A loop that was late goes on from now: no beats are made up.

        Where there are ``news`` of what is loaded, it beats at once: whoever asks then need not wait for the next one.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._news.clear()
            await self._beat()
            due = max(due + self._interval_s, loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._news.wait()
                    await asyncio.sleep(NEWS_S)
                    due = loop.time()

    async def _beat(self) -> None:
        self._sequence += 1
        beat = Heartbeat(
            name=self._name,
            sequence=self._sequence,
            session=self._session,
            interval_s=self._interval_s,
            time=self._now(),
            running=self._running(),
            load=_load(),
            outbox=self._outbox(),
            functions=self._functions(),
        )
        await fault.point("agent.beat.before")
        try:
            await self._beats.beat(beat)
        except MusterError as error:
            log.debug(f"a beat was lost: {error.message}")
        await fault.point("agent.beat.after")


def _load() -> float | None:
    """How busy the machine is; None where the system does not say, as it does not without a file to open."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
