"""Reading the log: the same promises in memory and on NATS, with one replica and with three."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from muster.broker.interface import Fence
from muster.model.log import subjects
from muster.model.log.catalogue import Unknown
from muster.model.log.envelope import decode, encode
from tests.fixtures.site import NOW, Site, decision, decisions, fact, ids, lead, sequences, take


async def test_an_empty_log(site: Site):
    """An empty log has a position, no newest event, and nothing to read."""
    broker = await site.connect()
    position = await broker.log.position()
    assert (position.first, position.last) == (0, 0)
    assert await broker.log.last(subjects.LEADER) is None
    assert await ids(broker) == []


async def test_position_moves_and_its_stream_does_not(site: Site):
    """The last sequence follows what is written, and the creation time stays."""
    broker = await site.connect()
    before = await broker.log.position()
    await broker.log.append(decisions("a", 3))
    after = await broker.log.position()
    assert (after.first, after.last) == (1, 3)
    assert after.created == before.created


async def test_the_place_of_a_time(site: Site):
    """A time has the place of the last event that was stored by then, whatever its writer's clock says."""
    broker = await site.connect()
    before = datetime.now(UTC)
    assert await broker.log.sequence_at(before) == 0
    between: list[datetime] = []
    for number in range(3):
        await asyncio.sleep(0.01)  # times pass, and nothing else tells
        await broker.log.append(decisions(f"d{number}", 2))
        await asyncio.sleep(0.01)
        between.append(datetime.now(UTC))
    assert [await broker.log.sequence_at(time) for time in (before, *between)] == [0, 2, 4, 6]
    far = [datetime.min.replace(tzinfo=UTC), NOW, datetime(1600, 1, 1, tzinfo=timezone(timedelta(hours=5)))]
    assert [await broker.log.sequence_at(time) for time in far] == [0, 0, 0]
    assert await broker.log.sequence_at(datetime.max.replace(tzinfo=UTC)) == 6
    assert await broker.history.sequence_at(between[0].astimezone(timezone(timedelta(hours=-7)))) == 2


async def test_the_place_of_a_time_where_events_were_erased(site: Site):
    """What was erased keeps its place: a reading up to the place of a time has what is left of what stood there."""
    broker = await site.connect()
    between: list[datetime] = []
    for execution in ("x1", "x2", "x1", "x1"):
        await asyncio.sleep(0.01)
        await broker.log.append([decision(f"{execution}-{len(between)}", execution)])
        await asyncio.sleep(0.01)
        between.append(datetime.now(UTC))
    await broker.log.erase("x1", 5)
    places = [await broker.log.sequence_at(time) for time in between]
    assert places == [1, 4, 4, 4]
    assert [await ids(broker, stop=place) for place in places] == [[], ["x2-1"], ["x2-1"], ["x2-1"]]
    await broker.log.erase("x2", 5)
    assert await broker.log.sequence_at(between[0]) == 4
    await broker.log.append([decision("new")])
    assert await broker.log.sequence_at(between[0]) == 4
    assert await broker.log.sequence_at(datetime.now(UTC)) == 5


async def test_read_from_and_to(site: Site):
    """A reading covers the sequences asked for, both ends included, and ends by itself."""
    broker = await site.connect()
    await broker.log.append(decisions("a", 20))
    assert await ids(broker, start=5, stop=8) == ["a-4", "a-5", "a-6", "a-7"]
    assert await ids(broker, start=19) == ["a-18", "a-19"]
    assert await ids(broker, start=3, stop=99) == [f"a-{number}" for number in range(2, 20)]
    assert await ids(broker, start=21) == []
    assert await ids(broker, start=8, stop=7) == []


async def test_a_reading_ends_while_more_is_written(site: Site):
    """A reading whose last batch holds also what was written after it began ends, with what it was asked for."""
    broker, writer = await site.connect(), await site.connect()
    await broker.log.append(decisions("a", 30))

    async def write() -> None:
        for number in range(60):
            await writer.log.append(decisions(f"b{number}", 1))

    writing = asyncio.create_task(write())
    while not writing.done():
        async with asyncio.timeout(30):
            assert len(await ids(broker)) >= 30
    await writing


async def test_a_reading_ends_though_the_rest_is_erased(site: Site):
    """What is erased while it is read is not waited for."""
    broker = await site.connect()
    await broker.log.append([decision(f"d{number}", "x1") for number in range(40)])
    position = await broker.log.position()
    async with asyncio.timeout(30):
        reading = broker.log.read(subjects=[subjects.events(execution="x1")])
        await broker.log.erase("x1", position.last + 1)
        assert [batch async for batch in reading] == []


