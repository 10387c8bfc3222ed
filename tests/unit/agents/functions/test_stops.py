"""Calls that are stopped, or take too long, and what becomes of their containers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from muster.model.definition.workflow import Output
from muster_agents.outbox import Outbox
from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.functions.pretending import Pretender, keeps
from tests.unit.agents.functions.test_calls import call, called
from tests.unit.agents.scene import TIMEOUTS, Scene


async def test_a_stop_is_told_to_the_function(scene: Scene, fake: FakeRuntime):
    """One that gives the call up in time keeps its container, and the next call uses it."""
    fake.calling = keeps
    async with scene.agent():
        await scene.start(call(1))
        await scene.until("attempt.started")
        await scene.stop(call(1).ref)
        await scene.until("attempt.stopped")
        fake.calling = FakeRuntime().calling
        await called(scene, 2)
    [serving] = fake.made
    assert {"jsonrpc": "2.0", "method": "cancel", "params": {"id": "e1/work/1"}} in serving.heard
    assert not any(entry.startswith("stop") for entry in serving.diary[:-1])


async def test_a_stop_before_the_call_is_sent(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """The function hears nothing of the call, neither it nor its cancel, and its container takes the next one."""
    put = Outbox.put

    async def late(outbox: Outbox, body: Any, *args: Any, **rest: Any) -> Any:
        event = await put(outbox, body, *args, **rest)
        if (event.kind, event.execution) == ("attempt.started", "e1"):
            await asyncio.Event().wait()
        return event

    monkeypatch.setattr(Outbox, "put", late)
    async with scene.agent():
        await scene.start(call(1))
        await scene.until("attempt.started")
        await scene.stop(call(1).ref)
        await scene.until("attempt.stopped")
        await called(scene, 2)
    [serving] = fake.made
    methods = [(message["method"], message["id"]) for message in serving.heard if "id" in message]
    assert methods[:2] == [("load", "load"), ("execute", "e2/work/1")]
    assert "cancel" not in [message["method"] for message in serving.heard]


async def test_a_stop_while_the_call_is_not_taken(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """A function that does not read hears of no cancel either: it is killed when the grace time is over."""
    send, sending = Pretender.send, asyncio.Event()

    async def stuck(serving: Pretender, text: bytes) -> None:
        if serving is fake.made[0] and b'"load"' not in text:
            sending.set()
            await asyncio.Event().wait()
        await send(serving, text)

    monkeypatch.setattr(Pretender, "send", stuck)
    async with scene.agent():
        await scene.start(call(1, timeouts=msgspec.structs.replace(TIMEOUTS, grace=0.05)))
        await sending.wait()
        await scene.stop(call(1).ref)
        await scene.until("attempt.stopped")
        assert fake.made[0].diary[-2:] == ["stop 0", "remove"]
        await called(scene, 2)
    assert len(fake.made) == 2


async def test_what_does_not_stop_is_killed(scene: Scene, fake: FakeRuntime):
    """After the grace time the container goes, and is told as unloaded."""
    fake.calling, fake.obeys = keeps, False
    async with scene.agent():
        await scene.start(call(1, timeouts=msgspec.structs.replace(TIMEOUTS, grace=0.05)))
        await scene.until("attempt.started")
        await scene.stop(call(1).ref)
        await scene.until("attempt.stopped")
        assert fake.made[0].diary[-2:] == ["stop 0", "remove"]
        assert (await scene.until("function.unloaded")).reason == "stopped"


async def test_others_are_told_whose_fault_it_was(scene: Scene, fake: FakeRuntime):
    """A call whose container is killed for another one that does not stop fails with just that."""
    fake.calling, fake.obeys, fake.concurrency = keeps, False, 2
    short = msgspec.structs.replace(TIMEOUTS, grace=0.05)
    async with scene.agent():
        await scene.start(call(1, timeouts=short))
        await scene.until("attempt.started")
        await scene.start(call(2))
        await scene.until("attempt.started", execution="e2")
        await scene.stop(call(1).ref)
        failed = await scene.until("attempt.failed")
        assert failed.error.code == "function_crashed"
        assert "as another call in it did not end when it was stopped" in failed.error.message
    assert len(fake.made) == 1


async def test_a_stop_while_it_loads_removes_the_container(scene: Scene, fake: FakeRuntime):
    """Nobody else waits for it."""
    fake.loading = keeps
    async with scene.agent():
        await scene.start(call(1))
        await scene.until("function.loading")
        await scene.stop(call(1).ref)
        await scene.until("attempt.stopped")
        assert fake.made[0].diary == ["pull", "start", "stop 5", "remove"]


async def test_the_run_timeout_cancels_the_call(scene: Scene, fake: FakeRuntime):
    """It fails in the run phase; a function that obeys keeps its container."""
    fake.calling = keeps
    async with scene.agent():
        await scene.start(call(1, timeouts=msgspec.structs.replace(TIMEOUTS, run=0.05)))
        failed = await scene.until("attempt.failed")
        assert (failed.error.code, failed.phase) == ("step_timeout", "run")
        assert fake.made[0].diary == ["pull", "start"]


async def test_one_that_reads_no_more(scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    """It has answered, and does not take that its files may go: the call is well, the container goes."""
    send = Pretender.send

    async def stuck(serving: Pretender, text: bytes) -> None:
        await (asyncio.Event().wait() if b'"release"' in text else send(serving, text))

    monkeypatch.setattr(Pretender, "send", stuck)
    fake.outs = {"e1.work.1/f": b"made"}
    fake.calling = lambda serving, message: serving.gives(message, None)
    async with scene.agent(function_ping_s=0.05):
        finished = await called(scene, 1, outputs={"f": Output(type="file", path="f")})
        assert finished.outputs["f"]["size"] == 4
        assert (await scene.until("function.unloaded")).reason == "unhealthy"
