"""``muster agent`` as a process on a real broker: its words, its signals, and its death."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from muster.broker.nats.broker import NatsBroker
from muster.identity import uuid7
from muster.settings import Settings
from tests.fixtures.broker import Broker
from tests.fixtures.engine import BUSYBOX, remove_containers
from tests.fixtures.processes import gone
from tests.unit.agents.scene import Scene, order, shell

pytestmark = pytest.mark.broker

REF = order().ref


class Process:
    """``muster agent`` and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def until_it_says(self, words: str) -> str:
        """Wait for a line with these words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := (await self.process.stdout.readline()).decode():
                self.said.append(line)
                if words in line:
                    return line
        raise AssertionError(f"it ended without {words!r}: {''.join(self.said)}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def code(self) -> int:
        """Its exit code, and the rest of what it says."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            self.said.append((await self.process.stdout.read()).decode())
            return await self.process.wait()


@contextlib.asynccontextmanager
async def muster_agent(
    scene: Scene, broker: Broker, *arguments: str, **environment: str
) -> AsyncIterator[Process]:
    """Run ``muster agent`` on this scene's name and folder."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "muster.cli.main", "agent", "--name", scene.name, *arguments),
        env=os.environ
        | {"MUSTER_URL": broker.url, "MUSTER_DATA_DIR": str(scene.settings.data_dir)}
        | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Process(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@pytest_asyncio.fixture
async def scene(broker: Broker, tmp_path: Path) -> AsyncIterator[Scene]:
    """A prepared broker and a machine's queue."""
    connection = await NatsBroker.connect(Settings(url=broker.url), name="test")
    try:
        await connection.prepare()
        made = Scene(connection, tmp_path, runtime="process", name=f"test-{uuid7()[-12:]}")
        await connection.commands.open(made.name)
        yield made
    finally:
        await connection.close()


async def test_it_works_and_ends_in_order(scene: Scene, broker: Broker):
    """It says when it works, runs attempts, and SIGTERM ends them, says goodbye, and exits with 0."""
    async with muster_agent(scene, broker, "--runtime", "process", "--slots", "3", "--label", "a=b") as agent:
        await agent.until_it_says("3 slots")
        await scene.start(shell("echo hi; echo 7", outputs={}))
        await scene.until("attempt.finished")
        await scene.printed("hi", "7")
        assert (await scene.connection()).facts.labels == {"a": "b"}
        await scene.start(shell("sleep 1000", "long"))
        await scene.until("attempt.started", count=2)
        agent.signal(signal.SIGTERM)
        assert await agent.code() == 0, agent.said
    kinds = [recorded.event.kind for recorded in await scene.events()]
    assert kinds[-2:] == ["attempt.stopped", "machine.disconnected"]


async def test_a_second_signal_does_not_wait(scene: Scene, broker: Broker):
    """Ctrl-C twice ends the agent although an attempt does not want to; its process dies with it."""
    async with muster_agent(scene, broker, "--runtime", "process") as agent:
        await agent.until_it_says("slots")
        await scene.start(shell("trap 'echo asked' TERM; echo $$; while :; do sleep 0.05; done"))
        async with (
            asyncio.timeout(30),
            contextlib.aclosing(scene.broker.lines.read("e1", follow=True)) as lines,
        ):
            pid = (await anext(lines))[2].text
            agent.signal(signal.SIGINT)
            while (await anext(lines))[2].text != "asked":  # the shell may tell of its sleep before
                pass
        agent.signal(signal.SIGINT)
        assert await agent.code() == 130, agent.said
    await gone([int(pid)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "Not_Legal!"], "not a legal name"),
        (["--name", "scheduler"], "reserved"),
        (["--label", "nonsense"], "label"),
        (["--memory", "lots"], "--memory"),
        (["--cpus", "-1"], "cpus"),
        (["--slots", "0"], "slots"),
        (["--gpus", "1,1"], "twice"),
        (["--gpus", ","], "--gpus"),
        (["--gpus", "-1"], "--gpus"),
    ],
)
async def test_bad_arguments_are_refused(scene: Scene, broker: Broker, arguments: list[str], words: str):
    """What an agent cannot be is one sentence with what to do, and exit code 2."""
    async with muster_agent(scene, broker, "--runtime", "noop", *arguments) as agent:
        assert await agent.code() == 2
        assert words in agent.said[0]
        assert "Traceback" not in agent.said[0]


@pytest.mark.parametrize(("gpus", "ids"), [("2", ["", ""]), ("0", []), ("3,GPU-a", ["3", "GPU-a"])])
async def test_the_gpus_of_a_machine_can_be_said(scene: Scene, broker: Broker, gpus: str, ids: list[str]):
    """A number is how many, ids are which; without nvidia-smi they are believed."""
    async with muster_agent(scene, broker, "--runtime", "noop", "--gpus", gpus) as agent:
        await agent.until_it_says("slots")
        assert [gpu.id for gpu in (await scene.connection()).facts.gpus] == ids


async def test_no_broker_is_a_sentence(scene: Scene, broker: Broker):
    """Without a broker it says so and where it looked."""
    async with muster_agent(scene, broker, "--runtime", "noop", MUSTER_URL="nats://127.0.0.1:9") as agent:
        assert await agent.code() == 3
        assert "127.0.0.1:9" in agent.said[0]


