"""Which GPU is whose."""

import asyncio

import pytest

from muster.model.log.catalogue import Gpu
from muster.model.log.commands import AttemptResources
from muster_agents.devices import Devices
from muster_agents.runtimes.docker_gpus import labelled, labelled_gpus, remedy_of, requests_for
from muster_agents.runtimes.environment import visible
from muster_agents.runtimes.interface import Found
from tests.unit.agents.fake import FakeRuntime, never, well
from tests.unit.agents.scene import Scene, order

ONE = AttemptResources(gpus=1)


def devices(*ids: str) -> Devices:
    return Devices(Gpu(name="Tesla", id=one) for one in ids)


async def test_each_is_given_once():
    """Two who take get different ones; what is given back is taken again, in the machine's order."""
    two = devices("a", "b")
    assert (await two.take(1), await two.take(1)) == (["a"], ["b"])
    two.give(["b"])
    two.give(["a"])
    assert await two.take(2) == ["a", "b"]


async def test_who_comes_first_is_served_first():
    """One who waits for two is not passed by one who wants one; what holds idle ones is asked for all of them."""
    two = devices("a", "b")
    asked: list[int] = []
    two.relieve = asked.append
    first = await two.take(1)
    both = asyncio.ensure_future(two.take(2))
    await asyncio.sleep(0)
    one = asyncio.ensure_future(two.take(1))
    await asyncio.sleep(0)
    assert asked == [1, 2]
    two.give(first)
    assert await both == ["a", "b"]
    assert not one.done()
    two.give(["a"])
    assert await one == ["a"]


@pytest.mark.parametrize("given", [False, True])
async def test_who_stops_waiting_leaves_them_to_the_next(given):
    """A wait that is cancelled, even in the moment of its success, takes nothing with it."""
    two = devices("a", "b")
    first = await two.take(1)
    both = asyncio.ensure_future(two.take(2))
    one = asyncio.ensure_future(two.take(1))
    await asyncio.sleep(0)
    if given:
        two.give(first)
    both.cancel()
    assert await one in (["a"], ["b"])
    assert two.free == (1 if given else 0)


def test_what_was_found_is_held():
    """The devices of a container that was found are nobody else's; those that are gone are not counted."""
    three = devices("a", "", "")
    assert three.hold(["a", "", "", "", "gone"]) == ["a", "", ""]
    assert three.free == 0
    three.give(["", "a"])
    assert three.hold(["a"]) == ["a"]


def test_the_engine_is_told_which_or_how_many():
    """Devices by id where the ids are known, a number where not; the label says it again."""
    [named] = requests_for(["GPU-a", "GPU-b"], 2)
    assert (named.count, named.device_ids, named.capabilities) == (0, ["GPU-a", "GPU-b"], [["gpu"]])
    [counted] = requests_for(["", ""], 2)
    assert (counted.count, counted.device_ids) == (2, [])
    assert [labelled_gpus(labelled(ids)) for ids in (["a", "b"], [""], [])] == [["a", "b"], [""], []]


def test_a_process_is_told_which():
    """Nothing holds a process back from other GPUs; what it is told by variables is what it should use."""
    told = visible(["GPU-a", "GPU-b"])
    assert told == {"NVIDIA_VISIBLE_DEVICES": "GPU-a,GPU-b", "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    assert visible(["", "GPU-b"]) == visible([]) == {}


def test_a_refusal_of_gpus_says_what_to_do():
    """Where the engine cannot, the person is told what to install, and how to do without."""
    text = 'could not select device driver "" with capabilities: [[gpu]]'
    assert "--gpus 0" in (remedy_of(text) or "")
    assert remedy_of("no such file or directory") is None


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def offered(_: object) -> list[Gpu]:
        return [Gpu(name="Tesla", id="GPU-a"), Gpu(name="Tesla", id="GPU-b")]

    monkeypatch.setattr("muster_agents.facts._offered", offered)


@pytest.mark.usefixtures("two_gpus")
async def test_attempts_side_by_side_get_different_ones(scene: Scene, fake: FakeRuntime):
    """Two attempts with a GPU each have one each; when one is over, the next has what it had."""
    fake.script = never
    first, second, third = (order(step, resources=ONE) for step in ("a", "b", "c"))
    async with scene.agent():
        await scene.start(first, second)
        await scene.until("attempt.started", count=2)
        assert (fake.runs[first.ref].gpus, fake.runs[second.ref].gpus) == (["GPU-a"], ["GPU-b"])
        await scene.stop(first.ref)
        await scene.until("attempt.stopped")
        await scene.start(third)
        await scene.until("attempt.started", count=3)
        assert fake.runs[third.ref].gpus == ["GPU-a"]


@pytest.mark.usefixtures("two_gpus")
async def test_an_adopted_container_keeps_its_own(scene: Scene, fake: FakeRuntime):
    """After the agent's death the device of a running container is not given to another."""
    fake.script = never
    held, other = order("held", resources=ONE), order("other", resources=ONE)
    async with scene.agent() as first:
        await scene.start(held)
        await scene.until("attempt.started")
        await first.die()
    fake.there = [Found(ref=held.ref, container="c-held", running=True, gpus=["GPU-a"])]
    async with scene.agent():
        await scene.start(other)
        await scene.until("attempt.started", count=2)
        assert fake.runs[other.ref].gpus == ["GPU-b"]
        fake.script = well
