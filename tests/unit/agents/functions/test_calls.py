"""Attempts that call functions: cold, warm, at their limits, crashed, stopped. The containers are pretended."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from muster.model.definition.workflow import Output
from muster.model.log.commands import AttemptOrder
from muster_agents.functions import marks
from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.functions.pretending import LOADED, Pretender, keeps, line
from tests.unit.agents.scene import TIMEOUTS, Scene, order

COLD = [
    *("attempt.accepted", "image.pulling", "image.pulled", "container.starting", "container.started"),
    *("function.loading", "function.loaded", "attempt.started", "attempt.finished"),
]
WARM = ["attempt.accepted", "attempt.started", "attempt.finished"]


def call(number: int = 1, **rest: Any) -> AttemptOrder:
    """One call of the function."""
    given: dict[str, Any] = {"inputs": {"n": number}, "function": "app:f", "execution": f"e{number}"}
    return order(**given | rest)


async def called(scene: Scene, number: int, **rest: Any) -> Any:
    """What came of one call, as soon as it is known."""
    await scene.start(call(number, **rest))
    return await scene.until("attempt.finished", execution=rest.get("execution", f"e{number}"))


async def test_the_first_call_makes_the_container_and_the_next_uses_it(scene: Scene, fake: FakeRuntime):
    """The one that starts it tells all phases; a warm one only that it ran, where, and that it was warm."""
    async with scene.agent():
        first = await called(scene, 1)
        second = await called(scene, 2)
        started = await scene.until("attempt.started", execution="e2")
        assert (await scene.kinds("e1"), await scene.kinds("e2")) == (COLD, WARM)
    assert (first.outputs, second.outputs) == ({"n": 1}, {"n": 2})
    assert (list(first.seconds), list(second.seconds)) == (["pull", "start", "load", "run"], ["run"])
    assert (started.container, started.warm) == ("c1", True)
    assert (await scene.until("attempt.started", execution="e1")).warm is False
    [serving] = fake.made
    assert [message["id"] for message in serving.calls] == ["e1/work/1", "e2/work/1"]
    assert serving.calls[0]["params"] == {
        "inputs": {"n": 1},
        "context": None,
        "execution": "e1",
        "workflow": "w",
        "step": "work",
        "attempt": 1,
        "in": "/muster/in/e1.work.1",
        "out": "/muster/out/e1.work.1",
    }


async def test_what_is_loaded_is_told_with_its_container(scene: Scene, fake: FakeRuntime):
    """function.loading and function.loaded say where; the beat says what is there and what it did."""
    fake.concurrency = 3
    async with scene.agent() as agent:
        await called(scene, 1)
        loading, loaded = await scene.until("function.loading"), await scene.until("function.loaded")
        beats = scene.broker.heartbeats.listen()
        async for beat in beats:
            if beat.functions:
                break
        await beats.aclose()
        assert not agent.task.done()
    assert (loading.function, loading.container) == ("app:f", "c1")
    assert (loaded.container, loaded.image, loaded.concurrency) == ("c1", "busybox", 3)
    [status] = beat.functions
    assert (status.state, status.calls, status.failed, status.concurrency) == ("idle", 1, 0, 3)


async def test_an_agent_that_ends_lets_its_functions_go(scene: Scene, fake: FakeRuntime):
    """They are asked to shut down, removed, and function.unloaded stands before the goodbye."""
    async with scene.agent():
        await called(scene, 1)
    kinds = [recorded.event.kind for recorded in await scene.events()]
    assert kinds[-2:] == ["function.unloaded", "machine.disconnected"]
    unloaded = await scene.until("function.unloaded")
    assert (unloaded.reason, unloaded.container, unloaded.calls) == ("stopped", "c1", 1)
    assert fake.made[0].heard[-1]["method"] == "shutdown"
    assert fake.made[0].diary[-1] == "remove"


@pytest.mark.parametrize(
    ("error", "code", "phase"),
    [
        ({"code": -32000, "message": "ValueError: no", "data": {"class": "ValueError", "bases": ["ValueError"]}},
         "invalid_argument", "run"),
        ({"code": -32602, "message": "the argument n is missing"}, "invalid_argument", "run"),
        ({"code": -32001, "message": "a set"}, "output", "run"),
        ({"code": -32002, "message": "too large"}, "output", "run"),
        ({"code": -1, "message": "whatever"}, "function_execution", "run"),
    ],
)  # fmt: skip
async def test_what_the_function_answers_instead(
    scene: Scene, fake: FakeRuntime, error: Any, code: str, phase: str
):
    """An error is one of the taxonomy, in the run phase; the container stays and takes the next call."""
    fake.calling = lambda serving, message: serving.say(id=message["id"], error=error)
    async with scene.agent():
        await scene.start(call(1))
        failed = await scene.until("attempt.failed")
        assert (failed.error.code, failed.phase) == (code, phase)
        await scene.start(call(2))
        await scene.until("attempt.failed", execution="e2")
    assert len(fake.made) == 1


async def test_a_crash_in_mid_call(scene: Scene, fake: FakeRuntime):
    """All calls in the container fail as crashed, each with its exit code; the next call gets another container."""
    fake.calling, fake.concurrency = keeps, 2
    async with scene.agent():
        await scene.start(call(1))
        await scene.until("attempt.started", execution="e1")
        await scene.start(call(2))
        await scene.until("attempt.started", execution="e2")
        fake.made[0].ears.print("stderr", b"Segmentation fault\n")
        fake.made[0].end(139)
        for execution in ("e1", "e2"):
            failed = await scene.until("attempt.failed", execution=execution)
            assert (failed.error.code, failed.exit_code, failed.retriable) == ("function_crashed", 139, True)
            assert failed.error.details["tail"] == ["Segmentation fault"]
            assert (await scene.kinds(execution))[-2:] == ["container.exited", "attempt.failed"]
        assert (await scene.until("function.unloaded")).reason == "crashed"
        fake.calling = FakeRuntime().calling
        await called(scene, 3)
    assert len(fake.made) == 2


async def test_memory_is_an_error_of_its_own(scene: Scene, fake: FakeRuntime):
    """A container that the kernel killed for its memory says so."""
    fake.calling = lambda serving, _message: serving.end(137, oom=True)
    async with scene.agent():
        await scene.start(call(1))
        assert (await scene.until("attempt.failed")).error.code == "out_of_memory"


async def test_an_answer_above_the_limit(scene: Scene, fake: FakeRuntime):
    """It is not read into memory, and the error says to write a file; the container goes on."""
    fake.calling = lambda serving, message: serving.gives(message, "x" * 20000)
    async with scene.agent(function_message_bytes=2000):
        await scene.start(call(1))
        failed = await scene.until("attempt.failed")
    assert failed.error.code == "output"
    assert "more than 2000" in failed.error.message
    assert "file" in failed.error.remedy


@pytest.mark.parametrize("result", [b'"\xff"', b"[" * 5000 + b"]" * 5000, b'{"$returned": NaN}', b"{}", b"7"])
async def test_an_answer_that_makes_no_sense(scene: Scene, fake: FakeRuntime, result: bytes):
    """It is the call's failure, said in words; the container takes the next call."""

    def answers(serving: Pretender, message: Any) -> None:
        text = b'{"jsonrpc": "2.0", "id": "%s", "result": %s}\n' % (message["id"].encode(), result)
        serving.ears.print("stdout", text)

    fake.calling = answers
    async with scene.agent():
        await scene.start(call(1, timeouts=msgspec.structs.replace(TIMEOUTS, run=3, grace=0.2)))
        failed = await scene.until("attempt.failed")
        assert failed.error.code == "output"
        fake.calling = FakeRuntime().calling
        await called(scene, 2)
    assert len(fake.made) == 1