async def test_read_with_filters(site: Site):
    """Filters choose by writer, by execution and by kind, alone and together, and end though the rest is longer."""
    broker = await site.connect()
    fence = await lead(broker)
    await broker.log.append([decision("d1", "x1"), decision("d2", "x2")], fence)
    await broker.log.append([fact("f1", "gpu-1", "x1"), fact("f2", "gpu-2", "x2")])
    await broker.log.append(decisions("tail", 3), fence)
    assert await ids(broker, subjects=[subjects.events(execution="x2")]) == ["d2", "f2"]
    assert await ids(broker, subjects=[subjects.events(writer="gpu-1")]) == ["f1"]
    assert await ids(broker, subjects=[subjects.events(noun="attempt")]) == ["f1", "f2"]
    assert await ids(broker, subjects=[subjects.events(verb="elected")]) == ["leader"]
    assert await ids(broker, subjects=[subjects.LEADER, subjects.events(writer="gpu-2")]) == ["leader", "f2"]
    assert await ids(broker, subjects=[subjects.events(writer="gpu-9")]) == []
    assert await ids(broker, subjects=[subjects.events(execution="x1")], stop=2) == ["d1"]


async def test_a_reading_ends_where_the_log_ended(site: Site):
    """What is appended while a reading goes on is not part of it."""
    broker = await site.connect(read_batch=10)
    await broker.log.append(decisions("a", 30))
    found = []
    async for batch in broker.log.read():
        assert len(batch) <= 10
        found += batch
        await broker.log.append(decisions(f"late-{found[-1].sequence}", 5))
    assert [recorded.sequence for recorded in found] == list(range(1, 31))


async def test_last_with_wildcards(site: Site):
    """The newest event is found by its full subject and by any pattern of tokens."""
    broker = await site.connect()
    await broker.log.append([fact("f1", "gpu-1", "x1"), fact("f2", "gpu-1", "x2"), fact("f3", "gpu-2", "x1")])

    async def last(subject: str) -> str | None:
        found = await broker.log.last(subject)
        return None if found is None else found.event.id

    assert await last("muster.events.gpu-1.x1.attempt.started") == "f1"
    assert await last(subjects.events(writer="gpu-1")) == "f2"
    assert await last(subjects.events(execution="x1")) == "f3"
    assert await last(subjects.EVENTS) == "f3"
    assert await last(subjects.events(writer="gpu-3")) is None


async def test_follow_goes_on_with_what_comes(site: Site):
    """A follower gets what is there and then what is written, by whomever, each event once and in order."""
    broker, other = await site.connect("a"), await site.connect("b")
    await broker.log.append(decisions("a", 5))
    async with contextlib.aclosing(broker.log.follow(2)) as following:
        assert [r.event.id for r in await take(following, 4)] == ["a-1", "a-2", "a-3", "a-4"]
        await other.log.append(decisions("b", 100))
        found = await take(following, 100)
    assert [r.sequence for r in found] == list(range(6, 106))


async def test_follow_with_a_filter(site: Site):
    """A follower with a filter sees nothing of the rest, whatever amount of it there is."""
    broker = await site.connect()
    async with contextlib.aclosing(
        broker.log.follow(subjects=[subjects.events(writer="gpu-1")])
    ) as following:
        await broker.log.append(decisions("a", 50))
        await broker.log.append([fact("f1", "gpu-1")])
        assert [r.event.id for r in await take(following, 1)] == ["f1"]


async def test_follow_hands_over_what_is_ready(site: Site):
    """One batch holds at most the configured number, and many events do not come one by one."""
    broker = await site.connect(read_batch=100)
    await broker.log.append(decisions("a", 1000))
    sizes: list[int] = []
    async with contextlib.aclosing(broker.log.follow()) as following:
        while sum(sizes) < 1000:
            sizes.append(len(await anext(following)))
    assert max(sizes) <= 100
    assert len(sizes) < 300


async def test_an_event_reaches_a_follower_at_once(site: Site):
    """An event that is written is with a follower far sooner than anything could have been polled."""
    broker, other = await site.connect("a"), await site.connect("b")
    delays, trips = [], []
    async with contextlib.aclosing(other.log.follow()) as following:
        for number in range(30):
            began = time.perf_counter()
            await broker.log.append([decision(f"d{number}")])
            await take(following, 1)
            delays.append(time.perf_counter() - began)
            began = time.perf_counter()
            await broker.log.position()
            trips.append(time.perf_counter() - began)
    assert sorted(delays)[15] < max(0.05, 10 * sorted(trips)[15])  # as quick as this machine is right now


