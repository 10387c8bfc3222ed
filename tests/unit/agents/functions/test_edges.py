"""Between two steps of a call: what ends, is stopped or is killed just there leaves nothing held and nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from muster.model.definition.workflow import Output
from muster.model.errors import ContainerStartingError
from muster.model.log.commands import AttemptResources
from muster_agents import removal
from muster_agents.functions.pool import Pool
from muster_agents.outbox import Outbox
from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.functions.poolside import Poolside, settled
from tests.unit.agents.functions.pretending import Pretender, keeps
from tests.unit.agents.functions.test_adoption import heard, in_mid_call, leave
from tests.unit.agents.functions.test_calls import call, called
from tests.unit.agents.scene import Scene, shell

FILE = {"f": Output(type="file", path="f")}


@contextmanager
def unwritten(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Event]:
    """No end of an attempt is written that went well; the event says that one was to be."""
    put, reached = Outbox.put, asyncio.Event()

    async def late(outbox: Outbox, body: Any, *args: Any, **rest: Any) -> Any:
        if body.kind == "attempt.finished":
            reached.set()
            await asyncio.Event().wait()
        return await put(outbox, body, *args, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "put", late)
        yield reached


async def test_it_ends_when_it_is_loaded(scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    """Before the first call got in: that call has crashed, and the log ends with its being unloaded."""
    enter = Pool.enter

    async def entered(taken: Pool, instance: Any) -> None:
        await enter(taken, instance)
        fake.made[-1].end(3)
        await instance.over.wait()
        await settled()

    monkeypatch.setattr(Pool, "enter", entered)
    async with scene.agent():
        await scene.start(call(1))
        failed = await scene.until("attempt.failed")
        assert (failed.error.code, failed.exit_code) == ("function_crashed", 3)
        assert (await scene.until("function.unloaded")).reason == "crashed"
    kinds = [recorded.event.kind for recorded in await scene.events()]
    assert kinds.index("function.loaded") < kinds.index("function.unloaded")
    assert kinds.count("function.unloaded") == 1


async def test_the_end_cannot_be_watched(scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    """A defect in the runtime costs the calls of that container, and not the agent."""
    fake.calling = keeps
    broken = asyncio.Event()

    async def wait(_: Pretender) -> None:
        await broken.wait()
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Pretender, "wait", wait)
    async with scene.agent() as agent:
        await scene.start(call(1))
        await scene.until("attempt.started")
        broken.set()
        failed = await scene.until("attempt.failed")
        assert (failed.error.code, "a defect" in failed.error.message) == ("agent_failed", True)
        assert not agent.task.done()


async def test_a_stop_while_its_files_are_let_go(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """Whenever it comes, the place is given back, and the container is idle in the end."""
    send, releasing = Pretender.send, asyncio.Event()

    async def slow(serving: Pretender, text: bytes) -> None:
        if b'"release"' in text:
            releasing.set()
            await asyncio.sleep(0.01)
        await send(serving, text)

    monkeypatch.setattr(Pretender, "send", slow)
    fake.outs = {"e1.work.1/f": b"made"}
    fake.calling = lambda serving, message: serving.gives(message, None)
    async with scene.agent() as agent:
        await scene.start(call(1, outputs=FILE))
        await releasing.wait()
        await scene.stop(call(1).ref)
        await scene.until("attempt.finished")
        async with asyncio.timeout(5):
            beats = scene.broker.heartbeats.listen()
            async for beat in beats:
                if beat.functions and beat.functions[0].state == "idle":
                    break
            await beats.aclose()
        assert not agent.task.done()


async def test_its_files_are_there_until_its_end_is_written(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """An agent that is killed in between leaves them to the next one, which finds the answer and then the files."""
    fake.outs = {"e1.work.1/f": b"made"}
    fake.calling = lambda serving, message: serving.gives(message, None)
    async with scene.agent() as first:
        with unwritten(monkeypatch) as reached:
            await scene.start(call(1, outputs=FILE))
            await reached.wait()
            await first.die()
        left = leave(fake)
        assert "release" not in [message["method"] for message in left.heard]
        fake.pongs = False
        async with scene.agent():
            serving = fake.made[-1]
            await heard(serving, "ping")
            serving.say(id="e1/work/1", result={"$returned": None})
            finished = await scene.until("attempt.finished")
            assert finished.outputs["f"]["size"] == 4
            await heard(serving, "release")
            fake.pongs = True


async def test_two_calls_that_had_one_place(scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    """One had its answer, the other its place, and the agent was killed: the next one goes on with both."""
    async with scene.agent() as first:
        with unwritten(monkeypatch) as reached:
            await scene.start(call(1))
            await reached.wait()
            fake.calling = keeps
            await scene.start(call(2))
            await scene.until("attempt.started", execution="e2")
            await first.die()
        leave(fake)
        fake.pongs = False
        async with scene.agent():
            serving = fake.made[-1]
            serving.say(id="e1/work/1", result={"$returned": {"n": 1}})
            serving.say(id="e2/work/1", result={"$returned": {"n": 2}})
            for number in (1, 2):
                finished = await scene.until("attempt.finished", execution=f"e{number}")
                assert finished.outputs == {"n": number}
            fake.pongs = True


async def test_a_function_that_does_not_mark_prints_after_an_adoption(scene: Scene, fake: FakeRuntime):
    """The answer to the call found again proves nothing: the next one asks first, and keeps what it prints."""

    def prints(serving: Pretender, message: Any) -> None:
        serving.ears.print("stderr", b"hello\n")
        serving.gives(message, 1)

    async with scene.agent() as first:
        await in_mid_call(scene, fake, first)
        fake.pongs, fake.calling = False, prints
        async with scene.agent():
            serving = fake.made[-1]
            await heard(serving, "ping")
            serving.say(id="e1/work/1", result={"$returned": 1})
            await scene.until("attempt.finished")
            fake.pongs = True
            await called(scene, 2)
            assert await scene.lines(execution="e2") == ["hello"]


async def test_what_ended_while_no_agent_was_there_is_unloaded(scene: Scene, fake: FakeRuntime):
    """Who reads the log would think it loaded for ever: word of its load may come behind the connection."""
    async with scene.agent() as first:
        await called(scene, 1)
        await first.die()
        fake.left = []
        async with scene.agent():
            unloaded = await scene.until("function.unloaded")
    assert (unloaded.container, unloaded.reason, unloaded.function) == ("c1", "crashed", "app:f")


async def test_a_command_does_not_wait_for_a_container_that_cannot_be_removed(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """It waits for room within its pull, and a stop ends that."""
    free = asyncio.Event()

    async def hangs(_: Pretender) -> None:
        await free.wait()

    monkeypatch.setattr(Pretender, "remove", hangs)
    async with scene.agent(functions_max=0) as agent:
        await called(scene, 1)
        await scene.start(shell("true", execution="e2"))
        await scene.until("attempt.accepted", execution="e2")
        await scene.stop(shell("true", execution="e2").ref)
        async with asyncio.timeout(5):
            await scene.until("attempt.stopped", execution="e2")
        assert not agent.task.done()
        free.set()


async def test_what_crashed_is_forgotten():
    """A call that had its container to itself and crashed leaves nothing in memory."""
    side = Poolside()
    side.runtime.calling = lambda serving, _message: serving.end(1)
    async with side.open():
        for _ in range(3):
            with pytest.raises(Exception, match="ended"):
                await side.call(isolation="call")
        await settled()
        assert side.pool._leaving == {}


async def test_what_was_printed_on_stdout_before_an_adoption(scene: Scene, fake: FakeRuntime):
    """It comes again, and is not taken for the lines of the call that goes on."""
    async with scene.agent() as first:
        await in_mid_call(scene, fake, first)
        fake.pongs = False
        async with scene.agent():
            serving = fake.made[-1]
            serving.ears.print("stdout", b"of another execution\n")
            serving.say(id="e1/work/1", result={"$returned": 1})
            await scene.until("attempt.finished")
            assert await scene.lines() == []
            fake.pongs = True


async def test_a_gpu_that_is_free_only_when_files_were_let_go(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """Who waits for it has asked for it before anybody could give it, and gets it all the same."""
    send, waiting = Pretender.send, asyncio.Event()

    async def slow(serving: Pretender, text: bytes) -> None:
        if b'"release"' in text:
            await waiting.wait()
        await send(serving, text)

    monkeypatch.setattr(Pretender, "send", slow)
    fake.outs = {"e1.work.1/f": b"made"}
    fake.calling = lambda serving, message: serving.gives(message, None)
    gpu = AttemptResources(gpus=1)
    async with scene.agent(gpus=["g0"], function_ping_s=20.0):
        await called(scene, 1, outputs=FILE, resources=gpu)
        await scene.start(call(2, function="app:g", resources=gpu))
        await scene.until("attempt.accepted", execution="e2")
        await settled()
        waiting.set()
        await scene.until("attempt.finished", execution="e2")
        assert (await scene.until("function.unloaded")).reason == "evicted"


async def test_an_engine_that_is_away_when_a_container_is_to_go(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """Its removal is tried until it is done; the next call does not wait for that, and neither does the agent's end."""
    remove, away = Pretender.remove, asyncio.Event()
    tries: list[str] = []

    async def removes(serving: Pretender) -> None:
        tries.append(serving.name)
        if away.is_set():
            raise ContainerStartingError("the engine does not answer")
        await remove(serving)

    monkeypatch.setattr(Pretender, "remove", removes)
    monkeypatch.setattr(removal, "REMOVE_AGAIN_S", 0.01)
    async with scene.agent() as agent:
        away.set()
        await called(scene, 1)
        fake.made[0].end(1)
        await scene.until("function.unloaded")
        await called(scene, 2)
        assert fake.made[0].diary[-1] != "remove"
        away.clear()
        async with asyncio.timeout(5):
            while fake.made[0].diary[-1] != "remove":
                await asyncio.sleep(0.01)
        away.set()
    assert agent.task.done()
    assert tries.count("c1") > 1
    folder = scene.settings.data_dir / "agents" / scene.name / "functions"
    assert len(list(folder.iterdir())) == 1
