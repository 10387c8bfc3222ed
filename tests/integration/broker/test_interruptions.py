"""What happens on a real broker when it, or the way to it, fails."""

import asyncio
import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from muster.broker.codec import decode_command
from muster.broker.interface import Appended, Refused, Unknown
from muster.broker.nats import NatsBroker
from muster.model.errors import LogChangedError
from muster.model.log.commands import Cancel, Heartbeat
from muster.model.log.envelope import Recorded
from muster.settings import Settings
from tests.fixtures.broker import Broker as Server
from tests.fixtures.process import free_port
from tests.fixtures.proxy import Proxy
from tests.fixtures.site import NOW, decision, decisions, hasty, ids, lead, sequences, take
from tests.fixtures.stalls import Stalls


@contextlib.asynccontextmanager
async def connected(url: str, **settings: Any):
    """A prepared connection, closed in the end."""
    broker = await NatsBroker.connect(Settings(url=url, **settings), name="test")
    try:
        await broker.prepare()
        yield broker
    finally:
        await broker.close()


async def settled(broker: NatsBroker, reconnects: int = 1) -> None:
    """Until the connection was lost and came back."""
    async with asyncio.timeout(40):
        while broker.reconnects < reconnects or not broker.connected:
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.blocking("the server is killed and started in place")
async def test_follow_over_a_killed_broker(broker: Server):
    """The broker is killed and started on the same store, twice: a follower misses nothing and sees nothing twice."""
    async with connected(broker.url) as writer, connected(broker.url) as reader:
        found: list[Recorded] = []
        async with contextlib.aclosing(reader.log.follow()) as following:
            for stretch in range(3):
                sequences(await writer.log.append(decisions(f"s{stretch}", 700)))
                found += await take(following, (350, 350, 2100 - len(found))[stretch])
                if stretch < 2:
                    broker.kill()
                    broker.start()
                    await settled(writer, stretch + 1)
        assert [r.sequence for r in found] == list(range(1, 2101))
        assert len({r.event.id for r in found}) == 2100


@pytest.mark.blocking("the server is killed and started in place")
async def test_commands_and_beats_over_a_killed_broker(broker: Server):
    """After a restart commands that were sent are still there, and beats, whose stream was in memory, go on."""
    beat = Heartbeat(name="gpu-1", sequence=1, session=1, interval_s=1.0, time=NOW)
    async with connected(broker.url) as first, connected(broker.url) as second:
        await first.commands.open("gpu-1")
        async with (
            contextlib.aclosing(second.commands.receive("gpu-1")) as receiving,
            contextlib.aclosing(second.heartbeats.listen()) as listening,
            asyncio.timeout(40),
        ):
            coming, heard = asyncio.ensure_future(anext(receiving)), asyncio.ensure_future(anext(listening))
            await asyncio.sleep(0.1)
            broker.kill()
            broker.start()
            await settled(first)
            await settled(second)
            await first.commands.send("gpu-1", "cancel", Cancel(id="c1", execution="x"))
            [delivery] = await coming
            assert delivery.verb == "cancel"
            while not heard.done():
                await first.heartbeats.beat(beat)
                await asyncio.sleep(0.02)
            assert (await heard).name == "gpu-1"
            while await first.heartbeats.last("gpu-1") is None:
                await first.heartbeats.beat(beat)
                await asyncio.sleep(0.05)


@pytest.mark.blocking("the server is reset in place")
async def test_a_wiped_store_is_noticed(broker: Server):
    """The broker comes back with an empty store: the follower says so and stops instead of folding another history."""
    async with connected(broker.url) as reader:
        await reader.log.append(decisions("a", 3))
        async with contextlib.aclosing(reader.log.follow()) as following:
            await take(following, 3)
            broker.reset()
            await settled(reader)
            async with connected(broker.url), asyncio.timeout(40):
                with pytest.raises(LogChangedError, match="made anew"):
                    await anext(following)


