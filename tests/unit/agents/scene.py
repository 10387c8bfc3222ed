"""An agent on an in-memory broker, and somebody who gives it orders and reads what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

from muster.broker.interface import Broker
from muster.identity import uuid7
from muster.model.definition.workflow import ContainerSpec
from muster.model.log import subjects
from muster.model.log.catalogue import AttemptRef, MachineConnected
from muster.model.log.commands import AttemptOrder, AttemptResources, AttemptTimeouts, Start, Stop
from muster.model.log.envelope import Recorded
from muster.settings import Settings
from muster_agents.service import serve

MACHINE = "m1"
TIMEOUTS = AttemptTimeouts(pull=30, start=30, load=30, run=30, grace=5)
WAIT_S = 30.0
ANY_ROOM = AttemptResources()


def order(
    step: str = "work",
    *,
    execution: str = "e1",
    attempt: int = 1,
    image: str = "busybox",
    timeouts: AttemptTimeouts = TIMEOUTS,
    resources: AttemptResources = ANY_ROOM,
    inputs: dict[str, Any] | None = None,
    outputs: dict[str, Any] | None = None,
    **container: Any,
) -> AttemptOrder:
    """An order; what is not named goes to its container."""
    return AttemptOrder(
        execution=execution,
        step=step,
        attempt=attempt,
        workflow="w",
        container=ContainerSpec(image=image, **container),
        timeouts=timeouts,
        resources=resources,
        inputs=inputs or {},
        outputs=outputs or {},
    )


def shell(script: str, step: str = "work", **rest: Any) -> AttemptOrder:
    """An order that runs a shell script."""
    return order(step, command=["/bin/sh", "-c", script], **rest)


class Scene:
    """What happens around one machine."""

    def __init__(self, broker: Broker, folder: Path, **options: Any) -> None:
        self.broker = broker
        self.settings = Settings(data_dir=folder)
        self.options = {
            "name": MACHINE,
            "runtime": "noop",
            "slots": 8,
            "interval_s": 0.05,
            "append_retry_s": 0.02,
            "guard_s": 0.05,
            "drain_flush_s": 2.0,
            "lock_wait_s": 1.0,
            "log_flush_s": WAIT_S,  # tests read what was printed when they see the end
        } | options
        self.greeting = ""

    @property
    def name(self) -> str:
        """The machine's."""
        return str(self.options["name"])

    @contextlib.asynccontextmanager
    async def agent(self, broker: Broker | None = None, **options: Any) -> AsyncIterator[Agent]:
        """An agent that works; at the end of the block it is asked to end, and awaited."""
        await self.broker.commands.open(self.name)
        running = Agent(self, broker or self.broker, self.options | options)
        try:
            await running.is_ready()
            yield running
        finally:
            await running.end()

    async def start(self, *orders: AttemptOrder, session: int | None = None) -> str:
        """Order attempts of the newest connection."""
        command = Start(id=uuid7(), session=session or await self.session(), attempts=list(orders))
        await self.broker.commands.send(self.name, "start", command)
        return command.id

    async def stop(self, *refs: AttemptRef, reason: str = "asked to") -> str:
        """Order them to stop."""
        command = Stop(id=uuid7(), attempts=list(refs), reason=reason)
        await self.broker.commands.send(self.name, "stop", command)
        return command.id

    async def session(self) -> int:
        """The sequence of the newest connection."""
        last = await self.broker.log.last(subjects.connected(self.name))
        assert last is not None
        return last.sequence

    async def connection(self) -> MachineConnected:
        """What the newest connection says."""
        last = await self.broker.log.last(subjects.connected(self.name))
        assert last is not None
        assert isinstance(last.event.data, MachineConnected)
        return last.event.data

    async def events(self, execution: str = "*") -> list[Recorded]:
        """Everything the machine wrote."""
        filter_ = subjects.events(writer=self.name, execution=execution)
        return [recorded async for batch in self.broker.log.read(subjects=[filter_]) for recorded in batch]

    async def kinds(self, execution: str = "e1") -> list[str]:
        """What was written of one execution."""
        return [recorded.event.kind for recorded in await self.events(execution)]

    async def until(self, kind: str, *, execution: str = "*", count: int = 1, after: int = 0) -> Any:
        """The data of the ``count``-th event of this kind, as soon as it is there."""
        noun, verb = kind.split(".")
        filter_ = subjects.events(writer=self.name, execution=execution, noun=noun, verb=verb)
        seen = 0
        async with asyncio.timeout(WAIT_S), contextlib.aclosing(self._follow(after + 1, filter_)) as follow:
            async for recorded in follow:
                seen += 1
                if seen == count:
                    return recorded.event.data
        raise AssertionError(f"the log ended before {kind}")

    async def _follow(self, start: int, filter_: str) -> AsyncGenerator[Recorded, None]:
        source: Any = self.broker.log.follow(start, subjects=[filter_])
        try:
            async for batch in source:
                for recorded in batch:
                    yield recorded
        finally:
            await source.aclose()

    async def printed(self, *texts: str, step: str = "work", execution: str = "e1") -> None:
        """Wait until an attempt has printed this and nothing else: the last lines may come after its end."""
        async with asyncio.timeout(WAIT_S):
            while await self.lines(step, execution) != list(texts):
                await asyncio.sleep(0.02)

    async def lines(self, step: str = "work", execution: str = "e1") -> list[str]:
        """What an attempt printed."""
        return [line.text async for _, _, line in self.broker.lines.read(execution, step=step)]


class Agent:
    """``serve`` in a task."""

    def __init__(self, scene: Scene, broker: Broker, options: dict[str, Any]) -> None:
        self.stop = asyncio.Event()
        self._ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Future[None] = asyncio.create_task(
            serve(broker, scene.settings, stop=self.stop, ready=self._ready.set_result, **options)
        )

    async def is_ready(self) -> str:
        """What it says when it works; its error where it does not come to that."""
        await asyncio.wait([self._ready, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            await self.task
        return str(self._ready.result())

    async def end(self) -> None:
        """As SIGTERM would."""
        self.stop.set()
        await self.task

    async def die(self) -> None:
        """As nearly as kill -9 as a task can: nothing is drained."""
        self.task.cancel()
        await asyncio.wait({self.task})
        self.task = asyncio.get_running_loop().create_future()
        self.task.set_result(None)
