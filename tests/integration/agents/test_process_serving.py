"""Functions served by real processes: lines in, lines out, files of a call, and ends of every kind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import AttemptLostError, ContainerStartingError, OutputError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting
from muster_agents.harness import HARNESS, harness
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Launch
from muster_agents.runtimes.process import ProcessRuntime
from tests.integration.agents.served import DEAF, ECHO, FILES, LOUD, STUBBORN, program
from tests.unit.agents.listener import Listener

LARGE = 5 << 20


def launch(text: str, **spec) -> Launch:
    """A function that is a Python program by itself."""
    container = ContainerSpec(image="", function="own", command=[sys.executable, "-c", program(text)], **spec)
    return Launch(instance="i1", container=container)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    made = ProcessRuntime(AgentOptions(name="m1"), tmp_path / "work")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def serving(runtime: ProcessRuntime) -> Callable:
    async def start(text: str, **spec):
        ears = Listener()
        served = runtime.serve(launch(text, **spec), ears)
        await served.pull()
        await served.start()
        return served, ears

    return start


async def test_a_line_is_answered(serving):
    """What is sent to stdin comes back on stdout; the start is told as a container's is."""
    served, ears = await serving(ECHO)
    assert [type(body) for body in ears.bodies] == [ContainerStarting, ContainerStarted]
    assert ears.bodies[1].container == served.container
    for number in range(3):
        await served.send(b"call %d\n" % number)
        await ears.until(b"CALL %d\n" % number)
    await served.stop(5)
    assert (await served.wait()).exit_code == 128 + signal.SIGTERM


async def test_a_line_of_5_mb(serving):
    """A line of many times the pipe's size comes through whole."""
    served, ears = await serving(ECHO)
    await served.send(b"a" * LARGE + b"\n")
    assert await ears.until(b"\n") == b"A" * LARGE + b"\n"


async def test_a_process_that_never_reads(serving):
    """A deaf process costs its caller the deadline; it can be stopped, and whoever waits then is told."""
    served, ears = await serving(DEAF)
    await ears.until(b"up")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await served.send(b"x" * LARGE + b"\n")
    waiting = asyncio.create_task(served.send(b"more\n"))
    await asyncio.sleep(0)
    await served.stop(5)
    with pytest.raises(AttemptLostError):
        await waiting
    assert (await served.wait()).exit_code == 128 + signal.SIGTERM


async def test_20_mb_of_stderr(serving):
    """What a function shouts is heard to the last byte, and does not keep it from answering."""
    served, ears = await serving(LOUD)
    await ears.until(b"done")
    await ears.until_size(20 << 20, "stderr")
    await served.remove()
    assert len(ears.text("stderr")) == 20 << 20


async def test_it_ignores_sigterm(serving):
    """A process that ignores SIGTERM is killed after the grace time."""
    served, ears = await serving(STUBBORN)
    await ears.until(b"up")
    await served.stop(0.05)
    assert (await served.wait()).exit_code == 128 + signal.SIGKILL


async def test_it_is_killed(serving):
    """A process that somebody kills has ended, and nothing more can be sent."""
    served, ears = await serving(ECHO)
    await served.send(b"one\n")
    await ears.until(b"ONE\n")
    os.kill(int(served.container), signal.SIGKILL)
    assert (await served.wait()).exit_code == 128 + signal.SIGKILL
    with pytest.raises(AttemptLostError):
        await served.send(b"two\n")


async def test_it_ends_on_the_end_of_stdin(serving):
    """Removal closes stdin and leaves neither the process nor its folder."""
    served, ears = await serving(ECHO)
    await served.send(b"one\n")
    await ears.until(b"ONE\n")
    await served.remove()
    assert not await asyncio.to_thread(Path(f"/proc/{served.container}").exists)
    with pytest.raises(AttemptLostError):
        await served.send(b"two\n")


async def test_files_of_a_call(serving, tmp_path: Path):
    """Files go into a folder of the call and come out of another; links are not followed; others see nothing."""
    served, ears = await serving(FILES, environment={"PLACE": "/muster/in/x"})
    (tmp_path / "a").write_text("first")
    inside, outside = await served.put("c1", {"b.txt": tmp_path / "a", "a.txt": tmp_path / "a"})
    assert (Path(inside).name, Path(outside).name) == ("c1", "c1")
    await served.send(b'{"in": "%s", "out": "%s"}\n' % (inside.encode(), outside.encode()))
    said = await ears.until(b"made ")
    assert [part for part in said.decode().split() if part.startswith("/")] == [
        str(Path(inside).parent),
        str(Path(outside).parent),
    ]
    target = tmp_path / "taken"
    taken = await served.take("c1/sub/made.txt", target, 1000)
    assert taken is not None
    assert target.read_text() == "a.txt=first b.txt=first"
    assert taken[1] == len(target.read_text())
    assert await served.take("c1/none", target, 1000) is None
    with pytest.raises(OutputError, match="link"):
        await served.take("c1/link", target, 1000)
    await served.send(b'{"release": ["%s", "%s"]}\n' % (inside.encode(), outside.encode()))
    await ears.until(b"released")
    assert not await asyncio.to_thread(Path(inside).exists)
    inside, _ = await served.put("c2", {})
    assert await asyncio.to_thread(os.listdir, inside) == []


async def test_files_of_one_that_is_gone(serving, tmp_path: Path):
    """Files for a process that was removed are refused as lost, not as a failed start."""
    served, _ = await serving(ECHO)
    await served.remove()
    with pytest.raises(AttemptLostError):
        await served.put("c1", {})


async def test_the_harness_is_there(runtime: ProcessRuntime, tmp_path: Path):
    """A function with a colon is served by the harness, which is put beside its folders."""
    container = ContainerSpec(image="", function="os.path:basename")
    served = runtime.serve(Launch(instance="i2", container=container), Listener())
    await served.start()
    [place] = await asyncio.to_thread(lambda: list((tmp_path / "work").glob(f"*i2/{HARNESS}")))
    assert await asyncio.to_thread(place.read_bytes) == harness()
    await served.remove()


async def test_nothing_to_run(runtime: ProcessRuntime):
    """A function without a colon needs a command where there is no image; that cannot become better."""
    served = runtime.serve(
        Launch(instance="i3", container=ContainerSpec(image="", function="own")), Listener()
    )
    with pytest.raises(ContainerStartingError) as raised:
        await served.start()
    assert raised.value.data["retriable"] is False
    await served.remove()


async def test_the_runtime_closes(runtime: ProcessRuntime, serving):
    """What still runs when the runtime closes is killed: nobody would answer for it."""
    served, _ = await serving(ECHO)
    await runtime.close()
    assert (await served.wait()).exit_code == 128 + signal.SIGKILL
    assert await runtime.find_servings() == []