@pytest.mark.blocking("the server is stopped and started in place")
@pytest.mark.parametrize(
    ("grown", "said"), [(0, "ends at 3, but 5 was read"), (4, "not the one that was read")]
)
async def test_a_lost_suffix_is_noticed(broker: Server, tmp_path: Path, grown: int, said: str):
    """The broker lost acknowledged writes: noticed when the log is shorter, and when it has grown past that again."""
    saved = tmp_path / "saved"
    async with connected(broker.url) as writer:
        await writer.log.append(decisions("a", 3))
    broker.stop()
    shutil.copytree(broker.store, saved)
    broker.start()
    async with connected(broker.url) as reader, contextlib.aclosing(reader.log.follow()) as following:
        await reader.log.append(decisions("b", 2))
        await take(following, 5)
        broker.kill()
        shutil.rmtree(broker.store)
        shutil.copytree(saved, broker.store)
        # On another port first, so that the log grows before the reader looks.
        port, broker.port = broker.port, free_port()
        broker.start()
        async with connected(broker.url) as writer:
            await writer.log.append(decisions("c", grown))
        broker.stop()
        broker.port = port
        broker.start()
        async with asyncio.timeout(40):
            with pytest.raises(LogChangedError, match=said):
                await anext(following)


async def test_a_reader_from_beyond_the_end_is_told(broker: Server):
    """Whoever has read further than the log goes learns it when it begins to follow."""
    async with connected(broker.url) as reader:
        await reader.log.append(decisions("a", 3))
        with pytest.raises(LogChangedError):
            await anext(reader.log.follow(9))


async def test_a_silent_broker_is_unknown_at_the_deadline(broker: Server, tmp_path: Path):
    """A broker that is frozen answers nothing and breaks nothing: every write ends Unknown at its deadline."""
    async with connected(broker.url) as writer:
        fence = await lead(writer)
        broker.pause()
        try:
            began = time.monotonic()
            with hasty(writer, 0.6), Stalls(tmp_path) as lost:
                calls = await asyncio.gather(
                    *(writer.log.append([decision(f"d{number}")], fence) for number in range(100)),
                    writer.log.append(decisions("batch", 100), fence),
                )
                took_s = time.monotonic() - began
            assert 0.5 < took_s < Settings().append_deadline_s + lost.seconds
            assert all(isinstance(outcome, Unknown) for call in calls for outcome in call)
        finally:
            broker.unpause()


@pytest.mark.blocking("the server is killed in place")
async def test_writes_under_way_end_when_the_broker_dies(broker: Server):
    """With 100 writes under way the broker dies: every one has an outcome, and waits for no deadline."""
    async with connected(broker.url, append_deadline_s=1000) as writer:
        fence = await lead(writer)
        broker.pause()
        under_way = [
            asyncio.ensure_future(writer.log.append([decision(f"d{number}")], fence)) for number in range(100)
        ]
        under_way.append(asyncio.ensure_future(writer.log.append(decisions("batch", 100), fence)))
        await asyncio.sleep(0.1)
        broker.kill()
        calls = await asyncio.gather(*under_way)
        assert all(isinstance(outcome, Unknown) for call in calls for outcome in call)


async def test_a_hundred_writes_of_a_replaced_writer_over_a_broken_connection(broker: Server):
    """A writer replaced with 100 writes under way and then cut off: each ends refused or unknown, none is stored."""
    async with (
        Proxy(broker.port) as proxy,
        connected(broker.url) as successor,
        connected(proxy.url, append_deadline_s=1000) as old,  # none of them waits for it
    ):
        fence = await lead(old)
        proxy.stall()
        under_way = [
            asyncio.ensure_future(old.log.append([decision(f"late-{number}")], fence))
            for number in range(100)
        ]
        await lead(successor, "successor", after=fence.sequence)
        proxy.flow()
        early = await under_way[0]
        proxy.cut()
        outcomes = [outcome for call in await asyncio.gather(*under_way) for outcome in call]
        assert isinstance(early[0], Refused)
        assert not any(isinstance(outcome, Appended) for outcome in outcomes)
        assert await ids(successor) == ["leader", "successor"]