async def test_two_followers_do_not_disturb_each_other(site: Site):
    """A follower that takes nothing does not hold up another on the same connection."""
    broker = await site.connect()
    async with (
        contextlib.aclosing(broker.log.follow()) as idle,
        contextlib.aclosing(broker.log.follow()) as busy,
    ):
        await broker.log.append([decision("d")])
        await take(idle, 1)
        await broker.log.append(decisions("a", 3000))
        assert len(await take(busy, 3001)) == 3001
        assert len(await take(idle, 3000)) == 3000


async def test_a_follower_outlives_its_connection(site: Site):
    """What was written while the connection was away comes when it is back: nothing is missed, nothing comes twice."""
    writer = await site.connect("writer")
    reader, network = await site.weak()
    await writer.log.append(decisions("a", 3))
    async with contextlib.aclosing(reader.log.follow()) as following:
        await take(following, 3)
        await network.cut()
        assert not reader.connected
        await writer.log.append(decisions("b", 40))
        await network.restore()
        await writer.log.append(decisions("c", 2))
        found = await take(following, 42)
    assert [r.sequence for r in found] == list(range(4, 46))
    assert reader.reconnects == 1


async def test_closing_ends_followers(site: Site):
    """A follower that waits ends when the connection is closed."""
    broker = await site.connect()
    await broker.log.append([decision("d")])
    following = broker.log.follow()
    await take(following, 1)
    waiting = asyncio.ensure_future(anext(following, None))
    await asyncio.sleep(0)
    await broker.close()
    async with asyncio.timeout(30):
        assert await waiting is None


@pytest.mark.parametrize(
    "payload",
    [
        b"rubbish\n\xff",
        b"{}",
        b'{"specversion":"1.0"}',
        b"",
        b'{"id":"a","source":"s","type":"x","time":"never"}',
    ],
)
async def test_rubbish_does_not_stop_a_reader(site: Site, payload: bytes):
    """A line that cannot be read comes as an unreadable event in its place, and what follows comes too."""
    broker = await site.connect()
    await broker.log.append([decision("before")])
    await site.put("muster.events.gpu-1.x7.step.odd", payload)
    await broker.log.append([decision("behind")])
    before, odd, behind = [r async for batch in broker.log.read() for r in batch]
    assert (before.event.id, behind.event.id) == ("before", "behind")
    event = odd.event
    assert (event.id, event.kind, event.writer, event.execution) == (
        "unreadable:2",
        "unreadable.event",
        "gpu-1",
        "x7",
    )
    assert isinstance(event.data, Unknown)
    assert msgspec.json.decode(event.data.raw) == payload.decode("utf-8", "replace")
    again = decode(encode(event))
    assert (again.id, again.kind, again.time) == (event.id, event.kind, event.time)


async def test_a_kind_from_the_future_is_handed_over(site: Site):
    """An event of a kind this release does not know is an event like others, with its data as it came."""
    broker = await site.connect()
    line = encode(decision("d")).replace(b"step.skipped.v1", b"step.dreamt.v3")
    await site.put("muster.events.scheduler.x1.step.dreamt", line)
    [recorded] = [r async for batch in broker.log.read() for r in batch]
    assert recorded.event.kind == "step.dreamt"
    assert encode(recorded.event) == line


async def test_sequence_zero_means_the_subject_is_empty(site: Site):
    """A fence at 0 holds until the first event is on its subject."""
    broker = await site.connect()
    fence = Fence(subjects.connected("gpu-1"), 0)
    sequences(await broker.log.append([fact("f1", "gpu-1")], fence))
    sequences(await broker.log.append([fact("f2", "gpu-1")], fence))


async def test_erasing_takes_one_execution_out(site: Site):
    """The events of the execution below the sequence are gone, its marker, others and all sequences stay."""
    broker = await site.connect()
    await broker.log.append([decision("a", "x1"), decision("b", "x2")])
    await broker.log.append([fact("c", "gpu-1", "x1"), decision("marker", "x1")])
    async with contextlib.aclosing(broker.log.follow()) as following:
        await take(following, 4)
        for _ in range(2):
            await broker.log.erase("x1", below=4)
        await broker.log.append([decision("d", "x1")])
        assert [(r.sequence, r.event.id) for r in await take(following, 1)] == [(5, "d")]
    assert await ids(broker) == ["b", "marker", "d"]
    position = await broker.log.position()
    assert (position.first, position.last) == (2, 5)
