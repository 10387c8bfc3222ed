"""Reading across the border, whatever moves when: histories by chance, moved step by step between the batches."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.archive.history import named
from muster.archive.manifest import Manifest
from muster.broker.filters import matcher
from muster.broker.memory import MemoryBroker, MemoryStore
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.envelope import encode
from muster.settings import Settings
from tests.fixtures.histories import history
from tests.fixtures.moving import everything, move, put, tell

FILTERS = [
    [],
    ["muster.events.gpu-1.>"],
    ["muster.events.*.*.execution.*", "muster.events.*.-.>"],
    ["muster.events.*.*.attempt.finished"],
]


def told(seed: int, executions: int = 6) -> tuple[MemoryStore, list[str]]:
    """A store with a history in it, and its executions."""
    store = MemoryStore()
    story = history(seed, executions=executions, mishaps=0.3)
    for recorded in story.events:
        store.put(subjects.event(recorded.event), encode(recorded.event))
    cleared = {r.event.execution for r in story.events if isinstance(r.event.data, c.ExecutionCleared)}
    found = dict.fromkeys(r.event.execution for r in story.events if r.event.execution != "-")
    return store, [execution for execution in found if execution not in cleared]


def lines(found) -> list[tuple[int, bytes]]:
    return [(each.sequence, encode(each.event)) for each in found]


class Mover:
    """Moves executions one step at a time, as chance wants it."""

    def __init__(self, broker: MemoryBroker, executions: list[str], chance: random.Random) -> None:
        self._broker = broker
        self._chance = chance
        self._steps = [self._move(execution) for execution in executions]

    async def _move(self, execution: str):
        moved = await put(self._broker, execution)
        yield
        await tell(self._broker, moved)
        yield
        middle = self._chance.randint(moved.first, moved.last)
        await self._broker.log.erase(execution, middle)
        yield
        await self._broker.log.erase(execution, moved.last + 1)

    async def step(self, times: int) -> None:
        for _ in range(times):
            if self._steps:
                steps = self._chance.choice(self._steps)
                if await anext(steps, True) is True:
                    self._steps.remove(steps)


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from(FILTERS))
@settings(max_examples=60, deadline=None)
async def test_no_gap_and_no_double(seed: int, batch: int, filters: list[str]):
    """Whatever moves between any two batches, a reading gives every event once, in order, byte for byte."""
    store, executions = told(seed % 7)
    chance = random.Random(seed)
    reader = MemoryBroker(store, settings=Settings(read_batch=batch))
    mover = Mover(MemoryBroker(store), executions, chance)
    last = store.position().last
    wanted = lines(await everything(reader.log, subjects=filters))
    await mover.step(chance.randrange(12))
    found = []
    async with contextlib.aclosing(reader.history.read(subjects=filters, stop=last)) as batches:
        async for part in batches:
            assert len(part) <= batch
            found += lines(part)
            await mover.step(chance.randrange(3))
    assert found == wanted


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from(FILTERS))
@settings(max_examples=40, deadline=None)
async def test_a_follower_misses_nothing(seed: int, batch: int, filters: list[str]):
    """Who follows is given every event once and in order, though most of them move before it comes to them."""
    store, executions = told(seed % 7)
    chance = random.Random(seed)
    reader = MemoryBroker(store, settings=Settings(read_batch=batch))
    mover = Mover(MemoryBroker(store), executions, chance)
    wanted = lines(await everything(reader.log, subjects=filters))
    found: list[tuple[int, bytes]] = []
    async with contextlib.aclosing(reader.history.follow(subjects=filters)) as batches:
        while len(found) < len(wanted):
            found += lines(await anext(batches))
            await mover.step(chance.randrange(30))
    assert found[: len(wanted)] == wanted


async def test_opening_where_it_is_needed_only():
    """Reading a part opens only the objects that reach into it, and one execution is fetched by its name alone."""
    store, executions = told(3)
    broker = MemoryBroker(store)
    await move(broker, *executions)
    asked: list[str] = []
    home: Any = broker.archive.home
    real = home.get

    async def counted(names):
        asked.extend(names)
        return await real(names)

    home.get = counted
    moved = {each.first: each for each in entries_of(broker, await everything(broker.log))}
    start, stop = 40, 45
    await everything(broker.history, start, stop=stop)
    assert len(asked) == sum(each.first <= stop and each.last >= start for each in moved.values())
    asked.clear()
    await everything(broker.history, subjects=[subjects.events(execution=executions[0])])
    assert asked == [executions[0]]
    asked.clear()
    await everything(broker.history, subjects=["muster.events.*.-.>"])
    assert asked == []


def entries_of(broker: MemoryBroker, records):
    manifest = Manifest(broker.log)
    manifest.add(records)
    return manifest.entries.values()


async def test_the_chain_shows_what_is_missing():
    """A log.archived that does not follow the one before it is a break in the chain."""
    store, executions = told(3)
    broker = MemoryBroker(store)
    for execution in executions[:3]:
        await move(broker, execution)
    events = [r for r in await everything(broker.log) if isinstance(r.event.data, c.LogArchived)]
    whole, broken = Manifest(broker.log), Manifest(broker.log)
    whole.add(events)
    assert whole.breaks == []
    broken.add([events[0], events[2]])
    assert len(broken.breaks) == 1
    assert str(events[2].sequence) in broken.breaks[0]


@pytest.mark.parametrize(
    ("filters", "executions"),
    [
        ([], None),
        (["muster.events.>"], None),
        (["muster.events.*.*.step.failed"], None),
        (["muster.events.*.x1.>"], ["x1"]),
        (["muster.events.*.x1.>", "muster.events.*.x2.step.*", "muster.events.m1.x1.>"], ["x1", "x2"]),
        (["muster.events.*.x1.>", "muster.events.m1.>"], None),
        (["muster.events.*.-.>"], []),
        (["muster.events.*.-.>", "muster.events.*.x1.>"], ["x1"]),
    ],
)
def test_whom_a_filter_names(filters: list[str], executions: list[str] | None):
    """A filter is limited to executions only if each of its subjects names one."""
    assert named(filters) == executions


def test_the_needles_lose_nothing():
    """What is not decoded, because its line cannot match, would not have matched."""
    from muster.archive.runs import Choice

    events = history(11, executions=4).events
    for filters in [*FILTERS, ["muster.events.*.*.step.>"], ["muster.events.*.*.*.failed"]]:
        choice, matches = Choice(filters), matcher(filters)
        kept = [each for each in events if choice.decoded(each.sequence, encode(each.event), "x")]
        assert [each.sequence for each in kept] == [
            each.sequence for each in events if matches(subjects.event(each.event))
        ]
