"""Who gets which container, and which of them go: with a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from muster.model.log.commands import AttemptResources
from muster_agents.functions.ledger import Entry
from tests.unit.agents.functions.poolside import MEMORY, Poolside, settled
from tests.unit.agents.functions.pretending import keeps

HALF = AttemptResources(memory=MEMORY // 2)
MOST = AttemptResources(memory=MEMORY * 3 // 4)


async def test_at_most_its_concurrency():
    """A container takes as many calls at once as its function says; one more gets another container."""
    side = Poolside()
    side.runtime.concurrency = 2
    async with side.open():
        await side.call()
        side.runtime.calling = keeps
        tasks = [side.begin() for _ in range(3)]
        await settled()
        assert [len(serving.open) for serving in side.runtime.made] == [2, 1]
        for serving in side.runtime.made:
            for id_ in list(serving.open):
                serving.say(id=id_, result={"$returned": 1})
        await asyncio.gather(*tasks)


async def test_the_first_call_is_of_who_made_it(monkeypatch: pytest.MonkeyPatch):
    """While it is written down that a container is loaded, nobody takes it, and nobody lets it go."""
    side = Poolside(functions_max=1)
    write, gate = side.kept.write, asyncio.Event()

    async def slow(entry: Entry) -> None:
        await write(entry)
        if entry.loaded is not None:
            await gate.wait()

    monkeypatch.setattr(side.kept, "write", slow)
    async with side.open():
        tasks = [side.begin()]
        await settled()
        tasks.append(side.begin())
        await settled()
        gate.set()
        await asyncio.gather(*tasks)
        assert len(side.runtime.made) == 2
    assert side.reasons() == ["stopped", "stopped"]


@pytest.mark.parametrize(
    "other",
    [
        {"image": "another"},
        {"function": "app:g"},
        {"params": {"size": 2}},
        {"environment": {"A": "b"}},
        {"resources": HALF},
        {"user": "65534"},
        {"isolation": "execution"},
    ],
)
async def test_who_does_not_share(other: Any):
    """What would make another container does not get this one."""
    side = Poolside()
    async with side.open():
        await side.call()
        await side.call(**other)
        assert len(side.runtime.made) == 2


async def test_said_or_left_out_is_the_same():
    """A default that came over the wire is no other container than one that did not."""
    side = Poolside()
    async with side.open():
        await side.call()
        await side.call(resources=msgspec.json.decode(b'{"cpus":0.0,"slots":1}', type=AttemptResources))
        assert len(side.runtime.made) == 1


async def test_who_shares():
    """When an image is pulled, which step calls and with which inputs makes no other container."""
    side = Poolside()
    async with side.open():
        await side.call(inputs={"n": 1})
        await side.call(inputs={"n": 2}, step="other", pull_policy="always", execution="e2")
        assert len(side.runtime.made) == 1


async def test_another_image_under_the_same_name():
    """After the time for which a name is believed, the next call gets the new image."""
    side = Poolside(image_check_s=5)
    async with side.open():
        await side.call()
        side.runtime.digests["busybox"] = "d2"
        await side.call()
        assert len(side.runtime.made) == 2, "a pull has just said what the name means"
        side.runtime.digests["busybox"] = "d3"
        side.now = 6
        await side.call()
        assert [serving.digest for serving in side.runtime.made][-1] == "d3"


async def test_idle_ones_go():
    """Nobody called it for as long as it may be idle: it is asked to shut down, removed, and told."""
    side = Poolside(function_idle_s=60)
    async with side.open():
        await side.call()
        side.now = 59
        await side.pool.tend()
        await settled()
        assert side.reasons() == []
        side.now = 60
        await side.pool.tend()
        await settled()
        assert side.reasons() == ["idle"]
        assert side.runtime.made[0].heard[-1]["method"] == "shutdown"


async def test_those_of_one_execution_go_when_idle():
    """The reason says that nobody else could have used it."""
    side = Poolside(function_idle_s=60)
    async with side.open():
        await side.call(isolation="execution")
        side.now = 60
        await side.pool.tend()
        await settled()
        assert side.reasons() == ["isolation"]


async def test_busy_ones_stay():
    """However long a call takes, its container does not count as idle."""
    side = Poolside(function_idle_s=60)
    side.runtime.calling = keeps
    async with side.open():
        task = side.begin()
        await settled()
        side.now = 1000
        side.available = 0.0
        await side.pool.tend()
        await settled()
        assert side.reasons() == []
        side.runtime.made[0].say(id=side.runtime.made[0].open[0], result={"$returned": 1})
        await task


async def test_the_number_of_containers_is_bounded():
    """Where there would be too many, the idle one that was used longest ago goes, before another is made."""
    side = Poolside(functions_max=2)
    async with side.open():
        for at, name in enumerate(["app:a", "app:b", "app:c"]):
            side.now = at
            await side.call(function=name)
        assert side.reasons() == ["evicted"]
        assert [status.function for status in side.pool.statuses()] == ["app:c", "app:b"]


async def test_busy_ones_may_be_more_than_the_bound():
    """The slots bound calls; what is too much goes as soon as it is idle."""
    side = Poolside(functions_max=0)
    async with side.open():
        await side.call()
        await side.pool.tend()
        await settled()
        assert side.reasons() == ["evicted"]


async def test_memory_that_idle_ones_hold_is_given_to_attempts():
    """A container that would not fit beside an idle one is made when that is gone; one that fits leaves it."""
    side = Poolside()
    async with side.open():
        await side.call(function="app:a", resources=HALF)
        await side.call(function="app:b", resources=HALF)
        assert side.reasons() == []
        side.runtime.starting = lambda _: _removed(side)
        await side.call(function="app:c", resources=MOST)
        assert side.reasons() == ["evicted", "evicted"]


async def _removed(side: Poolside) -> None:
    assert [serving.ended.done() for serving in side.runtime.made] == [True, True, False]


async def test_plain_attempts_get_that_memory_too():
    """Whoever takes room asks the pool to make it free."""
    side = Poolside()
    async with side.open():
        await side.call(resources=HALF)
        side.room.take(MOST)
        await side.pool.fit()
        assert side.reasons() == ["evicted"]
        side.room.give(MOST)


async def test_a_host_short_of_memory_gets_it_back_one_by_one():
    """The idle one used longest ago goes, then the next, until there is enough."""
    side = Poolside(function_memory_share=0.1)
    async with side.open():
        for at, name in enumerate(["app:a", "app:b"]):
            side.now = at
            await side.call(function=name)
        side.available = 0.05
        await side.pool.tend()
        await settled()
        assert side.reasons() == ["memory"]
        assert [status.function for status in side.pool.statuses()] == ["app:b"]
        side.available = 0.5
        await side.pool.tend()
        assert side.reasons() == ["memory"]


async def test_it_is_asked_whether_it_is_well_only_after_a_pause():
    """A busy loop pays for no question; after a second the container is asked first."""
    side = Poolside()
    async with side.open():
        for now in (0, 0.5, 2):
            side.now = now
            await side.call()
        [serving] = side.runtime.made
        assert [message["method"] for message in serving.heard] == [
            *("load", "execute", "execute", "ping", "execute")
        ]


async def test_one_that_ended_while_idle_is_replaced():
    """Its end is told as a crash, and the next call gets another."""
    side = Poolside()
    async with side.open():
        await side.call()
        side.runtime.made[0].end(1)
        await settled()
        assert side.reasons() == ["crashed"]
        await side.call()
        assert len(side.runtime.made) == 2


async def test_two_calls_never_get_the_same_place():
    """While one call waits for the answer to its question, another gets no place in that container."""
    side = Poolside()
    async with side.open():
        await side.call()
        side.now, side.runtime.pongs = 10, False
        first = side.begin()
        await settled()
        second = side.begin()
        await second
        assert len(side.runtime.made) == 2
        first.cancel()
        await asyncio.wait({first})
        side.runtime.pongs = True
        side.now = 11
        await side.call()
        assert len(side.runtime.made) == 2, "the place was given back"
