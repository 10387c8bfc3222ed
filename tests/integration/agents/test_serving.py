"""Functions served by real containers: lines in and out, agents that die, files of a call, and ends of every kind."""

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from muster.identity import uuid7
from muster.model.errors import AttemptLostError, ContainerStartingError, OutputError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting, ImagePulled, ImagePulling
from tests.integration.agents.served import DEAF, ECHO, FILES, LOUD, STUBBORN, Bench, soon
from tests.unit.agents.listener import Listener

pytestmark = pytest.mark.docker

LARGE = 5 << 20
HALVES = """
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line.strip())
    sys.stdout.buffer.flush()
    if line.endswith(b"!\\n"):
        sys.stdout.buffer.write(b"\\n")
        sys.stdout.buffer.flush()
"""
LATER = """
print("up", flush=True)
for number in range(60):
    time.sleep(0.05)
    print("reply", number, "x" * 200, flush=True)
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line.upper())
    sys.stdout.buffer.flush()
"""
COUNT = 60_000
CHATTY = f"""
for number in range({COUNT}):
    sys.stdout.write("%08d " % number + "x" * 90 + chr(10))
    if number % 100 == 0:
        sys.stdout.flush()
        time.sleep(0.001)
sys.stdout.flush()
time.sleep(1000)
"""
GREEDY = """
print("up", flush=True)
sys.stdin.readline()
held = b"x" * (1 << 30)
"""
CHILDREN = """
import subprocess
for _ in range(3):
    subprocess.Popen(["python3", "-c", "import time; time.sleep(1000)"])
print("up", flush=True)
time.sleep(1000)
"""


@pytest.fixture
async def bench(
    docker_engine, python_image: str, docker_cleanup: Callable[[str], None]
) -> AsyncIterator[Bench]:
    name = f"test-{uuid7()[-12:]}"
    docker_cleanup(f"io.muster.machine={name}")
    made = Bench(docker_engine, python_image, name)
    yield made
    for runtime in made.runtimes:
        await runtime.close()


async def ended(served):
    async with asyncio.timeout(30):
        return await served.wait()


async def test_a_line_is_answered(bench: Bench):
    """What is sent to stdin comes back on stdout; its start is told; the container is bounded and labelled."""
    served, ears = await bench.start(ECHO)
    assert [type(body) for body in ears.bodies] == [
        ImagePulling,
        ImagePulled,
        ContainerStarting,
        ContainerStarted,
    ]
    assert ears.bodies[-1].container == served.container
    assert served.digest == ears.bodies[1].digest == await bench.runtimes[0].digest(bench.image)
    for number in range(3):
        await served.send(b"call %d\n" % number)
        await ears.until(b"CALL %d\n" % number)
    attributes = (await asyncio.to_thread(bench.container, served)).attrs
    labels, host = attributes["Config"]["Labels"], attributes["HostConfig"]
    assert {name for name in labels if name.startswith("io.muster.")} - {"io.muster.test.rootfs"} == {
        "io.muster.machine",
        "io.muster.log",
        "io.muster.instance",
    }
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "16m", "max-file": "2"}}
    assert host["Init"] is True
    assert host["Binds"] is None
    assert host["CapDrop"] == ["ALL"]
    assert await bench.runtimes[0].find() == []  # no attempt
    await served.stop(5)
    assert (await ended(served)).exit_code == 143
    with pytest.raises(AttemptLostError):
        await served.send(b"more\n")
    volumes = [mount["Name"] for mount in attributes["Mounts"]]
    await served.remove()
    assert await asyncio.to_thread(bench.count) == 0
    left = await asyncio.to_thread(bench.engine.volumes.list)
    assert not {volume.id for volume in left} & set(volumes)
    assert await bench.runtimes[0].digest("muster-test/never:made") is None