async def test_a_second_agent_elsewhere_takes_over(scene: Scene, broker: Broker, tmp_path: Path):
    """The first one is told so in a sentence and exits with an error."""
    async with muster_agent(scene, broker, "--runtime", "process") as first:
        await first.until_it_says("slots")
        session = await scene.session()
        other = Scene(scene.broker, tmp_path / "elsewhere", name=scene.name)
        async with muster_agent(other, broker, "--runtime", "process") as second:
            await second.until_it_says("slots")
            await scene.start(order(command=["/bin/true"]), session=session)
            await scene.start(order(command=["/bin/true"], attempt=2), session=await scene.session())
            assert await first.code() == 2
            assert "Another agent took the name" in first.said[-1]
            await scene.until("attempt.finished")


async def test_the_broker_may_restart(scene: Scene, broker: Broker):
    """Facts of attempts that end while the broker is away arrive when it is back, once and in order."""
    async with muster_agent(scene, broker, "--runtime", "process", "--slots", "20") as agent:
        await agent.until_it_says("slots")
        go, over = scene.settings.data_dir / "go", scene.settings.data_dir / "over"
        over.mkdir()
        script = f"while [ ! -e {go} ]; do sleep 0.05; done; echo over; touch {over}/$MUSTER_STEP"
        await scene.start(*(shell(script, f"s{n}") for n in range(20)))
        await scene.until("attempt.started", count=20)
        await asyncio.to_thread(broker.kill)
        go.touch()
        async with asyncio.timeout(30):
            while len(list(over.iterdir())) < 20:
                await asyncio.sleep(0.02)
        await asyncio.to_thread(broker.start)
        await scene.until("attempt.finished", count=20)
        numbers = [recorded.event.n for recorded in await scene.events("e1")]
        assert numbers == list(range(1, 20 * 6 + 1))


@pytest.mark.parametrize(
    ("point", "count"),
    [
        *((f"append.{when}", count) for when in ("before", "after") for count in (2, 3, 4)),
        *((f"ack.{when}", count) for when in ("before", "after") for count in (1, 2)),
        ("beat.after", 2),
    ],
)
async def test_death_at_any_point_loses_nothing(scene: Scene, broker: Broker, point: str, count: int):
    """Killed at any point, the agent leaves a log and a disk from which the next one makes exactly one end."""
    fault = f"agent.{point}:{count}"
    async with muster_agent(scene, broker, "--runtime", "process", MUSTER_FAULT=fault) as first:
        await first.until_it_says("slots")
        await scene.start(order("a", command=["/bin/true"]))
        await scene.start(order("b", command=["/bin/true"]))
        await stopped(first.process.pid)
        first.signal(signal.SIGKILL)
        await first.code()
    async with muster_agent(scene, broker, "--runtime", "process") as second:
        await second.until_it_says("slots")
        # What the scheduler would do: order again what the new connection does not answer for and the log does not end.
        answered = (await scene.connection()).attempts
        ended = await ends(scene)
        for step in ("a", "b"):
            ref = order(step).ref
            if ref not in answered and step not in ended:
                await scene.start(order(step, command=["/bin/true"]))
        async with asyncio.timeout(20):
            while set(await ends(scene)) != {"a", "b"}:
                await asyncio.sleep(0.05)
        second.signal(signal.SIGTERM)
        assert await second.code() == 0
    assert sorted(await ends(scene)) == ["a", "b"]


async def ends(scene: Scene) -> list[str]:
    """The steps of all last facts that count: a number below one already seen is a repetition."""
    found: list[str] = []
    seen = 0
    for recorded in await scene.events():
        event = recorded.event
        if event.kind == "machine.connected" or (event.n or 0) <= seen:
            continue
        seen = event.n or 0
        if event.kind in {"attempt.finished", "attempt.failed", "attempt.stopped"}:
            found.append(event.step or "")
    return found


async def stopped(pid: int) -> None:
    """Until the process has halted itself at its fault point."""
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            await asyncio.sleep(0.005)


@pytest.mark.docker
async def test_a_killed_agents_container_goes_on(scene: Scene, broker: Broker, docker_engine, busybox_image):
    """Kill -9 of a docker agent leaves its container running, and the next agent finishes it."""
    script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo done"
    try:
        async with muster_agent(scene, broker) as first:
            await first.until_it_says("slots")
            await scene.start(order(image=BUSYBOX, command=["/bin/sh", "-c", script]))
            await scene.until("attempt.started")
            first.signal(signal.SIGKILL)
            await first.code()
        [container] = docker_engine.containers.list(filters={"label": f"io.muster.machine={scene.name}"})
        async with muster_agent(scene, broker) as second:
            await second.until_it_says("slots")
            container.exec_run(["touch", "/tmp/go"])
            await scene.until("attempt.finished")
            second.signal(signal.SIGTERM)
            assert await second.code() == 0
    finally:
        remove_containers(docker_engine, f"io.muster.machine={scene.name}")
    kinds = await scene.kinds()
    assert all(kinds.count(kind) == 1 for kind in kinds), kinds
