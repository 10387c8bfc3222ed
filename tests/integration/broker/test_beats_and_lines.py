"""Heartbeats and log lines: what is not the truth and yet has promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from muster.broker import codec
from muster.broker.interface import Broker
from muster.model.log import subjects
from muster.model.log.commands import Heartbeat, LogLine
from tests.fixtures.site import NOW, NatsSite, Site


def beat(name: str, sequence: int) -> Heartbeat:
    return Heartbeat(name=name, sequence=sequence, session=7, interval_s=2.0, time=NOW)


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(time=NOW, stream="stdout", text=text) for text in texts]


PATIENCE_S = 30.0


async def settled(broker: Broker, name: str, sequence: int) -> Heartbeat:
    """The newest beat, once it is the expected one: nobody acknowledges a beat."""
    async with asyncio.timeout(PATIENCE_S):
        while (newest := await broker.heartbeats.last(name)) is None or newest.sequence < sequence:
            await asyncio.sleep(0.01)
        return newest


async def hears(listening: AsyncIterator[Heartbeat], broker: Broker) -> None:
    """Return when the broker has the subscription, which nothing tells but a beat that comes."""
    coming = asyncio.ensure_future(anext(listening))
    while not coming.done():
        await broker.heartbeats.beat(beat("first", 1))
        await asyncio.wait({coming}, timeout=0.1)
    assert coming.result().name == "first"


async def texts(broker: Broker, execution: str, **options: Any) -> list[tuple[str, int, str]]:
    return [(step, n, line.text) async for step, n, line in broker.lines.read(execution, **options)]


async def written(broker: Broker, execution: str, count: int) -> None:
    """Until ``count`` lines are kept: nobody acknowledges lines."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await texts(broker, execution)) < count:
            await asyncio.sleep(0.01)


async def test_the_newest_beat_is_kept(site: Site):
    """The last beat of each name is there for whoever asks later, and none where none was."""
    broker, other = await site.connect("a"), await site.connect("b")
    for number in range(1, 4):
        await broker.heartbeats.beat(beat("gpu-1", number))
    await broker.heartbeats.beat(beat("gpu-2", 9))
    assert await settled(other, "gpu-1", 3) == beat("gpu-1", 3)
    assert await settled(other, "gpu-2", 9) == beat("gpu-2", 9)
    assert await other.heartbeats.last("gpu-3") is None


async def test_listening_hears_every_name(site: Site):
    """A listener hears the beats of every machine from then on, in the order of each."""
    broker, other = await site.connect("a"), await site.connect("b")
    await broker.heartbeats.beat(beat("gpu-1", 1))
    await settled(broker, "gpu-1", 1)
    async with contextlib.aclosing(other.heartbeats.listen()) as listening, asyncio.timeout(PATIENCE_S):
        await hears(listening, broker)
        for number in range(2, 5):
            await broker.heartbeats.beat(beat("gpu-1", number))
            await broker.heartbeats.beat(beat("gpu-2", number))
        heard: list[Heartbeat] = []
        while len(heard) < 6:
            heard += [each for each in [await anext(listening)] if each.name != "first"]
    for name in ("gpu-1", "gpu-2"):
        assert [b.sequence for b in heard if b.name == name] == [2, 3, 4]


async def test_beats_go_nowhere_without_a_connection(site: Site):
    """A beat with the connection away is dropped, not sent late: it would be a lie by then."""
    listener = await site.connect("scheduler")
    agent, network = await site.weak()
    async with contextlib.aclosing(listener.heartbeats.listen()) as listening, asyncio.timeout(PATIENCE_S):
        await hears(listening, listener)
        await network.cut()
        await agent.heartbeats.beat(beat("gpu-1", 1))
        await network.restore()
        await agent.heartbeats.beat(beat("gpu-1", 2))
        while (heard := await anext(listening)).name == "first":
            pass
        assert heard.sequence == 2


