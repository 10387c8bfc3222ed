"""One attempt: its phases, its limits, its ends. The runtime is a fake that does what the test says."""

import asyncio

import msgspec
import pytest

from muster.model.definition.workflow import Output
from muster.model.errors import ContainerStartingError, ImagePullError
from muster.model.log.commands import AttemptResources
from muster_agents.runtimes.interface import Exit
from tests.unit.agents.fake import FakeRun, FakeRuntime, never
from tests.unit.agents.scene import TIMEOUTS, Scene, order

REF = order().ref
HAPPY = [
    "attempt.accepted",
    "image.pulling",
    "image.pulled",
    "container.starting",
    "container.started",
    "attempt.started",
    "container.exited",
    "attempt.finished",
]


async def forever(run: FakeRun) -> None:
    await asyncio.Event().wait()


async def test_the_lifecycle_is_told_in_order(scene: Scene, fake: FakeRuntime):
    """An attempt that ends well tells its phases in their order, with the seconds of each."""
    async with scene.agent():
        await scene.start(order())
        finished = await scene.until("attempt.finished")
    assert await scene.kinds() == HAPPY
    assert list(finished.seconds) == ["pull", "start", "run"]
    assert fake.runs[REF].diary == ["pull", "start", "wait", "remove"]


async def test_outputs_are_collected(scene: Scene, fake: FakeRuntime):
    """Declared outputs are taken from the document and from stdout."""

    async def script(run: FakeRun) -> Exit:
        return Exit(container="c", exit_code=0, document=b'{"a": [1]}', stdout=b"text\n")

    fake.script = script
    async with scene.agent():
        await scene.start(order(outputs={"a": Output(), "b": Output(type="string", source="stdout")}))
        assert (await scene.until("attempt.finished")).outputs == {"a": [1], "b": "text"}


async def test_a_missing_output_fails_the_attempt(scene: Scene, fake: FakeRuntime):
    """A declared output that was not written is an error that names the step, in the run phase."""
    async with scene.agent():
        await scene.start(order(outputs={"a": Output()}))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.phase, failed.reason) == ("value_missing", "run", "error")
    assert (failed.error.step, failed.error.machine, failed.error.attempt) == ("work", "m1", 1)


async def test_outputs_that_are_too_large_are_refused(scene: Scene, fake: FakeRuntime):
    """Outputs above the limit fail the attempt instead of blocking the log."""

    async def script(run: FakeRun) -> Exit:
        return Exit(container="c", exit_code=0, document=b'{"a": "' + b"x" * 2000 + b'"}')

    fake.script = script
    async with scene.agent(output_bytes=1000):
        await scene.start(order(outputs={"a": Output()}))
        assert (await scene.until("attempt.failed")).error.code == "output"


async def test_an_exit_code_is_an_error_with_the_last_lines(scene: Scene, fake: FakeRuntime):
    """A command that fails gives its code and the end of what it printed, also the line without an end."""

    async def script(run: FakeRun) -> Exit:
        for number in range(30):
            run.ears.print("stderr", f"line {number}\n".encode())
        run.ears.print("stderr", b"the reason")
        return Exit(container="c", exit_code=3)

    fake.script = script
    async with scene.agent():
        await scene.start(order())
        failed = await scene.until("attempt.failed")
    assert (failed.exit_code, failed.error.code, failed.retriable) == (3, "execution", True)
    assert failed.error.details["tail"] == [*(f"line {number}" for number in range(11, 30)), "the reason"]
    assert (await scene.kinds())[-2:] == ["container.exited", "attempt.failed"]
    assert len(await scene.lines()) == 31


async def test_memory_is_an_error_of_its_own(scene: Scene, fake: FakeRuntime):
    """A container the kernel killed for its memory says so."""

    async def script(run: FakeRun) -> Exit:
        return Exit(container="c", exit_code=137, oom_killed=True)

    fake.script = script
    async with scene.agent():
        await scene.start(order())
        assert (await scene.until("attempt.failed")).error.code == "out_of_memory"


