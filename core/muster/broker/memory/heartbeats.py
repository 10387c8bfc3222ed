"""Beats in memory: the newest few of each name, and whoever listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from muster.broker import codec
from muster.broker.memory.kept import Beats, Listener
from muster.broker.memory.link import Link
from muster.model.log.commands import Heartbeat

KEPT: Final = 60
WAITING_MAX: Final = 4096


class MemoryHeartbeats:
    """A ``Heartbeats``."""

    def __init__(self, link: Link, beats: Beats) -> None:
        self._link = link
        self._beats = beats

    async def beat(self, beat: Heartbeat) -> None:
        """See ``Heartbeats.beat``."""
        await asyncio.sleep(0)
        if not self._link.connected:
            return
        payload = codec.encode(beat)
        self._beats.kept.setdefault(beat.name, deque(maxlen=KEPT)).append(payload)
        for listener in self._beats.listeners:
            if listener.connected():
                listener.waiting.append(payload)
        self._link.store.changed.notify()

    async def last(self, name: str) -> Heartbeat | None:
        """See ``Heartbeats.last``."""
        await asyncio.sleep(0)
        self._link.require()
        kept = self._beats.kept.get(name)
        return codec.decode_heartbeat(kept[-1]) if kept else None

    async def forget(self, execution: str) -> None:
        """See ``Heartbeats.forget``."""
        await asyncio.sleep(0)
        self._link.require()
        named = f'"{execution}"'.encode()
        for name, kept in self._beats.kept.items():
            self._beats.kept[name] = deque((beat for beat in kept if named not in beat), maxlen=KEPT)

    async def listen(self) -> AsyncGenerator[Heartbeat, None]:
        """See ``Heartbeats.listen``."""
        waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        listener = Listener(lambda: self._link.connected, waiting)
        self._beats.listeners.append(listener)
        try:
            while await self._link.ready():
                while waiting:
                    yield codec.decode_heartbeat(waiting.popleft())
                await self._link.store.changed.wait()
        finally:
            self._beats.listeners.remove(listener)
