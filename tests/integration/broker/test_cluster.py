"""A cluster of three that loses the server which leads the stream."""

import asyncio
import contextlib

import pytest

from muster.broker.interface import Appended, Refused, Unknown
from muster.broker.nats import NatsBroker
from muster.broker.nats.streams import EVENTS
from muster.settings import Settings
from tests.fixtures.broker import BrokerCluster
from tests.fixtures.site import decisions, ids, lead, take

pytestmark = [pytest.mark.slow, pytest.mark.blocking("servers are killed in place")]


@contextlib.asynccontextmanager
async def connected(cluster: BrokerCluster):
    """A connection that may move to any of the servers."""
    broker = await NatsBroker.connect(Settings(url=",".join(cluster.urls), replicas=3), name="test")
    try:
        await broker.prepare()
        yield broker
    finally:
        await broker.close()


async def test_the_log_goes_on_without_its_leader(broker_cluster: BrokerCluster):
    """Rounds are written while the stream's leader is killed: the log holds each once and whole, and none is lost.

    A round that ended Unknown is settled by reading, and written again where it is not there.
    """
    async with connected(broker_cluster) as writer, connected(broker_cluster) as reader:
        fence = await lead(writer)
        expected = ["leader"]
        async with contextlib.aclosing(reader.log.follow()) as following:
            for number in range(60):
                if number == 20:
                    leader = broker_cluster.stream_leader(EVENTS)
                    assert leader is not None
                    broker_cluster.node(leader).kill()
                await _write(writer, f"r{number}", 1 + number % 40, fence)
                expected += [f"r{number}-{index}" for index in range(1 + number % 40)]
            async with asyncio.timeout(30):
                found = await take(following, len(expected))
        assert [recorded.event.id for recorded in found] == expected
        assert await ids(writer) == expected


async def _write(writer: NatsBroker, name: str, count: int, fence) -> None:
    async with asyncio.timeout(40):
        while True:
            outcomes = await writer.log.append(decisions(name, count), fence)
            if all(isinstance(outcome, Appended) for outcome in outcomes):
                return
            assert not any(isinstance(outcome, Refused) for outcome in outcomes)
            assert any(isinstance(outcome, Unknown) for outcome in outcomes)
            await asyncio.sleep(0.1)
