"""Reading across the border: the same promises in memory and on NATS, with one replica and with three."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import nats
import pytest

from muster.archive.packing import pack
from muster.broker.interface import Broker
from muster.broker.nats import NatsBroker
from muster.broker.nats.objects import BUCKET
from muster.model.errors import ArchiveDamagedError, ArchiveUnavailableError
from muster.model.log import subjects
from muster.model.log.envelope import encode
from tests.fixtures.histories import History as Story
from tests.fixtures.histories import history
from tests.fixtures.moving import about, everything, move, put, tell
from tests.fixtures.site import KINDS, NatsSite, Site, decision, fact, take

ON_NATS = pytest.mark.parametrize(
    "site", [kind for kind in KINDS if not isinstance(kind, str)], indirect=True
)


async def stories(broker: Broker, executions: int = 6, seed: int = 7) -> Story:
    """A history in the log, place by place as it was told."""
    story = history(seed, executions=executions, mishaps=0.0)
    for recorded in story.events:
        await broker.log.append([recorded.event])
    return story


def ids_of(story: Story) -> list[str]:
    return list(dict.fromkeys(r.event.execution for r in story.events if r.event.execution != "-"))


def lines(found) -> list[tuple[int, bytes]]:
    return [(each.sequence, encode(each.event)) for each in found]


async def test_history_is_the_log_before_anything_is_archived(site: Site):
    """With no archive a reading of history is a reading of the log."""
    broker = await site.connect()
    await stories(broker)
    assert lines(await everything(broker.history)) == lines(await everything(broker.log))
    assert await broker.history.position() == await broker.log.position()


async def test_what_was_archived_is_read_as_before(site: Site):
    """Every reading of history gives, byte for byte and in order, what it gave before; the log itself has let it go."""
    broker = await site.connect()
    story = await stories(broker)
    chosen = ids_of(story)[:4]
    filters = [
        [],
        [subjects.events(execution=chosen[0])],
        [subjects.events(execution=chosen[0]), subjects.events(execution=ids_of(story)[5])],
        [subjects.events(writer="gpu-1")],
        [subjects.events(noun="execution", verb="succeeded")],
        ["muster.events.*.*.step.*"],
    ]
    before = [lines(await everything(broker.history, subjects=each)) for each in filters]
    part = lines(await everything(broker.history, 20, stop=77))
    position = await broker.history.position()
    await move(broker, *chosen)
    for execution in chosen:
        assert await about(broker.log, execution) == []
    last = position.last
    assert [lines(await everything(broker.history, subjects=each, stop=last)) for each in filters] == before
    assert lines(await everything(broker.history, 20, stop=77)) == part
    assert (await broker.history.position()).first == position.first
    for execution in chosen:
        newest = await broker.history.last(subjects.events(execution=execution))
        assert newest is not None
        assert lines([newest]) == [each for each in before[0] if f'"{execution}"'.encode() in each[1]][-1:]


async def test_another_process_reads_it_too(site: Site):
    """A connection that was there before and one that comes later both read what was archived meanwhile."""
    broker, reader = await site.connect(), await site.connect()
    story = await stories(broker)
    before = lines(await everything(reader.history))
    await move(broker, *ids_of(story)[:2])
    await move(broker, ids_of(story)[2])
    later = await site.connect()
    for each in (reader, later):
        assert lines(await everything(each.history, stop=len(before))) == before


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_move_that_stopped_halfway_is_not_seen(site: Site, steps: int):
    """With the object put, with the log told, with a part erased: nothing is missing and nothing comes twice."""
    broker = await site.connect()
    story = await stories(broker)
    before = lines(await everything(broker.history))
    execution = ids_of(story)[1]
    moved = await put(broker, execution)
    if steps > 1:
        await tell(broker, moved)
    if steps > 2:
        await broker.log.erase(execution, (moved.first + moved.last) // 2)
    assert lines(await everything(broker.history, stop=len(before))) == before
    named = lines(await everything(broker.history, subjects=[subjects.events(execution=execution)]))
    assert named == [each for each in before if f'"execution":"{execution}"'.encode() in each[1]]


async def test_what_comes_late_is_read_with_the_rest(site: Site):
    """A fact of an execution that is archived already stays in the log and is read behind what is archived."""
    broker = await site.connect()
    story = await stories(broker)
    execution = ids_of(story)[0]
    before = lines(await about(broker.history, execution))
    await move(broker, execution)
    late = fact("late", "gpu-1", execution)
    await broker.log.append([late])
    found = await about(broker.history, execution)
    assert lines(found[:-1]) == before
    assert found[-1].event.id == "late"
    assert (await broker.history.last(subjects.events(execution=execution))).event.id == "late"


async def test_executions_move_while_they_are_read(site: Site):
    """A reading meets every event once and in order, whatever is moved beside it."""
    broker, mover = await site.connect(read_batch=7), await site.connect()
    story = await stories(broker, executions=8)
    before = lines(await everything(broker.log))
    waiting = ids_of(story)
    found = []
    async with contextlib.aclosing(broker.history.read()) as batches:
        async for batch in batches:
            found += lines(batch)
            if waiting and len(found) % 3 == 0:
                await move(mover, waiting.pop(), *waiting[:1])
                del waiting[:1]
    assert found == before


@pytest.mark.parametrize("filters", [[], ["muster.events.*.*.step.*"], ["one"]])
async def test_a_follower_that_slept(site: Site, filters: list[str]):
    """Who follows, and finds that what it waits for was archived meanwhile, is given it in order and goes on."""
    broker, mover = await site.connect(read_batch=10), await site.connect()
    story = await stories(broker)
    chosen = ids_of(story)[2]
    if filters == ["one"]:
        filters = [subjects.events(execution=chosen)]
    wanted = lines(await everything(broker.log, subjects=filters))
    follower = broker.history.follow(subjects=filters)
    async with contextlib.aclosing(follower), asyncio.timeout(20):
        found = lines(await take(follower, 2))
        await move(mover, *ids_of(story))
        found += lines(await take(follower, len(wanted) - len(found)))
        assert found[: len(wanted)] == wanted
        await mover.log.append([decision("later", chosen)])
        last = found[-1:]
        while last[0][1].find(b'"later"') < 0:
            last = lines(await take(follower, 1))[-1:]


async def test_a_follower_of_everything_archived(site: Site):
    """Who begins to follow when all is archived is given all of it at once, though nothing is appended."""
    broker = await site.connect()
    story = await stories(broker)
    before = lines(await everything(broker.log, subjects=["muster.events.*.*.attempt.*"]))
    await move(broker, *ids_of(story))
    follower = broker.history.follow(subjects=["muster.events.*.*.attempt.*"])
    async with contextlib.aclosing(follower), asyncio.timeout(20):
        assert lines(await take(follower, len(before))) == before


async def test_the_newest_event_over_the_border(site: Site):
    """The newest of a kind is found wherever it is."""
    broker = await site.connect()
    story = await stories(broker)
    asked = [
        "muster.events.*.*.step.succeeded",
        "muster.events.gpu-2.>",
        subjects.LEADER,
        "muster.events.no.>",
    ]
    before = [await broker.history.last(each) for each in asked]
    await move(broker, *ids_of(story))
    after = [await broker.history.last(each) for each in asked]
    assert [each and each.sequence for each in after] == [each and each.sequence for each in before]


async def test_the_place_at_a_time_over_the_border(site: Site):
    """Where the events of that time have left the stream, their own times say how far the log had come."""
    broker = await site.connect()
    story = await stories(broker)
    chosen = ids_of(story)
    asked = story.events[len(story.events) // 2]
    await move(broker, *chosen)
    stamped = datetime.now(UTC)
    assert await broker.history.sequence_at(stamped) == (await broker.log.position()).last
    assert await broker.history.sequence_at(datetime(2000, 1, 1, tzinfo=UTC)) == 0
    # The story's own times are of March; the broker stored all of it today.
    assert await broker.history.sequence_at(asked.event.time) == 0


async def test_an_object_that_is_missing_is_named(site: Site):
    """A reading that needs an object which is gone says which events those were, and where from to look."""
    broker = await site.connect()
    story = await stories(broker)
    execution = ids_of(story)[0]
    [moved] = await move(broker, execution)
    await broker.archive.home.delete(execution)
    with pytest.raises(ArchiveDamagedError, match=f"{moved.first} to {moved.last}"):
        await everything(broker.history)
    assert ArchiveDamagedError.remedy.startswith("muster log verify")


async def test_an_object_is_written_once(site: Site):
    """A name that is taken stays as it is, whoever puts what."""
    broker = await site.connect()
    objects = broker.archive.home
    assert await objects.put("x1", b"first")
    assert not await objects.put("x1", b"other")
    assert not await objects.put("x1", b"first")
    assert await objects.get(["x1", "x2"]) == [b"first", None]


async def test_many_put_at_once_into_a_place_that_is_new(site: Site):
    """Whoever comes first makes the place; those beside it wait for that."""
    brokers = [await site.connect() for _ in range(3)]
    puts = [each.archive.home.put(f"x{n}", b"data") for n in range(8) for each in brokers]
    assert (await asyncio.gather(*puts)).count(True) == 8
    assert await brokers[0].archive.home.get([f"x{n}" for n in range(8)]) == [b"data"] * 8


async def test_an_object_is_deleted_for_good(site: Site):
    """What is deleted is neither there nor listed, may be deleted again, and leaves the others alone."""
    broker = await site.connect()
    objects = broker.archive.home
    data, _ = pack((await stories(broker)).events[:5])
    for name in ("x1", "x2"):
        await objects.put(name, data)
    await objects.delete("x1")
    await objects.delete("x1")
    assert await objects.get(["x1", "x2"]) == [None, data]
    assert [(head.name, head.first) async for part in objects.heads(anew=True) for head in part] == [
        ("x2", 1)
    ]


async def test_a_large_object(site: Site):
    """An object of several chunks comes back as it was put."""
    broker = await site.connect()
    data = bytes(range(256)) * 12_000
    assert await broker.archive.home.put("large", data)
    assert await broker.archive.home.get(["large"]) == [data]


@ON_NATS
async def test_a_put_that_was_killed_is_gone_on_with(site: Site):
    """The chunks a dead leader left, and no more, are taken over by whoever puts the object again."""
    broker = await site.connect()
    objects: Any = broker.archive.home
    data = bytes(range(256)) * 12_000
    bucket = objects._bucket
    real, published = bucket.publish, 0

    async def dies(*arguments, **options):
        nonlocal published
        published += 1
        if published == 2:
            raise RuntimeError
        return await real(*arguments, **options)

    await objects.put("before", b"x")
    bucket.publish = dies
    with pytest.raises(RuntimeError):
        await objects.put("large", data)
    bucket.publish = real
    assert await objects.get(["large"]) == [None]
    assert await objects.put("large", data)
    assert await objects.get(["large"]) == [data]
    await objects.delete("large")
    assert await objects.get(["large"]) == [None]


@ON_NATS
@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_an_object_that_is_deleted_while_it_is_read_is_not_there(site: Site, size: int):
    """Who knows its name already and finds its chunks gone says that there is none, not that it is damaged."""
    broker = await site.connect()
    objects: Any = broker.archive.home
    await objects.put("x1", bytes(size))
    known, deleted = objects._bucket.info, False

    async def beside(name: str):
        nonlocal deleted
        info = await known(name)
        if not deleted:
            deleted = True
            await objects.delete(name)
        return info

    objects._bucket.info = beside
    assert await objects.get(["x1"]) == [None]


@ON_NATS
async def test_any_tool_of_nats_reads_the_bucket(site: Site):
    """The bucket is an object store as NATS defines it: its own client lists and reads what is there."""
    broker = await site.connect()
    assert isinstance(site, NatsSite)
    assert isinstance(broker, NatsBroker)
    data, large = b"some bytes", bytes(range(256)) * 12_000
    await broker.archive.home.put("x1", data)
    await broker.archive.home.put("x2", large)
    async with await nats.connect(site.url) as client:
        bucket = await client.jetstream().object_store(BUCKET)
        async with asyncio.timeout(20):  # the server that answers may hear last of what most of them have
            while {info.name for info in await bucket.list()} != {"x1", "x2"}:
                await asyncio.sleep(0.01)
        assert (await bucket.get("x1")).data == data
        assert (await bucket.get("x2")).data == large
        story = history(3, executions=1)
        by_hand, _ = pack(story.events)
        await bucket.put("restored", by_hand)
    assert await broker.archive.home.get(["restored"]) == [by_hand]


async def test_a_directory_holds_what_the_bucket_would(site: Site, tmp_path):
    """With a directory as its place the archive is read the same, also by one who only knows it from the log."""
    broker, reader = await site.connect(archive=tmp_path / "a"), await site.connect()
    story = await stories(broker)
    before = lines(await everything(broker.history))
    await move(broker, *ids_of(story)[:3])
    assert {path.name for path in (tmp_path / "a").glob("*.gz")} == {
        f"{each}.jsonl.gz" for each in ids_of(story)[:3]
    }
    for each in (broker, reader):
        assert lines(await everything(each.history, stop=len(before))) == before
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(ArchiveUnavailableError, match="not mounted"):
        await everything(reader.history)
    elsewhere = await site.connect(archive=tmp_path / "b")
    assert lines(await everything(elsewhere.history, stop=len(before))) == before


async def test_a_name_that_was_archived_twice_over(site: Site):
    """Of two entries that begin with the same event the newer one counts."""
    broker = await site.connect()
    story = await stories(broker)
    before = lines(await everything(broker.history))
    execution = ids_of(story)[0]
    moved = await put(broker, execution)
    await tell(broker, moved)
    await tell(broker, moved)
    await broker.log.erase(execution, moved.last + 1)
    assert lines(await everything(broker.history, stop=len(before))) == before


async def test_a_reading_outlives_a_break(site: Site):
    """A connection that breaks in the middle of an archived history leaves neither a gap nor a double."""
    mover = await site.connect()
    story = await stories(mover)
    before = lines(await everything(mover.history))
    await move(mover, *ids_of(story)[1:])
    broker, weak = await site.weak(read_batch=5)
    found = []
    async with contextlib.aclosing(broker.history.read(stop=len(before))) as batches, asyncio.timeout(40):
        async for batch in batches:
            found += lines(batch)
            if len(found) < 10:
                await weak.cut()
                restoring = asyncio.create_task(weak.restore())
        await restoring
    assert found == before