async def test_lines_are_read_as_they_were_written(site: Site):
    """The lines of an execution come in order, with step and attempt, and can be narrowed to either."""
    broker = await site.connect()
    await broker.lines.write("gpu-1", "x1", "words", 1, lines("one", "two"))
    await broker.lines.write("gpu-2", "x1", "each/17/convert", 2, lines("drei"))
    await broker.lines.write("gpu-1", "x1", "words", 2, lines("four"))
    await broker.lines.write("gpu-1", "x2", "words", 1, lines("other"))
    await written(broker, "x1", 4)
    expected = [
        ("words", 1, "one"),
        ("words", 1, "two"),
        ("each/17/convert", 2, "drei"),
        ("words", 2, "four"),
    ]
    assert await texts(broker, "x1") == expected
    assert await texts(broker, "x1", step="words") == [expected[0], expected[1], expected[3]]
    assert await texts(broker, "x1", step="words", attempt=2) == [expected[3]]
    assert await texts(broker, "x1", attempt=1) == expected[:2]
    assert await texts(broker, "x3") == []


async def test_lines_can_be_followed(site: Site):
    """A follower gets what is kept and then what comes."""
    broker, other = await site.connect("a"), await site.connect("b")
    await broker.lines.write("gpu-1", "x1", "a", 1, lines("one"))
    async with (
        contextlib.aclosing(other.lines.read("x1", follow=True)) as following,
        asyncio.timeout(PATIENCE_S),
    ):
        assert (await anext(following))[2].text == "one"
        await broker.lines.write("gpu-1", "x1", "a", 1, lines("two", "three"))
        assert [(await anext(following))[2].text for _ in range(2)] == ["two", "three"]


async def test_many_long_lines_are_split_into_messages(site: Site):
    """More than fits into one message is written as several, in order."""
    broker = await site.connect()
    many = [f"{number} {'x' * 9000}" for number in range(300)]
    await broker.lines.write("gpu-1", "x1", "a", 1, lines(*many))
    await written(broker, "x1", 300)
    assert [text for _, _, text in await texts(broker, "x1")] == many


async def test_purging_erases_one_execution(site: Site):
    """The lines of the execution are gone, those of others stay, and doing it again is harmless."""
    broker = await site.connect()
    await broker.lines.write("gpu-1", "x1", "a", 1, lines("secret"))
    await broker.lines.write("gpu-1", "x2", "a", 1, lines("other"))
    await written(broker, "x2", 1)
    for _ in range(2):
        await broker.lines.purge("x1")
    assert await texts(broker, "x1") == []
    assert await texts(broker, "x2") == [("a", 1, "other")]


async def test_nobody_beats_for_another(site: Site):
    """A beat under a subject that is not its own is not heard: the subject is what the broker lets a machine use."""
    broker = await site.connect()
    async with contextlib.aclosing(broker.heartbeats.listen()) as heard:
        first = asyncio.create_task(anext(heard))
        await asyncio.sleep(0)
        while not first.done():
            if isinstance(site, NatsSite):  # in memory there are no subjects to lie under
                await site.put(subjects.heartbeat("m1"), codec.encode(beat("scheduler", 9)))
            await broker.heartbeats.beat(beat("m1", 1))
            await asyncio.wait({first}, timeout=0.1)
        assert first.result().name == "m1"


async def test_unreadable_beats_and_lines_are_passed_over(site: Site):
    """What somebody else put where beats and lines are does not stop those who read them."""
    broker = await site.connect()
    if not isinstance(site, NatsSite):
        return  # nobody else can write there
    await site.put("muster.logs.gpu-1.x1.a.1", b"rubbish")
    await broker.lines.write("gpu-1", "x1", "a", 1, lines("fine"))
    await written(broker, "x1", 1)
    await site.put("muster.heartbeats.gpu-1", b"rubbish")
    assert await broker.heartbeats.last("gpu-1") is None
