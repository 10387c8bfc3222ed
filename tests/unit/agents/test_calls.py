"""An attempt that calls a function: its load phase, what it notifies, its ends. The runtime is a fake."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from muster.model.definition.workflow import Output
from muster_agents.calls import LINE_BYTES_MAX, Call
from muster_agents.runtimes.interface import Exit
from tests.unit.agents.fake import FakeRun, FakeRuntime
from tests.unit.agents.scene import TIMEOUTS, Scene, order

LOADED = b'{"jsonrpc": "2.0", "method": "loaded", "params": {}}\n'
REF = order().ref


def answered(run: FakeRun, document: Any, exit_code: int = 0) -> Exit:
    """The process ended, having answered this."""
    text = None if document is None else json.dumps(document).encode()
    return Exit(container=run.container, exit_code=exit_code, document=text)


def progress(current: float, total: float = 3) -> bytes:
    """A notification."""
    params = {"current": current, "total": total}
    return json.dumps({"jsonrpc": "2.0", "method": "progress", "params": params}).encode() + b"\n"


async def test_loading_is_a_phase_of_its_own(scene: Scene, fake: FakeRuntime):
    """It begins when the container runs and ends with the word of the harness; then the run phase begins."""

    async def script(run: FakeRun) -> Exit:
        run.ears.print("stdout", LOADED[:20])
        run.ears.print("stdout", LOADED[20:])
        return answered(run, {"$returned": 5})

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f", outputs={"n": Output(type="integer")}))
        finished = await scene.until("attempt.finished")
    assert (await scene.kinds())[5:] == [
        "function.loading",
        "function.loaded",
        "attempt.started",
        "container.exited",
        "attempt.finished",
    ]
    assert finished.outputs == {"n": 5}
    assert list(finished.seconds) == ["pull", "start", "load", "run"]
    assert fake.runs[REF].diary == ["pull", "start", "wait", "remove"]


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        ({"$raised": {"where": "find", "message": "nothing there"}}, "function_not_found", "nothing there"),
        ({"$raised": {"where": "load", "message": "X: broken"}}, "function_load", "X: broken"),
        (None, "function_load", "ended with exit code 1 before it was loaded"),
    ],
)
async def test_what_ends_before_it_is_loaded(
    scene: Scene, fake: FakeRuntime, document: Any, code: str, words: str
):
    """It failed in the load phase and never ran; the end of its container is told."""

    async def script(run: FakeRun) -> Exit:
        return answered(run, document, exit_code=1)

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f"))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.phase, failed.error.phase) == (code, "load", "load")
    assert words in failed.error.message
    assert (await scene.kinds())[5:] == ["function.loading", "container.exited", "attempt.failed"]


async def test_a_crash_in_mid_call_has_its_last_lines(scene: Scene, fake: FakeRuntime):
    """It is told from an exception: there is no traceback, but an exit code."""

    async def script(run: FakeRun) -> Exit:
        run.ears.print("stdout", LOADED)
        run.ears.print("stderr", b"about to crash\n")
        return answered(run, None, exit_code=139)

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f"))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.phase, failed.exit_code) == ("function_execution", "run", 139)
    assert failed.error.details["tail"] == ["about to crash"]


async def test_a_load_that_does_not_end_is_stopped(scene: Scene, fake: FakeRuntime):
    """After the limit of its phase, whatever its process does."""

    async def script(run: FakeRun) -> Exit:
        await run.stopped.wait()
        return answered(run, None, exit_code=143)

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f", timeouts=msgspec.structs.replace(TIMEOUTS, load=0.05)))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.phase, failed.reason) == ("step_timeout", "load", "timeout")
    assert fake.runs[REF].diary == ["pull", "start", "wait", "stop 5", "remove"]


@pytest.mark.parametrize("loaded", [False, True])
async def test_it_can_be_stopped_while_it_loads_and_in_mid_call(
    scene: Scene, fake: FakeRuntime, loaded: bool
):
    """The attempt is stopped, and nothing of it is left."""

    async def script(run: FakeRun) -> Exit:
        if loaded:
            run.ears.print("stdout", LOADED)
        await run.stopped.wait()
        return answered(run, None, exit_code=143)

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f"))
        await scene.until("attempt.started" if loaded else "function.loading")
        await scene.stop(REF)
        await scene.until("attempt.stopped")
    assert fake.runs[REF].diary == ["pull", "start", "wait", "stop 5", "remove"]


async def test_progress_is_told_now_and_then(scene: Scene, fake: FakeRuntime):
    """The first word at once; of those that come quickly after it the last one that was said when it is time again."""

    async def script(run: FakeRun) -> Exit:
        run.ears.print("stdout", LOADED)
        run.ears.print("stdout", progress(1))
        await scene.until("attempt.progress")
        for at in range(2, 100):
            run.ears.print("stdout", progress(at))
        return answered(run, {"$returned": None})

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f"))
        await scene.until("attempt.finished")
    told = [one.event.data for one in await scene.events() if one.event.kind == "attempt.progress"]
    assert [(one.phase, one.current, one.total) for one in told] == [("run", 1, 3)]


async def test_noise_on_stdout_goes_to_the_logs(scene: Scene, fake: FakeRuntime):
    """What an interpreter or an entrypoint prints there before the harness has it is no notification."""

    async def script(run: FakeRun) -> Exit:
        run.ears.print("stdout", b'a banner\n{"jsonrpc": 5}\n' + LOADED)
        return answered(run, {"$returned": None})

    fake.script = script
    async with scene.agent():
        await scene.start(order(function="app:f"))
        await scene.until("attempt.finished")
        assert await scene.lines() == ["a banner", '{"jsonrpc": 5}']


async def test_a_line_without_an_end_is_not_kept():
    """Whatever is written to stdout, the agent's memory stays small."""
    call = Call("app:f")
    assert call.hear(b"x" * LINE_BYTES_MAX) == b""
    assert len(call.hear(b"x")) == LINE_BYTES_MAX + 1
    assert call.hear(b"y\n" + LOADED) == b"y\n"
    assert call.loaded
    assert call.hear(b'{"jsonrpc": "2.0", "method": "progress", "params": {"current": "x"}}\n').endswith(
        b"\n"
    )


async def test_noop_calls_nothing(scene: Scene):
    """The runtime for benchmarks has the phases of a function, too."""
    async with scene.agent():
        await scene.start(order(function="app:f"))
        await scene.until("attempt.finished")
    kinds = await scene.kinds()
    assert [kind for kind in kinds if kind.startswith("function.")] == ["function.loading", "function.loaded"]


async def test_an_answer_that_is_too_large(scene: Scene, fake: FakeRuntime):
    """It is an OutputError that names the limit, before anything reads it."""

    async def script(run: FakeRun) -> Exit:
        run.ears.print("stdout", LOADED)
        return answered(run, {"$returned": "x" * 2000})

    fake.script = script
    async with scene.agent(output_bytes=1000):
        await scene.start(order(function="app:f"))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.phase) == ("output", "run")
    assert "1000 bytes" in failed.error.message
