"""The work queue of commands in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from muster.broker import codec
from muster.broker.interface import Delivery
from muster.broker.memory.kept import Item, Queues
from muster.broker.memory.link import Link
from muster.model.log.commands import Command

ACK_WAIT_S: Final = 30.0


class MemoryDelivery:
    """A ``Delivery``."""

    def __init__(self, link: Link, items: list[Item], item: Item) -> None:
        self._link, self._items, self._item = link, items, item
        self.verb = item.verb
        self.payload = item.payload
        self.redelivered = item.deliveries > 1

    async def done(self) -> None:
        """See ``Delivery.done``."""
        await asyncio.sleep(0)
        if self._link.connected and self._item in self._items:
            self._items.remove(self._item)

    async def again(self, delay_s: float = 0.0) -> None:
        """See ``Delivery.again``."""
        await asyncio.sleep(0)
        if self._link.connected:
            self._item.hidden_until = asyncio.get_running_loop().time() + delay_s
            self._link.store.changed.notify()


class MemoryCommands:
    """A ``Commands``. ``ack_wait_s`` passes before a command that was not acknowledged is delivered again."""

    def __init__(self, link: Link, queues: Queues) -> None:
        self._link = link
        self._queues = queues
        self.ack_wait_s = ACK_WAIT_S

    async def send(self, target: str, verb: str, command: Command) -> None:
        """See ``Commands.send``."""
        await asyncio.sleep(0)
        self._link.require()
        if command.id in self._queues.ids:
            return
        self._queues.ids.add(command.id)
        self._queues.items.setdefault(target, []).append(Item(verb, codec.encode(command)))
        self._link.store.changed.notify()

    async def open(self, target: str) -> None:
        """See ``Commands.open``."""
        await asyncio.sleep(0)
        self._link.require()
        self._queues.opened.add(target)
        self._link.store.changed.notify()

    async def reopen(self, target: str) -> None:
        """See ``Commands.reopen``."""
        for item in self._queues.items.get(target, []):
            item.hidden_until = 0.0
        await self.open(target)

    async def close(self, target: str) -> None:
        """See ``Commands.close``."""
        await asyncio.sleep(0)
        self._link.require()
        self._queues.opened.discard(target)
        self._queues.items.pop(target, None)

    async def forget(self, execution: str) -> None:
        """See ``Commands.forget``."""
        await asyncio.sleep(0)
        self._link.require()
        named = f'"{execution}"'.encode()
        for items in self._queues.items.values():
            items[:] = [
                item for item in items if item.verb not in {"start", "stop"} or named not in item.payload
            ]

    async def receive(self, target: str, *, batch: int = 64) -> AsyncGenerator[list[Delivery], None]:
        """See ``Commands.receive``."""
        loop = asyncio.get_running_loop()
        while await self._link.ready():
            items = self._queues.items.setdefault(target, []) if target in self._queues.opened else []
            now = loop.time()
            ready = [item for item in items if item.hidden_until <= now][:batch]
            for item in ready:
                item.deliveries += 1
                item.hidden_until = now + self.ack_wait_s
            if ready:
                yield [MemoryDelivery(self._link, items, item) for item in ready]
                await asyncio.sleep(0)
                continue
            soonest = min((item.hidden_until for item in items), default=None)
            await self._link.store.changed.wait(None if soonest is None else max(0.0, soonest - now))
