"""One store in memory, the schedulers and agents that are connected to it, and machines that are played by hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muster.broker import codec
from muster.broker.memory import MemoryBroker, MemoryStore
from muster.broker.memory.kept import Item
from muster.clock import Clock
from muster.identity import uuid7
from muster.model.log import catalogue as c
from muster.model.log import envelope, subjects
from muster.model.log.body import Body
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Command, Submit
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.policy import Policy
from muster.scheduler.service import serve
from muster.settings import Settings
from muster_agents.service import serve as serve_agent

QUICK: dict[str, Any] = {
    "beat_interval_s": 0.05,
    "takeover_after_s": 0.2,
    "tick_s": 0.02,
    "sweep_s": 0.2,
    "policy": Policy(resend_after_s=0.2, beat_slack_s=0.1),
}
UNHURRIED_S = 100.0  # a machine that beats as seldom is never found missing


class Jumping(Clock):
    """A clock of which time can be taken away."""

    ahead_s = 0.0

    def seconds(self) -> float:
        return super().seconds() + self.ahead_s


class Puppet:
    """A machine without an agent: what it says is put into the log by hand, whatever it is."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self.name = name
        self.n = 0

    def connect(self, *, slots: int = 8, interval_s: float = UNHURRIED_S) -> None:
        """It takes its place."""
        facts = c.MachineFacts(slots=slots, cpus=8.0, memory=8 << 30)
        self.say(c.MachineConnected(instance="by hand", facts=facts, interval_s=interval_s))

    def say(self, body: Body, ref: AttemptRef | None = None, *, time: datetime | None = None) -> None:
        """It reports ``body``."""
        self.n += 1
        event = Event(
            id=f"{self.name}/{self.n}",
            writer=self.name,
            time=time or datetime.now(UTC),
            data=body,
            execution=ref.execution if ref else NO_EXECUTION,
            step=ref.step if ref else None,
            attempt=ref.attempt if ref else None,
            machine=self.name,
            n=self.n,
        )
        self._store.put(subjects.event(event), envelope.encode(event))


class Site:
    """One store and whoever is connected to it."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.settings = Settings(data_dir=folder)
        self.client = MemoryBroker(self.store)
        self.started = AsyncExitStack()
        self._services: list[asyncio.Task[None]] = []

    async def scheduler(self, name: str, **options: Any) -> MemoryBroker:
        """Start a scheduler; its broker connection is for faults."""
        return await self._start(serve, name=name, **{**QUICK, **options})

    async def agent(self, name: str = "m1", **options: Any) -> MemoryBroker:
        """Start an agent on the noop runtime."""
        return await self._start(
            serve_agent, name=name, runtime="noop", interval_s=0.1, **{"slots": 4, **options}
        )

    async def _start(self, service: Any, **options: Any) -> MemoryBroker:
        broker, stop, ready = MemoryBroker(self.store), asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(
            service(broker, self.settings, stop=stop, ready=lambda _: ready.set(), **options)
        )

        async def end() -> None:
            stop.set()
            await task
            await broker.close()

        self.started.push_async_callback(end)
        await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        self._services.append(task)
        return broker

    # ---- what is asked for

    async def submit(self, definition: dict[str, Any], execution: str | None = None) -> str:
        """Submit and return the execution's id."""
        execution = execution or uuid7()
        await self.send("submit", Submit(id=uuid7(), execution=execution, workflow=definition))
        return execution

    async def send(self, verb: str, command: Command) -> None:
        """Send the scheduler a command."""
        await self.client.commands.send(SCHEDULER, verb, command)

    def deliver(self, verb: str, *commands: Command | bytes) -> None:
        """Put commands into the scheduler's queue, all at once, whatever they hold and whether they came before."""
        payloads = [command if isinstance(command, bytes) else codec.encode(command) for command in commands]
        self.store.queues.items.setdefault(SCHEDULER, []).extend(Item(verb, payload) for payload in payloads)
        self.store.changed.notify()

    # ---- what is in the log

    async def until(self, kind: str, execution: str = "*", count: int = 1) -> Recorded:
        """The ``count``-th event of ``kind``, now or when it comes. A service that dies meanwhile says why."""
        looking = asyncio.create_task(self._find(kind, execution, count))
        try:
            await asyncio.wait({looking, *self._services}, return_when=asyncio.FIRST_COMPLETED)
            for service in self._services:
                if service.done():
                    service.result()
            return await looking
        finally:
            looking.cancel()

    async def _find(self, kind: str, execution: str, count: int) -> Recorded:
        noun, verb = kind.split(".")
        wanted = subjects.events(execution=execution, noun=noun, verb=verb)
        async for batch in self.client.log.follow(1, subjects=[wanted]):
            for recorded in batch:
                count -= 1
                if count == 0:
                    return recorded
        raise AssertionError("the log ended")

    async def history(self, execution: str) -> list[Recorded]:
        """All events about one execution."""
        return await self._read(subjects.events(execution=execution))

    async def elections(self) -> int:
        """How often a scheduler was elected."""
        return len(await self._read(subjects.LEADER))

    async def _read(self, wanted: str) -> list[Recorded]:
        return [r async for batch in self.client.log.read(1, subjects=[wanted]) for r in batch]

    # ---- machines played by hand

    def puppet(self, name: str = "m1", **options: Any) -> Puppet:
        """A machine played by hand that has connected."""
        puppet = Puppet(self.store, name)
        puppet.connect(**options)
        return puppet

    async def many_ticks(self) -> None:
        """Return when every scheduler has ticked often: the leader found out that a machine never beats."""
        Puppet(self.store, "mute").connect(slots=0, interval_s=0.05)
        count = 1
        while (await self.until("machine.offline", count=count)).event.machine != "mute":
            count += 1


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """The block must end in time."""
    async with asyncio.timeout(seconds):
        yield


def once(history: list[Recorded]) -> None:
    """Every event stands in the log once, and every step has one outcome."""
    assert [i for i, n in Counter(r.event.id for r in history).items() if n > 1] == []
    outcomes = Counter(r.event.step for r in history if r.event.kind in {"step.succeeded", "step.failed"})
    assert set(outcomes.values()) == {1}