async def test_a_round_trip_takes_less_than_a_millisecond(bench: Bench):
    """The way to a function and back, through the engine, is short; so it is after adoption."""
    served, ears = await bench.start(ECHO)
    for _ in range(2):
        times, bare = [], []
        async with echoing() as echo:
            for number in range(200):
                known, began = len(ears.text()), time.perf_counter()
                await served.send(b"call %d\n" % number)
                await ears.until(b"\n", after=known)
                times.append(time.perf_counter() - began)
                began = time.perf_counter()
                await echo(b"call\n")
                bare.append(time.perf_counter() - began)
        # Measured: 0.2 ms. Where so many others want a turn that two pipes take long, it is compared with these.
        assert statistics.median(times) < max(0.005, 10 * statistics.median(bare))
        served, ears = await bench.again(ECHO)
        await ears.until(b"CALL 199\n")


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
    """A process with nothing between: what it is given comes back."""
    process = await asyncio.create_subprocess_exec(
        "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    given, back = process.stdin, process.stdout
    assert given is not None
    assert back is not None

    async def echo(line: bytes) -> bytes:
        given.write(line)
        return await back.readline()

    try:
        yield echo
    finally:
        given.close()
        await process.wait()


async def test_replies_while_nobody_listened(bench: Bench):
    """An agent that dies misses nothing: the next one hears all of it once, and goes on with the same container."""
    served, ears = await bench.start(LATER)
    await ears.until(b"reply 5 ")
    adopted, heard = await bench.again(LATER)
    assert adopted.container == served.container
    await heard.until(b"reply 59 ")
    await adopted.send(b"after\n")
    await heard.until(b"AFTER\n")
    lines = heard.text().decode().splitlines()
    assert lines == ["up", *(f"reply {number} {'x' * 200}" for number in range(60)), "AFTER"]


async def test_half_written_lines(bench: Bench):
    """A line whose halves were written before and after the agent's death is whole for the next agent."""
    served, ears = await bench.start(HALVES)
    await served.send(b"whole!\nfirst-\n")
    await ears.until(b"first-")
    adopted, heard = await bench.again(HALVES)
    await heard.until(b"whole!\n")
    await adopted.send(b"second!\n")
    await heard.until(b"first-second!\n")
    await adopted.send(b"third!\n")
    await heard.until(b"third!\n")
    assert heard.text() == b"whole!\nfirst-second!\nthird!\n"


async def test_it_prints_all_the_time(bench: Bench):
    """A container adopted in the middle of a stream of lines is told without a gap, and nothing comes twice."""
    _, ears = await bench.start(CHATTY)
    await ears.until_size(1 << 20, "stdout")
    adopted, heard = await bench.again(CHATTY)
    await heard.until_size(COUNT * 100, "stdout")
    assert heard.text() == b"".join(b"%08d %s\n" % (number, b"x" * 90) for number in range(COUNT))
    await asyncio.to_thread(bench.container(adopted).remove, force=True)
    with contextlib.suppress(AttemptLostError):
        assert (await ended(adopted)).exit_code == 137


async def test_a_connection_that_is_cut(bench: Bench):
    """Where the connection to the engine breaks, a new one goes on from what was heard last, both ways."""
    served, ears = await bench.start(LATER)
    await ears.until(b"reply 5 ")
    beneath = served._listening._attached._beneath
    beneath.shutdown(socket.SHUT_RDWR)
    served._stdin._connection.shutdown(socket.SHUT_RDWR)
    await ears.until(b"reply 59 ")
    await served.send(b"after\n")
    await ears.until(b"AFTER\n")
    lines = ears.text().decode().splitlines()
    assert [line for line in lines if line] == [
        "up",
        *(f"reply {number} {'x' * 200}" for number in range(60)),
        "AFTER",
    ]


async def test_one_that_ended_while_nobody_listened(bench: Bench):
    """A container that died with nobody there is found, told to its last word, and its end is known."""
    served, ears = await bench.start(ECHO)
    await served.send(b"last words\n")
    await ears.until(b"LAST")
    await bench.runtimes[-1].close()
    await asyncio.to_thread(bench.container(served).kill)
    following = await bench.runtime()
    [found] = await following.find_servings()
    assert not found.running
    heard = Listener()
    adopted = following.adopt_serving(bench.launch(ECHO), found, heard)
    assert (await ended(adopted)).exit_code == 137
    assert await heard.until(b"\n") == b"LAST WORDS\n"
    with pytest.raises(AttemptLostError):
        await adopted.send(b"more\n")
    await following.discard_serving(found)
    assert await following.find_servings() == []


async def test_it_is_killed(bench: Bench):
    """A container that somebody kills has ended with its code, which is not that of one without memory."""
    served, ears = await bench.start(ECHO)
    await served.send(b"one\n")
    await ears.until(b"ONE\n")
    await asyncio.to_thread(bench.container(served).kill)
    exited = await ended(served)
    assert (exited.exit_code, exited.oom_killed) == (137, False)
    with pytest.raises(AttemptLostError):
        await served.send(b"two\n")
    await served.remove()


async def test_it_is_removed_by_somebody_else(bench: Bench):
    """A docker rm -f from outside is an end: nothing hangs, and removal is not offended."""
    served, ears = await bench.start(ECHO)
    await served.send(b"one\n")
    await ears.until(b"ONE\n")
    await asyncio.to_thread(bench.container(served).remove, force=True)
    with contextlib.suppress(AttemptLostError):  # its exit code, where the engine still knows it
        assert (await ended(served)).exit_code == 137
    with pytest.raises(AttemptLostError):
        await served.send(b"two\n")
    with pytest.raises(AttemptLostError):
        await served.put("c1", {})
    await served.stop(1)
    await served.remove()


async def test_it_takes_more_memory_than_it_may(bench: Bench):
    """A container that the kernel kills for its memory says so, whichever of its processes it was."""
    served, ears = await bench.start(GREEDY, memory=64 << 20)
    await ears.until(b"up")
    await served.send(b"go\n")
    exited = await ended(served)
    assert (exited.exit_code, exited.oom_killed) == (137, True)


async def test_a_line_of_5_mb(bench: Bench):
    """A line of many times every buffer's size comes through whole, and so does its answer."""
    served, ears = await bench.start(ECHO)
    await served.send(b"a" * LARGE + b"\n")
    assert await ears.until(b"\n") == b"A" * LARGE + b"\n"


async def test_a_process_that_never_reads(bench: Bench):
    """A deaf function costs its caller the deadline; it can be stopped, and whoever waits then is told."""
    served, ears = await bench.start(DEAF)
    await ears.until(b"up")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await served.send(b"x" * LARGE + b"\n")
    waiting = asyncio.create_task(served.send(b"more\n"))
    await asyncio.sleep(0)
    await served.stop(5)
    with pytest.raises(AttemptLostError):
        await waiting
    assert (await ended(served)).exit_code == 143


async def test_20_mb_of_stderr(bench: Bench):
    """What a function shouts is heard to the last byte, though its log keeps less, and it still answers."""
    served, ears = await bench.start(LOUD)
    await ears.until(b"done")
    await ears.until_size(20 << 20, "stderr")
    await served.stop(5)
    assert ears.text("stderr") == (b"e" * 1023 + b"\n") * (20 << 10)


async def test_it_ignores_sigterm(bench: Bench):
    """A process that ignores SIGTERM is killed after the grace time, and its children with it."""
    served, ears = await bench.start(STUBBORN)
    await ears.until(b"up")
    began = time.monotonic()
    await served.stop(1)
    assert (await ended(served)).exit_code == 137
    assert time.monotonic() - began >= 1


async def test_its_children_end_with_it(bench: Bench):
    """A function that leaves children behind leaves none when it is stopped."""
    served, ears = await bench.start(CHILDREN)
    await ears.until(b"up")
    inside = bench.container(served)
    [first, *_] = (await asyncio.to_thread(inside.top))["Processes"]
    assert len((await asyncio.to_thread(inside.top))["Processes"]) >= 4
    await served.stop(5)
    assert (await ended(served)).exit_code == 143
    await soon(lambda: not Path(f"/proc/{first[1]}").exists())


@pytest.mark.parametrize("user", [None, "65534"])
async def test_files_of_a_call(bench: Bench, tmp_path: Path, user: str | None):
    """Files go in and out of a running container with a read-only root, whoever it runs as, who may remove them."""
    served, ears = await bench.start(FILES, read_only=True, user=user)
    assert (await ears.until(b"\n")).split() == [b"up", (user or "0").encode()]
    source = tmp_path / "a"
    source.write_text("first")
    inside, outside = await served.put("c1", {"b.txt": source, "a.txt": source})
    assert (inside, outside) == ("/muster/in/c1", "/muster/out/c1")
    await served.send(b'{"in": "/muster/in/c1", "out": "/muster/out/c1"}\n')
    await ears.until(b"made /muster/in /muster/out")
    target = tmp_path / "taken"
    taken = await served.take("c1/sub/made.txt", target, 1000)
    assert taken is not None
    assert taken[1] == len(target.read_text())
    assert target.read_text() == "a.txt=first b.txt=first"
    assert await served.take("c1/none", target, 1000) is None
    with pytest.raises(OutputError, match="link"):
        await served.take("c1/link", target, 1000)
    await served.send(b'{"release": ["/muster/in/c1", "/muster/out/c1"]}\n')
    await ears.until(b"released")
    assert await served.take("c1/sub/made.txt", target, 1000) is None
    await served.put("c2", {"only.txt": source})
    await served.send(b'{"in": "/muster/in/c2", "out": "/muster/out/c2"}\n')
    await ears.until(b"made", after=len(ears.text()))
    assert await served.take("c2/sub/made.txt", target, 1000) is not None
    assert target.read_text() == "only.txt=first"


async def test_a_start_that_is_cut_short(bench: Bench):
    """A start that nobody waits for any more leaves a container that removal finds, and no other."""
    served = (await bench.runtime()).serve(bench.launch(ECHO), Listener())
    await served.pull()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await served.start()
    await served.stop(0)
    await served.remove()
    assert await asyncio.to_thread(bench.count) == 0


async def test_a_start_that_fails(bench: Bench):
    """A working directory that is a file is a failed start, and leaves nothing."""
    served = (await bench.runtime()).serve(bench.launch("", working_dir="/usr/bin/python3"), Listener())
    await served.pull()
    with pytest.raises(ContainerStartingError):
        await served.start()
    await served.remove()
    assert await asyncio.to_thread(bench.count) == 0


async def test_a_command_that_is_not_there(bench: Bench):
    """The container's first process says so, by its exit code and in its log."""
    served, ears = await bench.start("", command=["/no/such"])
    assert (await ended(served)).exit_code == 127
    assert b"/no/such" in await ears.until(b"No such file", "stderr")


async def test_one_that_closes_its_outputs_and_goes_on(bench: Bench):
    """Closed outputs are not taken for an end: that comes when it comes."""
    served, ears = await bench.start(
        "import os\nprint('up', flush=True)\nos.close(1)\nos.close(2)\nsys.stdin.readline()\nos._exit(7)"
    )
    await ears.until(b"up")
    await asyncio.sleep(2.5)  # long enough to be attached to again; there is nothing to wait for
    assert not served._ended.done()
    await served.send(b"go\n")
    assert (await ended(served)).exit_code == 7
    assert ears.text() == b"up\n"