async def test_nothing_is_sent_after_its_outcome(broker: Server):
    """What was Unknown because it could not leave is not sent when the connection is back, behind the caller's back."""
    async with Proxy(broker.port) as proxy, connected(broker.url) as other, connected(proxy.url) as writer:
        proxy.stall()
        large = [decision(f"d{number}", reason="x" * 400_000) for number in range(100)]
        under_way = [asyncio.ensure_future(writer.log.append([event])) for event in large]
        await asyncio.sleep(0.2)
        proxy.cut()
        outcomes = [outcome for call in await asyncio.gather(*under_way) for outcome in call]
        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        last = (await other.log.position()).last
        proxy.restore()
        await settled(writer)
        assert sequences(await writer.log.append([decision("next")])) == [last + 1]
        assert await ids(other, start=last + 1) == ["next"]


async def test_requests_that_expire_are_made_again(broker: Server, monkeypatch: pytest.MonkeyPatch):
    """A follower that hears nothing for longer than its requests live goes on with the same consumer."""
    monkeypatch.setattr("muster.broker.nats.pull.EXPIRES_S", 3)
    monkeypatch.setattr(
        "muster.broker.nats.pull.HEARTBEAT_S", 1.4
    )  # whose watchdog forgives nearly four seconds
    async with (
        connected(broker.url) as writer,
        connected(broker.url) as reader,
        contextlib.aclosing(reader.log.follow()) as following,
        asyncio.timeout(40),
    ):
        await writer.log.append(decisions("a", 2))
        await take(following, 2)
        before = [sub.subject for sub in reader._connection.nc._subs.values()]
        coming = asyncio.ensure_future(take(following, 2))
        await asyncio.sleep(4.0)  # longer than the requests live
        await writer.log.append(decisions("b", 2))
        assert [r.event.id for r in await coming] == ["b-0", "b-1"]
        assert [sub.subject for sub in reader._connection.nc._subs.values()] == before


async def test_a_stalled_reader_is_found_out(broker: Server, monkeypatch: pytest.MonkeyPatch):
    """Heartbeats that stay away make a reader begin anew, though its connection never broke."""
    monkeypatch.setattr("muster.broker.nats.pull.HEARTBEAT_S", 0.1)
    async with (
        connected(broker.url) as writer,
        connected(broker.url) as reader,
        contextlib.aclosing(reader.log.follow()) as following,
        asyncio.timeout(40),
    ):
        await writer.log.append(decisions("a", 2))
        await take(following, 2)
        newest = list(reader._connection.nc._subs.values())[-1]
        newest._pending_queue.put_nowait = lambda _: None  # it goes deaf
        await writer.log.append(decisions("b", 2))
        assert [r.event.id for r in await take(following, 2)] == ["b-0", "b-1"]


async def test_commands_on_their_way_to_one_who_leaves(broker: Server):
    """What was sent to a receiver that leaves before it came is there for the next at once, not after the ack wait."""
    async with Proxy(broker.port) as proxy, connected(broker.url) as other, connected(proxy.url) as agent:
        await other.commands.open("gpu-1")
        receiving = agent.commands.receive("gpu-1")
        await other.commands.send("gpu-1", "cancel", Cancel(id="first", execution="x"))
        [first] = await anext(receiving)
        await first.done()
        waiting = asyncio.ensure_future(anext(receiving))
        await asyncio.sleep(0.1)  # nothing tells when the broker has the request
        proxy.stall()
        for number in range(3):
            await other.commands.send("gpu-1", "cancel", Cancel(id=f"c{number}", execution="x"))
        waiting.cancel()
        leaving = asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0.05)
        proxy.flow()
        await leaving
        found: list[str] = []
        async with asyncio.timeout(30), contextlib.aclosing(other.commands.receive("gpu-1")) as next_one:
            while len(found) < 3:
                found += [decode_command(d.verb, d.payload).id for d in await anext(next_one)]
        assert sorted(found) == ["c0", "c1", "c2"]


async def test_a_ping_nobody_waits_for(broker: Server):
    """The answer to a ping whose sender was cancelled does not stop the reading of everything that comes after."""
    async with Proxy(broker.port) as proxy, connected(proxy.url) as writer:
        proxy.stall()
        ping = asyncio.ensure_future(writer._connection.round_trip(5))
        await asyncio.sleep(0.05)
        ping.cancel()
        await asyncio.wait({ping})
        proxy.flow()
        async with asyncio.timeout(30):
            await lead(writer)
            assert await ids(writer) == ["leader"]
