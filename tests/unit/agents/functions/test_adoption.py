"""An agent that was killed and started again: what it had loaded, and the calls it was in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from muster.model.log.commands import AttemptResources
from muster_agents import removal
from muster_agents.runtimes.interface import FoundServing
from tests.unit.agents.absence import Absence
from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.functions.pretending import LOADED, Pretender, keeps
from tests.unit.agents.functions.test_calls import call, called
from tests.unit.agents.scene import Agent, Scene


def leave(fake: FakeRuntime, *, running: bool = True) -> Pretender:
    """The container is all that is left of the agent."""
    serving = fake.made[-1]
    fake.left = [FoundServing(instance=serving.launch.instance, container=serving.container, running=running)]
    return serving


async def in_mid_call(scene: Scene, fake: FakeRuntime, agent: Agent) -> Pretender:
    """Begin a call that is not answered, and kill the agent."""
    fake.calling = keeps
    await scene.start(call(1))
    await scene.until("attempt.started")
    await agent.die()
    return leave(fake)


async def heard(serving: Pretender, method: str) -> Any:
    """The newest message of this method, as soon as there is one."""
    async with asyncio.timeout(10):
        while True:
            found = [message for message in serving.heard if message.get("method") == method]
            if found:
                return found[-1]
            await asyncio.sleep(0)


async def test_a_call_goes_on_where_it_was(scene: Scene, fake: FakeRuntime):
    """The same container, not loaded again; the answer that comes later is its outcome, the only one."""
    async with scene.agent() as first:
        await in_mid_call(scene, fake, first)
        fake.pongs = False
        async with scene.agent():
            serving = fake.made[-1]
            ping = await heard(serving, "ping")
            assert serving.diary == ["empty line"]
            serving.say(id=ping["id"], result={"calls": ["e1/work/1"]})
            serving.say(id="e1/work/1", result={"$returned": {"n": 7}})
            finished = await scene.until("attempt.finished")
            kinds = await scene.kinds("e1")
            connection = await scene.connection()
            fake.calling, fake.pongs = FakeRuntime().calling, True
            await called(scene, 2)
    assert finished.outputs == {"n": 7}
    assert list(finished.seconds) == ["run"]
    assert [kinds.count(kind) for kind in ("function.loaded", "attempt.started", "attempt.finished")] == [
        1,
        1,
        1,
    ]
    [loaded] = connection.functions
    assert (loaded.function, loaded.container, loaded.concurrency) == ("app:f", "c1", 1)
    methods = [message["method"] for message in serving.heard]
    assert "load" not in methods
    assert [message["id"] for message in serving.calls] == ["e2/work/1"]


async def test_an_answer_given_meanwhile_is_found(scene: Scene, fake: FakeRuntime):
    """It stands in what the container printed while nobody listened; what others were answered is passed over."""
    fake.loading = lambda serving, _message: serving.say(id="load", result=LOADED | {"marks": True})
    async with scene.agent() as first:
        await in_mid_call(scene, fake, first)
        fake.pongs = False
        async with scene.agent():
            serving = fake.made[-1]
            serving.ears.print("stderr", b"an earlier call\n\0e0/work/1\nthis call\n\0e1/work/1\n")
            serving.say(id="load", result={"protocol": 1})
            serving.say(id="e0/work/1", result={"$returned": {"n": 0}})
            serving.say(id="e1/work/1", result={"$returned": {"n": 1}})
            assert (await scene.until("attempt.finished")).outputs == {"n": 1}
            lines = await scene.lines(execution="e1")
            fake.pongs = True
    assert serving.calls == []
    assert lines == ["this call"]


async def test_a_call_that_was_never_sent_is_sent(scene: Scene, fake: FakeRuntime):
    """The function says that it knows of no such call, and has not answered it: then it is asked."""
    async with scene.agent() as first:
        await in_mid_call(scene, fake, first)
        fake.calling = FakeRuntime().calling
        async with scene.agent():
            assert (await scene.until("attempt.finished")).outputs == {"n": 1}
            [again] = fake.made[-1].calls
    assert again["id"] == "e1/work/1"
    assert again["params"]["inputs"] == {"n": 1}


async def test_a_container_that_ended_meanwhile(scene: Scene, fake: FakeRuntime):
    """The call crashed, with its exit code; the container is removed."""
    async with scene.agent() as first:
        await in_mid_call(scene, fake, first)
        leave(fake, running=False)
        async with scene.agent():
            failed = await scene.until("attempt.failed")
            assert (await scene.connection()).functions == []
    assert (failed.error.code, failed.exit_code) == ("function_crashed", 1)
    assert fake.made[-1].diary[-1] == "remove"


async def test_an_idle_one_is_asked_before_it_is_used(scene: Scene, fake: FakeRuntime):
    """It was loaded by an agent before; where it does not answer, the next call gets another."""
    async with scene.agent(function_ping_s=0.05) as first:
        await called(scene, 1)
        await first.die()
        leave(fake)
        async with scene.agent(function_ping_s=0.05):
            await called(scene, 2)
            adopted = fake.made[-1]
            assert [message["method"] for message in adopted.heard] == ["ping", "execute"]
            fake.pongs = False
    fake.left, fake.pongs = [], True


async def test_how_long_loading_took_is_not_forgotten(scene: Scene, fake: FakeRuntime):
    """The beats of the agent that found the container say it as the one that loaded it did; calls count anew."""
    async with scene.agent() as first:
        await called(scene, 1)
        took = (await scene.until("function.loaded")).seconds
        await first.die()
        leave(fake)
        async with scene.agent():
            beats = scene.broker.heartbeats.listen()
            async for beat in beats:
                if beat.functions and beat.functions[0].calls == 0:
                    break
            await beats.aclose()
    assert took > 0
    assert beat.functions[0].load_s == took


async def test_one_that_does_not_answer_is_replaced(scene: Scene, fake: FakeRuntime):
    """It is unloaded as unhealthy, and the call runs in a new container."""
    async with scene.agent() as first:
        await called(scene, 1)
        await first.die()
        leave(fake)
        fake.pongs = False
        async with scene.agent(function_ping_s=0.05):
            await called(scene, 2)
            assert (await scene.until("function.unloaded")).reason == "unhealthy"
            assert (await scene.until("attempt.started", execution="e2")).warm is False


async def test_what_was_still_coming_up_is_removed(scene: Scene, fake: FakeRuntime):
    """Its attempt is lost, and the container goes."""
    fake.loading = keeps
    async with scene.agent() as first:
        await scene.start(call(1))
        await scene.until("function.loading")
        await first.die()
        leave(fake)
        async with scene.agent():
            failed = await scene.until("attempt.failed")
    assert (failed.reason, failed.error.code) == ("lost", "attempt_lost")
    assert fake.gone == ["c1"]


async def test_what_is_nobodys_is_removed(scene: Scene, fake: FakeRuntime):
    """A container without a file, and a file without a container."""
    async with scene.agent() as first:
        await called(scene, 1)
        await first.die()
        fake.left = [FoundServing(instance="another", container="c9", running=True)]
        async with scene.agent():
            assert (await scene.connection()).functions == []
    folder = scene.settings.data_dir / "agents" / scene.name / "functions"
    assert (fake.gone, list(folder.iterdir())) == (["c9"], [])


async def test_what_is_nobodys_is_removed_when_the_engine_is_back(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """It keeps its GPU until then, and its file; an agent that ends before leaves both to the next."""
    absence, gpu = Absence(fake.gone), AttemptResources(gpus=1)
    fake.discard_serving = absence.discard  # type: ignore[method-assign]
    monkeypatch.setattr(removal, "REMOVE_AGAIN_S", 0.01)
    folder = scene.settings.data_dir / "agents" / scene.name / "functions"
    fake.loading = keeps
    async with scene.agent(gpus=["a"]) as first:
        await scene.start(call(1, resources=gpu))
        await scene.until("function.loading")
        await first.die()
        leave(fake)
        absence.away.set()
        async with scene.agent(gpus=["a"]):
            await absence.tried("c1")
        assert len(list(folder.iterdir())) == 1
        fake.loading = FakeRuntime().loading
        async with scene.agent(gpus=["a"]):
            await scene.start(call(2, resources=gpu))
            await absence.tried("c1")
            assert "attempt.started" not in await scene.kinds("e2")
            absence.away.clear()
            await scene.until("attempt.finished", execution="e2")
    assert fake.gone == ["c1"]