@pytest.mark.parametrize("phase", ["pull", "start", "run"])
async def test_each_phase_has_its_timeout(scene: Scene, fake: FakeRuntime, phase: str):
    """A phase that takes too long fails the attempt, is named, and leaves nothing running."""
    if phase == "pull":
        fake.pulling = forever
    elif phase == "start":
        fake.starting = forever
    else:
        fake.script = never
    timeouts = msgspec.structs.replace(TIMEOUTS, **{phase: 0.05})
    async with scene.agent():
        await scene.start(order(timeouts=timeouts))
        failed = await scene.until("attempt.failed")
    assert (failed.reason, failed.phase, failed.error.code) == ("timeout", phase, "step_timeout")
    assert failed.error.phase == phase
    assert ("stop 5" in fake.runs[REF].diary) == (phase != "pull")
    assert fake.runs[REF].diary[-1] == "remove"


@pytest.mark.parametrize("retriable", [True, False])
async def test_a_runtime_says_whether_trying_again_can_help(scene: Scene, fake: FakeRuntime, retriable: bool):
    """The runtime's word on that goes into the fact, and not into the details."""

    async def pulling(run: FakeRun) -> None:
        raise ImagePullError(image="i", retriable=retriable)

    fake.pulling = pulling
    async with scene.agent():
        await scene.start(order())
        failed = await scene.until("attempt.failed")
    assert (failed.phase, failed.retriable, failed.error.details) == ("pull", retriable, {"image": "i"})


async def test_a_failed_start_leaves_nothing(scene: Scene, fake: FakeRuntime):
    """What a start may have made half way is stopped and removed."""

    async def starting(run: FakeRun) -> None:
        raise ContainerStartingError

    fake.starting = starting
    async with scene.agent():
        await scene.start(order())
        assert (await scene.until("attempt.failed")).phase == "start"
    assert fake.runs[REF].diary == ["pull", "start", "stop 5", "remove"]


async def test_a_defect_is_a_failure_that_is_told(scene: Scene, fake: FakeRuntime, caplog):
    """Whatever a runtime raises, the scheduler hears of the attempt, and the agent lives on."""

    async def pulling(run: FakeRun) -> None:
        raise ZeroDivisionError("oops")

    fake.pulling = pulling
    async with scene.agent():
        await scene.start(order("bad"))
        assert "ZeroDivisionError" in (await scene.until("attempt.failed")).error.message
        fake.pulling = fake.starting
        await scene.start(order("good"))
        await scene.until("attempt.finished")


@pytest.mark.parametrize("phase", ["pull", "start", "run"])
async def test_a_stop_ends_any_phase(scene: Scene, fake: FakeRuntime, phase: str):
    """A stop in any phase ends the attempt with that fact and the reason, after the container is gone."""
    reached = asyncio.Event()

    async def block(run: FakeRun) -> None:
        reached.set()
        await forever(run)

    async def script(run: FakeRun) -> Exit:
        reached.set()
        return await never(run)

    fake.script = script
    if phase == "pull":
        fake.pulling = block
    elif phase == "start":
        fake.starting = block
    async with scene.agent():
        await scene.start(order())
        await reached.wait()
        await scene.stop(REF, reason="cancelled")
        stopped = await scene.until("attempt.stopped")
        assert stopped.reason == "cancelled"
        assert (await scene.kinds())[-1] == "attempt.stopped"
        assert fake.runs[REF].stopped.is_set() == (phase != "pull")


async def test_the_facts_carry_what_caused_them(scene: Scene, fake: FakeRuntime):
    """Accepting names the start command, stopping the stop command."""
    fake.script = never
    async with scene.agent():
        start = await scene.start(order())
        await scene.until("attempt.started")
        stop = await scene.stop(REF)
        await scene.until("attempt.stopped")
        causes = {recorded.event.kind: recorded.event.cause for recorded in await scene.events("e1")}
    assert (causes["attempt.accepted"], causes["attempt.stopped"]) == (start, stop)


async def test_an_attempt_that_ended_is_not_stopped(scene: Scene, fake: FakeRuntime):
    """A stop that comes after the end changes nothing."""
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.finished")
        await scene.stop(REF)
        await scene.start(order("later"))
        await scene.until("attempt.finished", count=2)
        assert "attempt.stopped" not in await scene.kinds()


async def test_resources_reach_the_runtime(scene: Scene, fake: FakeRuntime):
    """The runtime gets the order as it came."""
    wanted = order(resources=AttemptResources(cpus=0.5, memory=1 << 20), inputs={"a": 1})
    async with scene.agent():
        await scene.start(wanted)
        await scene.until("attempt.finished")
    assert fake.runs[REF].order == wanted