async def test_inputs_above_the_limit(scene: Scene, fake: FakeRuntime):
    """They are not sent: the call fails at once, is not tried again, and says to give a file."""
    grace = msgspec.structs.replace(TIMEOUTS, grace=60)
    async with scene.agent(function_message_bytes=2000):
        await scene.start(call(1, inputs={"n": "x" * 20000}, timeouts=grace))
        failed = await scene.until("attempt.failed")
        assert (failed.error.code, failed.retriable) == ("invalid_argument", False)
        assert "file" in failed.error.remedy
        await called(scene, 2)
    assert [message["id"] for message in fake.made[0].calls] == ["e2/work/1"]


async def test_what_is_no_protocol_is_logged(scene: Scene, fake: FakeRuntime):
    """Lines on stdout that are no messages, on stderr, and log messages become lines of the call; answers twice do not count."""  # noqa: E501

    def talks(serving: Pretender, message: Any) -> None:
        serving.ears.print("stdout", b'{"not": "ours"}\nplain\n{broken\n')
        serving.ears.print("stderr", b"to stderr\n")
        told = {"id": message["id"], "level": "warning", "logger": "app", "text": "careful"}
        serving.say(method="log", params=told)
        serving.gives(message, 1)
        serving.gives(message, 2)
        serving.say(id="nobody asked", result=3)

    fake.calling = talks
    async with scene.agent():
        assert (await called(scene, 1)).outputs == {"value": 1}
        lines = await scene.lines(execution="e1")
    assert sorted(lines) == sorted(
        ["plain", '{"not": "ours"}', "{broken", "to stderr", "WARNING app: careful"]
    )


