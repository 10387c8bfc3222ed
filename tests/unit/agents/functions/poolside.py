"""A pool with a clock, a runtime and a log of the test's own, and calls into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from muster.model.log.catalogue import Body, MachineFacts
from muster.model.log.commands import AttemptOrder
from muster_agents.course import Scene as Surroundings
from muster_agents.devices import Devices
from muster_agents.functions.call import Call
from muster_agents.functions.ledger import Entry, Ledger
from muster_agents.functions.pool import Pool
from muster_agents.logs import LogStream
from muster_agents.options import AgentOptions
from muster_agents.outbox import Outbox
from muster_agents.room import Room
from tests.unit.agents.functions.pretending import Servings
from tests.unit.agents.scene import order

MEMORY = 1000


class Kept:
    """A ledger and an outbox that keep everything in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.bodies: list[Body] = []

    async def write(self, entry: Entry) -> None:
        """See ``Ledger``."""
        self.entries[entry.launch.instance] = entry

    async def strike(self, name: str) -> None:
        """See ``Ledger``."""
        self.entries.pop(name, None)

    async def put(self, body: Body, *_: object) -> None:
        """See ``Outbox``."""
        self.bodies.append(body)


class Poolside:
    """What a test of the pool holds in its hands. ``now`` moves only where the test moves it."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.available = 1.0
        self.runtime = Servings()
        self.kept = Kept()
        self.room = Room.of(MachineFacts(slots=2, memory=MEMORY))
        self.options = AgentOptions(name="m1", **options)
        self.pool = Pool(
            self.runtime,
            cast("Outbox", self.kept),
            cast("Ledger", self.kept),
            self.options,
            self.room,
            Devices([]),
            2,
            now=lambda: self.now,
            available=lambda: self.available,
        )
        self._number = 0

    def order(self, **rest: Any) -> AttemptOrder:
        """An attempt of its own."""
        self._number += 1
        given: dict[str, Any] = {"function": "app:f", "attempt": self._number}
        return order(**given | rest)

    def begin(self, wanted: AttemptOrder | None = None, **rest: Any) -> asyncio.Task[Any]:
        """A call on its way, as an attempt would make it."""
        return asyncio.create_task(self._life(wanted or self.order(**rest)))

    async def _life(self, wanted: AttemptOrder) -> Any:
        self.room.take(wanted.resources)
        surroundings = Surroundings(
            order=wanted,
            told={},
            report=self.kept.put,
            lines=LogStream(wanted.ref, self.options, lambda _: None),
            files=cast("Any", None),
            options=self.options,
        )
        call = Call(surroundings, self.pool, exits=True)
        try:
            return (await call.run()).outputs
        except BaseException:
            await call.halt()
            raise
        finally:
            self.room.give(wanted.resources)
            await call.remove()

    async def call(self, **rest: Any) -> Any:
        """What a call gives."""
        return await self.begin(**rest)

    def reasons(self) -> list[str]:
        """Why containers went, in this order."""
        return [
            str(getattr(body, "reason", "")) for body in self.kept.bodies if body.kind == "function.unloaded"
        ]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The pool works; in the end everything is gone."""
        async with asyncio.TaskGroup() as group:
            self.pool.open(group)
            yield
            await self.pool.drain()
        assert self.pool.statuses() == []
        assert self.kept.entries == {}
        assert all(serving.ended.done() for serving in self.runtime.made)


async def settled() -> None:
    """Everything that can happen now has happened."""
    for _ in range(100):
        await asyncio.sleep(0)
