"""All parts of Muster in one process: what ``muster up`` serves and what the demo runs.

The parts start in the order broker, scheduler, agent, projections, each on a connection of its own, and each is waited
for. They drain in the order agent, scheduler, projections, broker: what the agent says last is still decided
on, and what is decided last is still in the view. A part that fails ends all others, and its error is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from muster.broker.interface import Broker
from muster.cli.serving import connect
from muster.model.errors import BrokerError, ExecutionTimeoutError, MusterError
from muster.services import Service, service
from muster.settings import Settings

if TYPE_CHECKING:
    from muster.broker.embedded import EmbeddedBroker

READY_LIMIT_S: Final = 60.0  # the slowest start is that of an engine on a busy machine
BROKER_LOOK_S: Final = 0.5
DRAIN_ORDER: Final = ("agent", "scheduler", "projections")


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """What runs: the settings with the broker's true address, and whether the broker is our own."""

    settings: Settings
    own_broker: bool


class Part:
    """One service under way."""

    def __init__(self, name: str, run: Service, broker: Broker, say: Callable[[str], None]) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._run = run
        self._broker = broker
        self._say = say
        self._ready = asyncio.Event()

    async def start(self, group: asyncio.TaskGroup, settings: Settings, options: dict[str, Any]) -> None:
        """Start, and wait until it does its work. A part that fails before ends the group."""
        work = partial(self._run, self._broker, settings, stop=self.stop, ready=self._heard, **options)
        self.task = group.create_task(_serve(self.name, work, self.stop), name=f"muster-{self.name}")
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                await self._ready.wait()
        except TimeoutError:
            raise ExecutionTimeoutError(
                f"The {self.name} was not ready within {READY_LIMIT_S:g} s.",
                remedy="MUSTER_DEBUG=1 shows more.",
            ) from None

    async def end(self) -> None:
        """Ask it to stop and wait until it has drained."""
        self.stop.set()
        if self.task is not None:
            await asyncio.wait({self.task})

    def _heard(self, line: str) -> None:
        self._ready.set()
        self._say(line)


async def _serve(name: str, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    await work()
    if not stop.is_set():
        raise MusterError(f"The {name} ended by itself.", remedy="MUSTER_DEBUG=1 shows more.")


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    own_broker: bool,
    port: int | None = None,
    agent: dict[str, Any] | None = None,
    scheduler: dict[str, Any] | None = None,
    projections: bool = True,
    say: Callable[[str], None],
) -> AsyncIterator[Stack]:
    """Run the parts for the length of the block. ``say`` gets one line for each that is ready."""
    async with AsyncExitStack() as resources:
        server = await _embedded(resources, settings, port, say) if own_broker else None
        if server is not None:
            settings = msgspec.structs.replace(settings, url=server.url)
        wanted: list[tuple[str, dict[str, Any]]] = [("scheduler", scheduler or {})]
        if agent is not None:
            wanted.append(("agent", agent))
        if projections:
            wanted.append(("projections", {}))
        brokers = {name: await _connected(resources, settings, name) for name, _ in wanted}
        try:
            async with asyncio.TaskGroup() as group:
                parts: dict[str, Part] = {}
                watching = None if server is None else group.create_task(_watch(server), name="muster-broker")
                try:
                    for name, options in wanted:
                        parts[name] = Part(name, _service(name), brokers[name], say)
                        await parts[name].start(group, settings, options)
                    yield Stack(settings=settings, own_broker=own_broker)
                finally:
                    for name in DRAIN_ORDER:
                        if name in parts:
                            await parts[name].end()
                    if watching is not None:
                        watching.cancel()
        except BaseExceptionGroup as group_error:
            raise first(group_error) from group_error


def first(error: BaseException) -> BaseException:
    """The error that a group of errors began with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _service(name: str) -> Service:
    if name == "scheduler":
        from muster.scheduler.service import serve

        return serve
    return service(name)


async def _connected(resources: AsyncExitStack, settings: Settings, name: str) -> Broker:
    broker = await connect(settings, f"muster-{name}")
    resources.push_async_callback(broker.close)
    return broker


async def _embedded(
    resources: AsyncExitStack, settings: Settings, port: int | None, say: Callable[[str], None]
) -> EmbeddedBroker:
    from muster.broker.embedded import EmbeddedBroker

    server = EmbeddedBroker(settings, port=port)
    await resources.enter_async_context(server)
    say(f"broker {server.url}, its store in {settings.data_dir / 'nats'}")
    return server


async def _watch(server: EmbeddedBroker) -> None:
    while server.running:  # noqa: ASYNC110 - the one who waits for the process is a thread and tells nobody
        await asyncio.sleep(BROKER_LOOK_S)
    raise BrokerError("The embedded broker ended.", remedy=f"Its log is {server.log_path}.")
