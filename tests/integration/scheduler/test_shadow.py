"""A shadow on a real broker: with the permissions of a reader, and over a restart of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from muster.broker.nats import NatsBroker
from muster.client.client import Client
from muster.clock import Clock
from muster.identity import uuid7
from muster.model.errors import BrokerError
from muster.model.log.commands import Cancel
from muster.model.proof.shadow import Disagreement
from muster.scheduler.options import ShadowOptions
from muster.scheduler.report import Notice
from muster.scheduler.service import serve
from muster.scheduler.shadow import Shadow
from muster.settings import Settings
from muster_agents.service import serve as serve_agent
from tests.fixtures.broker import Broker
from tests.fixtures.play import diamond

pytestmark = pytest.mark.broker

READS = [
    # where the log ends; the newest of a kind; a consumer of its own in the broker's memory, which it takes away again
    "$JS.API.STREAM.INFO.MUSTER_EVENTS",
    "$JS.API.STREAM.MSG.GET.MUSTER_EVENTS",
    "$JS.API.CONSUMER.CREATE.MUSTER_EVENTS.>",
    "$JS.API.CONSUMER.MSG.NEXT.MUSTER_EVENTS.>",
    "$JS.API.CONSUMER.DELETE.MUSTER_EVENTS.>",
]
HEARS = ["_INBOX.>", "muster.heartbeats.>"]
QUICK = ShadowOptions(quiet_s=0.2, patience_s=1.0, silent_s=5.0, tick_s=0.05, asleep_s=0.5, rest=0)


@pytest.fixture
def guarded(make_broker: Callable[..., Broker]) -> Broker:
    """A broker with one user who may do everything, and one who may only read the log and hear beats."""
    may = ", ".join(f'"{subject}"' for subject in READS)
    hears = ", ".join(f'"{subject}"' for subject in HEARS)
    return make_broker(
        extra=(
            'authorization { users: [ { user: "all", password: "p" }, { user: "reader", password: "p", permissions: '
            f"{{ publish: {{ allow: [ {may} ] }}, subscribe: {{ allow: [ {hears} ] }} }} }} ] }}"
        )
    )


@asynccontextmanager
async def connected(url: str, user: str) -> AsyncIterator[NatsBroker]:
    broker = await NatsBroker.connect(Settings(url=url.replace("//", f"//{user}:p@")), name=user)
    try:
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def serving(service: Any, broker: NatsBroker, folder: Path, **options: Any) -> AsyncIterator[None]:
    """A service on this connection, stopped in the end."""
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings(data_dir=folder)
    task = asyncio.create_task(
        service(broker, settings, stop=stop, ready=lambda _: ready.set(), **options), name="service"
    )
    try:
        await ready.wait()
        yield
    finally:
        stop.set()
        await task


@asynccontextmanager
async def cluster(url: str, user: str, folder: Path) -> AsyncIterator[Client]:
    """A scheduler, an agent on the noop runtime, and a client."""
    async with (
        connected(url, user) as first,
        connected(url, user) as second,
        connected(url, user) as third,
        serving(serve, first, folder, name="a"),
        serving(serve_agent, second, folder, name="m1", runtime="noop", slots=4),
        Client(broker=third) as client,
    ):
        yield client


class Telling:
    """What a shadow tells, as it can be awaited."""

    def __init__(self) -> None:
        self.said: list[Disagreement | Notice] = []
        self._grown = asyncio.Event()

    def __call__(self, said: Disagreement | Notice) -> None:
        """Take it."""
        self.said.append(said)
        self._grown.set()

    async def tells(self, kind: str) -> None:
        """Wait for the first of its kind."""
        while not any(said.kind == kind for said in self.said):
            self._grown.clear()
            await self._grown.wait()


async def reads(shadow: Shadow, broker: NatsBroker) -> None:
    last = (await broker.log.position()).last
    while shadow.standing.sequence < last:
        await asyncio.sleep(0.01)


async def test_a_reader_of_the_log_may_be_a_shadow(guarded: Broker, tmp_path: Path) -> None:
    """With nothing but permission to read it compares all there is and hears the leader; nothing is refused."""
    async with (
        asyncio.timeout(40),
        cluster(guarded.url, "all", tmp_path) as client,
        connected(guarded.url, "reader") as reader,
    ):
        before = await client.submit(diamond())
        await client.wait(before)
        telling, stop = Telling(), asyncio.Event()
        shadow = Shadow(reader, QUICK, Clock(), telling)
        running = asyncio.create_task(shadow.run(stop))
        await telling.tells("caught_up")
        for _ in range(3):
            await client.wait(await client.submit(diamond()))
        await reads(shadow, reader)
        await asyncio.sleep(2 * QUICK.patience_s)  # long enough to ask what is owed
        stop.set()
        standing = await running
        assert standing.disagreements == 0
        assert standing.decisions > 40
        assert standing.unanswered_s == 0
        assert {said.kind for said in telling.said} == {"caught_up"}
        assert "Violation" not in guarded.log
        with pytest.raises(BrokerError):  # and it does refuse
            await reader.commands.send("scheduler", "cancel", Cancel(id="c", execution="x"))
    assert "Violation" in guarded.log


async def submitted(client: Client) -> str:
    """Submit to a broker that has just come back: whoever does not know whether he was heard says it again."""
    execution = uuid7()
    while True:
        with suppress(BrokerError):
            return await client.submit(diamond(), execution=execution)


async def test_a_shadow_outlives_the_broker(broker: Broker, tmp_path: Path) -> None:
    """Over a kill and a restart of the broker it goes on where it was, and blames nobody for the time between."""
    async with (
        asyncio.timeout(50),
        cluster(broker.url, "all", tmp_path) as client,
        connected(broker.url, "all") as reader,
    ):
        await client.wait(await client.submit(diamond()))
        telling, stop = Telling(), asyncio.Event()
        shadow = Shadow(reader, QUICK, Clock(), telling)
        running = asyncio.create_task(shadow.run(stop))
        await telling.tells("caught_up")
        broker.kill()
        broker.start()
        while not client.broker.reconnects:
            await asyncio.sleep(0.01)
        await client.wait(await submitted(client))
        await reads(shadow, reader)
        stop.set()
        standing = await running
    assert standing.disagreements == 0
    assert standing.decisions > 20


async def test_without_a_log_there_is_no_shadow(broker: Broker) -> None:
    """Where no scheduler has ever made the streams, it says that instead of making them."""
    async with connected(broker.url, "all") as reader:
        with pytest.raises(BrokerError):
            await Shadow(reader, QUICK, Clock(), Telling()).run(asyncio.Event())
