"""One connection to a ``MemoryStore``: whether it stands, and what is to go wrong on it next."""

from __future__ import annotations

import asyncio
from collections import deque

from muster.broker.interface import Refused
from muster.broker.memory.store import MemoryStore
from muster.model.errors import BrokerError
from muster.settings import Settings


class Link:
    """What the four parts of one ``MemoryBroker`` share."""

    def __init__(self, store: MemoryStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.connected = True
        self.closed = False
        self.reconnects = 0
        self.unknown_after_s = 0.0
        self.lost_acks = 0
        self.lost_writes = 0
        self.cut: int | None = None
        self.refusals: deque[Refused] = deque()
        self.gate = asyncio.Event()
        self.gate.set()

    def require(self) -> None:
        """Raise BrokerError unless the connection stands."""
        if not self.connected:
            raise BrokerError("the connection to the broker is closed" if self.closed else "")

    async def ready(self) -> bool:
        """Wait until the connection stands; False once it is closed for good."""
        while not self.connected and not self.closed:
            await self.store.changed.wait()
        return not self.closed
