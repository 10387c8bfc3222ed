"""A fresh Muster for one scenario: a real broker, and every part a process of its own that can be halted and killed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import shutil
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import docker
import nats

from muster.broker.interface import LogReader
from muster.identity import uuid7
from muster.model.log import subjects
from muster.model.log.envelope import Recorded, decode
from tests.fixtures.broker import Broker
from tests.fixtures.engine import Registry, import_image, make_busybox_image, remove_containers
from tests.fixtures.processes import BLAMING, Installation, Program
from tests.fixtures.proxy import Proxy
from tests.fixtures.python_image import make_python_image
from tests.fixtures.rootfs import busybox_rootfs, static_busybox

CPUS = 4.0
MEMORY = 4 << 30
QUIET_S = 0.6  # nothing tells that a log will not grow any more


class Stage(Installation):
    """What a scenario plays on. Machines have the same size wherever it is played."""

    def __init__(self, folder: Path, server: Broker) -> None:
        super().__init__(folder, server.url)
        self.server = server
        self.taken: list[Recorded] | None = None
        self._created = ""
        self._docker: docker.DockerClient | None = None
        self._registry: Registry | None = None
        self._ended = contextlib.ExitStack()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._created = (await self.broker.log.position()).created.isoformat()
        return self

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        if self._docker is not None:
            remove_containers(self._docker, f"io.muster.log={self._created}")
        self._ended.close()

    # ---- who plays

    def scheduler(self, name: str = "first", **options: Any) -> Program:
        """As any, and soon sure that a machine is dead: some scenarios are about that."""
        return super().scheduler(name, **({"policy": BLAMING} | options))

    async def leader(self, name: str = "first", *, fault: str = "", **options: Any) -> Program:
        """A scheduler that leads."""
        before = len(self.log.of("leader.elected"))
        started = self.scheduler(name, **options).launch(fault=fault)
        await self.log.until("leader.elected", count=before + 1)
        return started

    @contextlib.asynccontextmanager
    async def weak_leader(self) -> AsyncIterator[Proxy]:
        """A scheduler that leads, with a network that can be made to fail."""
        async with Proxy(self.server.port) as proxy:
            program = self.scheduler("first")
            program._environment["MUSTER_URL"] = proxy.url
            program.launch()
            await self.log.until("leader.elected")
            yield proxy
            program.kill()

    async def machine(self, name: str = "m1", *, fault: str = "", **options: Any) -> Program:
        """A machine that has connected."""
        before = len(self.log.of("machine.connected", machine=name))
        sized: dict[str, Any] = {"cpus": CPUS, "memory": MEMORY, "slots": 4}
        started = self.agent(name, **(sized | options)).launch(fault=fault)
        await self.log.until("machine.connected", count=before + 1, machine=name)
        return started

    def elsewhere(self, name: str) -> Program:
        """An agent of this name with another disk."""
        place = str(self.folder / "elsewhere")
        size = ["--slots", "4", "--cpus", f"{CPUS:g}", "--memory", str(MEMORY)]
        command = ["agent", "--name", name, "--runtime", "process", *size, "--data-dir", place]
        return self.muster(f"second-{name}", *command)

    def forget_disk(self, name: str) -> None:
        """Whatever the agent wrote is gone."""
        shutil.rmtree(self.settings.data_dir / "agents" / name)

    # ---- what is played

    async def run(self, execution: str, *steps: dict[str, Any], **more: Any) -> str:
        """Run a workflow of these steps to its end; gives the outcome."""
        await self.submit(execution, *steps, **more)
        [outcome] = await self.log.ended(execution)
        return outcome

    async def submit(
        self, execution: str, *steps: dict[str, Any], given: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Have a workflow of these steps accepted; ``given`` are its inputs."""
        name = execution.rpartition("-")[0] or execution
        await self.client.submit({"name": name, "steps": list(steps)} | more, given, execution=execution)

    async def send(self, verb: str, command: Any) -> None:
        """A command of a client that checks nothing."""
        await self.broker.commands.send("scheduler", verb, command)

    async def clear(self, execution: str) -> None:
        """Erase an execution that has ended."""
        await self.client.clear(execution)

    # ---- what others write into the log

    async def put(self, line: bytes) -> None:
        """A line that any program with the right to publish could have written."""
        async with await nats.connect(self.server.url) as link:
            await link.jetstream().publish(subjects.event(decode(line)), line)

    async def seed(self, lines: list[bytes]) -> None:
        """Begin with a log that was written before."""
        for line in lines:
            await self.put(line)
        await self.log.holds(lambda: self.log.last >= len(lines), "seed")

    # ---- containers

    @property
    def docker(self) -> docker.DockerClient:
        """The engine."""
        if self._docker is None:
            self._docker = self._ended.enter_context(contextlib.closing(docker.from_env(timeout=60)))
        return self._docker

    @property
    def busybox(self) -> str:
        """An image with a shell."""
        return make_busybox_image(self.docker)

    @property
    def python(self) -> str:
        """An image with Python, and with the functions of the acceptance tests in /app."""
        return make_python_image(self.docker)

    def pulled_image(self, size: int) -> str:
        """An image with a shell and ``size`` random bytes, which the registry has and the engine does not know."""
        busybox = static_busybox()
        assert busybox is not None
        tar = io.BytesIO(busybox_rootfs(busybox))
        with tarfile.open(fileobj=tar, mode="a") as more:
            payload = tarfile.TarInfo("payload")
            payload.size = size
            more.addfile(payload, io.BytesIO(random.randbytes(size)))
        import_image(self.docker, tar.getvalue(), "muster-test/large:1", "ENV PATH=/bin")
        name = self.registry.push("muster-test/large:1")
        self.registry.forget(name)
        self.docker.images.remove("muster-test/large:1")
        return name

    @property
    def registry(self) -> Registry:
        """A registry to pull from."""
        if self._registry is None:
            self._registry = Registry(self.folder / "registry", self.docker)
            self._ended.callback(self._registry.close)
            self._registry.start()
        return self._registry

    async def container(self, execution: str, attempt: int = 1) -> Any:
        """The container of the execution's only step, once it runs."""
        labels = [f"io.muster.execution={execution}", f"io.muster.attempt={attempt}"]
        while not (found := self.docker.containers.list(filters={"label": labels}, ignore_removed=True)):
            await asyncio.sleep(0.05)
        return found[0]

    # ---- the log

    async def rest(self, *, quiet_s: float = QUIET_S) -> None:
        """Wait until the log does not grow any more."""
        while (before := self.log.last) >= 0:
            await asyncio.sleep(quiet_s)
            if self.log.last == before:
                return

    async def history(self) -> list[Recorded]:
        """What a reader from the beginning saw; what is left in the log, where a scenario took that."""
        return self.taken if self.taken is not None else list(self.log.events)

    async def take(self, reader: LogReader | None = None) -> list[Recorded]:
        """What the log holds now, or what is read with ``reader``, is the history."""
        batches = (reader or self.broker.log).read()
        self.taken = [recorded async for batch in batches for recorded in batch]
        return self.taken


def fresh() -> str:
    """The id of a command."""
    return uuid7()
