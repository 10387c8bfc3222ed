"""The switches of the in-memory broker: what can be made to go wrong, and what then happens."""

import asyncio
import contextlib

import pytest

from muster.broker.interface import Appended, Refused, Unknown
from muster.broker.memory import MemoryBroker, MemoryStore
from muster.model.errors import BrokerError, LogChangedError
from muster.model.log.commands import Heartbeat
from tests.fixtures.site import NOW, decision, decisions, ids, lead, sequences, take


async def test_two_connections_share_a_store():
    """What one connection writes another reads; a connection without a store has its own."""
    store = MemoryStore()
    first, second = MemoryBroker(store), MemoryBroker(store)
    await first.log.append([decision("d")])
    assert await ids(second) == ["d"]
    assert await ids(MemoryBroker()) == []


async def test_lost_acks_are_stored():
    """The next calls are stored and Unknown, then all is well."""
    broker = MemoryBroker()
    broker.lose_acks(2)
    for number in range(2):
        [outcome] = await broker.log.append([decision(f"d{number}")])
        assert isinstance(outcome, Unknown)
    sequences(await broker.log.append([decision("d2")]))
    assert await ids(broker) == ["d0", "d1", "d2"]


async def test_lost_writes_are_not_stored():
    """The next call is Unknown and leaves nothing."""
    broker = MemoryBroker()
    broker.lose_writes()
    [outcome] = await broker.log.append([decision("d")])
    assert isinstance(outcome, Unknown)
    assert await ids(broker) == []


@pytest.mark.parametrize(("replicated", "stored"), [(False, 3), (True, 0)])
async def test_a_round_is_cut(replicated: bool, stored: int):
    """A cut round is stored up to the cut, or, on a replicated stream, not at all; either way it is Unknown."""
    broker = MemoryBroker(MemoryStore(replicated=replicated))
    broker.cut_next(3)
    outcomes = await broker.log.append(decisions("a", 5))
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    assert len(await ids(broker)) == stored


async def test_refusals_and_a_full_store():
    """The next call is refused with what was given; a full store refuses until there is room."""
    broker = MemoryBroker()
    fence = await lead(broker)
    broker.refuse_next(Refused(10071, "replaced", replaced=True))
    assert (
        await broker.log.append(decisions("a", 2), fence) == [Refused(10071, "replaced", replaced=True)] * 2
    )
    broker.store.full = True
    assert all(isinstance(o, Refused) and o.full for o in await broker.log.append(decisions("a", 2), fence))
    broker.store.full = False
    sequences(await broker.log.append(decisions("a", 2), fence))


async def test_held_appends_wait_and_break():
    """Held appends are under way until let go, in order; a broken connection makes them Unknown."""
    broker = MemoryBroker()
    broker.hold_appends()
    first = asyncio.ensure_future(broker.log.append([decision("a")]))
    second = asyncio.ensure_future(broker.log.append([decision("b")]))
    await asyncio.sleep(0)
    assert not first.done()
    broker.release_appends()
    assert [*await first, *await second] == [Appended(1), Appended(2)]
    broker.hold_appends()
    third = asyncio.ensure_future(broker.log.append([decision("c")]))
    await asyncio.sleep(0)
    broker.disconnect()
    assert isinstance((await third)[0], Unknown)


async def test_unknown_takes_its_time():
    """Where asked, an Unknown comes as late as a deadline would make it."""
    broker = MemoryBroker()
    broker.delay_unknown(0.05)
    broker.lose_acks()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await broker.log.append([decision("a")])
    assert loop.time() - began >= 0.04


async def test_without_a_connection():
    """Questions raise BrokerError, beats are lost, and ``reconnects`` counts the returns."""
    store = MemoryStore()
    broker, other = MemoryBroker(store), MemoryBroker(store)
    broker.disconnect()
    assert not broker.connected
    for question in (
        broker.log.position(),
        broker.log.last("a"),
        broker.heartbeats.last("a"),
        broker.prepare(),
    ):
        with pytest.raises(BrokerError):
            await question
    await broker.heartbeats.beat(Heartbeat(name="a", sequence=1, session=1, interval_s=1.0, time=NOW))
    assert await other.heartbeats.last("a") is None
    broker.reconnect()
    broker.reconnect()
    assert broker.connected
    assert broker.reconnects == 1


@pytest.mark.parametrize("grown", [0, 5])
async def test_a_lost_suffix_and_a_wiped_store_are_noticed(grown: int):
    """A follower learns that the log is shorter, that it is not the same, and that it is another one."""
    for harm in (lambda store: store.lose_from(3), MemoryStore.wipe):
        broker = MemoryBroker()
        await broker.log.append(decisions("a", 4))
        async with contextlib.aclosing(broker.log.follow()) as following:
            await take(following, 4)
            broker.disconnect()
            harm(broker.store)
            await MemoryBroker(broker.store).log.append(decisions("b", grown))
            broker.reconnect()
            with pytest.raises(LogChangedError):
                await anext(following)


async def test_purged_events_leave_gaps_and_no_error():
    """Erasure removes what matches below a sequence; readers go on, and numbers are not given again."""
    broker = MemoryBroker()
    await broker.log.append([decision("a", "x1"), decision("b", "x2"), decision("c", "x1")])
    async with contextlib.aclosing(broker.log.follow()) as following:
        await take(following, 3)
        broker.store.purge("muster.events.*.x1.>", below=3)
        await broker.log.append([decision("d", "x1")])
        assert [r.sequence for r in await take(following, 1)] == [4]
    assert await ids(broker) == ["b", "c", "d"]
    position = await broker.log.position()
    assert (position.first, position.last) == (2, 4)
    broker.store.purge("muster.events.>")
    assert (await broker.log.position()).last == 4