async def test_prints_are_those_of_their_call(scene: Scene, fake: FakeRuntime):
    """What comes through the other pipe after the answer is waited for until its mark, which is not shown."""
    calls: list[Any] = []

    def prints(serving: Pretender, message: Any) -> None:
        calls.append(message)
        serving.gives(message, len(calls))
        text = f"call {len(calls)}\n\0{message['id']}\n".encode()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, serving.ears.print, "stderr", text[:9])
        loop.call_soon(loop.call_soon, serving.ears.print, "stderr", text[9:])

    fake.calling = prints
    fake.loading = lambda serving, _message: serving.say(id="load", result=LOADED | {"marks": True})
    async with scene.agent():
        await called(scene, 1)
        await called(scene, 2)
        assert await scene.lines(execution="e1") == ["call 1"]
        assert await scene.lines(execution="e2") == ["call 2"]


async def test_a_function_that_lost_its_stderr(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """A few calls wait in vain for the end of what they print; then no call pays for that any more."""
    monkeypatch.setattr(marks, "MARK_S", 0.001)
    fake.loading = lambda serving, _message: serving.say(id="load", result=LOADED | {"marks": True})
    async with scene.agent():
        for number in range(marks.UNMARKED_MAX):
            await called(scene, number)
        monkeypatch.setattr(marks, "MARK_S", 1000.0)
        await called(scene, 9)


async def test_progress_is_told(scene: Scene, fake: FakeRuntime):
    """The first word, though the second and the end come with it; what makes no sense is passed over."""

    def progresses(serving: Pretender, message: Any) -> None:
        for current in ("much", 1, 2):
            said = {"id": message["id"], "current": current, "total": 3, "unit": "pages"}
            serving.say(method="progress", params=said)
        serving.gives(message, 1)

    fake.calling = progresses
    async with scene.agent():
        await called(scene, 1)
        progress = await scene.until("attempt.progress")
    assert (progress.phase, progress.current, progress.total, progress.unit) == ("run", 1, 3, "pages")


async def test_isolation_by_call(scene: Scene, fake: FakeRuntime):
    """Each call has a container of its own, which goes with it; nothing is told of that."""
    async with scene.agent():
        for number in (1, 2):
            await called(scene, number, isolation="call")
            await fake.made[-1].ended
    assert len(fake.made) == 2
    assert "function.unloaded" not in [recorded.event.kind for recorded in await scene.events()]


async def test_isolation_by_execution(scene: Scene, fake: FakeRuntime):
    """Calls of one execution share a container, those of another have their own."""
    async with scene.agent():
        for execution, step in (("e1", "a"), ("e1", "b"), ("e2", "a")):
            await scene.start(call(1, execution=execution, step=step, isolation="execution"))
            await scene.until("attempt.finished", execution=execution, count=1 if step == "a" else 2)
    assert [serving.launch.execution for serving in fake.made] == ["e1", "e2"]


async def test_params_tell_containers_apart(scene: Scene, fake: FakeRuntime):
    """A function is loaded with its params, and calls with others get another container."""
    async with scene.agent():
        for number, size in enumerate(["small", "small", "large"], 1):
            await called(scene, number, params={"size": size})
    loads = [message for serving in fake.made for message in serving.heard if message["method"] == "load"]
    assert [message["params"]["params"] for message in loads] == [{"size": "small"}, {"size": "large"}]


async def test_results_and_outputs(scene: Scene, fake: FakeRuntime):
    """What the function asks for instead of a value is a result; outputs are those declared."""
    said = {1: {"$result": "skip", "reason": "nothing new"}}

    def answers(serving: Pretender, message: Any) -> None:
        number = message["params"]["inputs"]["n"]
        serving.say(id=message["id"], result=said.get(number, {"$returned": 5}))

    fake.calling = answers
    async with scene.agent():
        assert (await called(scene, 1)).result.kind == "skip"
        assert (await called(scene, 2, outputs={"n": Output(type="integer")})).outputs == {"n": 5}
        await scene.start(call(3, outputs={"n": Output(type="string")}))
        assert (await scene.until("attempt.failed", execution="e3")).error.code == "invalid_type"


async def test_a_torn_line_does_not_hide_the_answer(scene: Scene, fake: FakeRuntime):
    """An answer that comes in pieces, with another program's line before it, is heard."""

    def torn(serving: Pretender, message: Any) -> None:
        text = b"half a line, then\n" + line(id=message["id"], result={"$returned": {"ok": True}})
        for at in range(len(text)):
            serving.ears.print("stdout", text[at : at + 1])

    fake.calling = torn
    async with scene.agent():
        assert (await called(scene, 1)).outputs == {"ok": True}
