"""Functions that a test talks to, in a process or in a container."""

from __future__ import annotations

import asyncio
import textwrap
from datetime import UTC, datetime
from typing import Any

import docker

from muster.model.definition.workflow import ContainerSpec
from muster.model.log.commands import AttemptResources
from muster_agents.options import AgentOptions
from muster_agents.runtimes.docker import DockerRuntime
from muster_agents.runtimes.interface import Launch
from tests.unit.agents.listener import Listener

ECHO = """
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line.upper())
    sys.stdout.buffer.flush()
"""
DEAF = """
print("up", flush=True)
time.sleep(1000)
"""
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(1000)
"""
LOUD = """
piece = b"e" * 1023 + b"\\n"
for _ in range(20 << 10):
    sys.stderr.buffer.write(piece)
sys.stderr.flush()
print("done", flush=True)
time.sleep(1000)
"""
FILES = """
import json, os, pathlib, shutil
print("up", os.getuid(), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if "release" in told:
        for folder in told["release"]:
            shutil.rmtree(folder)
        print("released", flush=True)
        continue
    out, texts = pathlib.Path(told["out"]), []
    for path in sorted(pathlib.Path(told["in"]).iterdir()):
        texts.append(path.name + "=" + path.read_text())
    (out / "sub").mkdir()
    (out / "sub" / "made.txt").write_text(" ".join(texts))
    (out / "link").symlink_to("/etc/passwd")
    print("made", os.environ["MUSTER_IN"], os.environ["MUSTER_OUT"], flush=True)
"""


def program(text: str) -> str:
    """A whole program for ``python3 -c``."""
    return "import signal, sys, time\n" + textwrap.dedent(text)


async def soon(condition, seconds: float = 20) -> None:
    """Wait until ``condition()`` holds: for what happens outside of the agent, and tells nobody."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)


class Bench:
    """Agents of one machine, one after the other, and the engine beside them."""

    def __init__(self, engine: docker.DockerClient, image: str, name: str) -> None:
        self.engine, self.image, self.name = engine, image, name
        self.cluster = datetime.now(UTC)
        self.runtimes: list[DockerRuntime] = []

    async def runtime(self) -> DockerRuntime:
        """As an agent that starts would open it."""
        made = DockerRuntime(AgentOptions(name=self.name), cluster=self.cluster, slots=4)
        await made.open()
        self.runtimes.append(made)
        return made

    def launch(self, text: str, *, memory: int = 0, **spec) -> Launch:
        """A function that is a Python program by itself."""
        command = ["python3", "-c", program(text)]
        wanted: dict[str, Any] = {"function": "own", "command": command} | spec
        container = ContainerSpec(image=self.image, **wanted)
        return Launch(instance="i1", container=container, resources=AttemptResources(memory=memory))

    async def start(self, text: str, **more):
        """A container that runs, and who hears it."""
        ears = Listener()
        served = (await self.runtime()).serve(self.launch(text, **more), ears)
        await served.pull()
        await served.start()
        return served, ears

    async def again(self, text: str, **more):
        """The agent dies; what the next one finds and adopts."""
        await self.runtimes[-1].close()
        following = await self.runtime()
        [found] = await following.find_servings()
        ears = Listener()
        return following.adopt_serving(self.launch(text, **more), found, ears), ears

    def container(self, served):
        """The engine's own view of it."""
        return self.engine.containers.get(served.container)

    def count(self) -> int:
        """Containers of this machine."""
        label = f"io.muster.machine={self.name}"
        return len(self.engine.api.containers(all=True, filters={"label": label}))
