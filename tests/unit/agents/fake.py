"""A runtime that does what a test tells it, when it tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from muster.model.log.catalogue import (
    AttemptRef,
    ContainerStarted,
    ContainerStarting,
    ImagePulled,
    ImagePulling,
)
from muster.model.log.commands import AttemptOrder
from muster_agents import service
from muster_agents.runtimes.interface import Ears, Exit, Found
from tests.unit.agents.functions.pretending import Servings

Script = Callable[["FakeRun"], Awaitable[Exit]]


async def well(run: FakeRun) -> Exit:
    """End at once, and well."""
    return Exit(container=run.container, exit_code=0)


async def never(run: FakeRun) -> Exit:
    """Run until stopped."""
    await run.stopped.wait()
    return Exit(container=run.container, exit_code=143)


class FakeRun:
    """A ``Run`` that keeps a diary."""

    def __init__(self, runtime: FakeRuntime, order: AttemptOrder, ears: Ears) -> None:
        self.runtime, self.order, self.ears = runtime, order, ears
        self.container = f"c-{order.step}"
        self.stopped = asyncio.Event()
        self.diary: list[str] = []
        self._brought: Mapping[str, Path] = {}
        self.files: dict[str, bytes] = {}
        self.gpus: list[str] = []

    async def pull(self) -> None:
        """Report, and do what the runtime's ``pulling`` says."""
        self.diary.append("pull")
        await self.ears.report(ImagePulling(image="i"))
        await self.runtime.pulling(self)
        await self.ears.report(ImagePulled(image="i"))

    def bring(self, files: Mapping[str, Path]) -> None:
        """Keep what came."""
        self._brought = files

    def use(self, gpus: Sequence[str]) -> None:
        """Remember them."""
        self.gpus = list(gpus)

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """What the test says that it made."""
        content = self.runtime.outs.get(path)
        if content is None:
            return None
        await asyncio.to_thread(target.write_bytes, content)
        return sha256(content).hexdigest(), len(content)

    async def start(self) -> None:
        """Report, and do what the runtime's ``starting`` says."""
        self.diary.append("start")
        for name, path in self._brought.items():
            self.files[name] = await asyncio.to_thread(path.read_bytes)
        await self.ears.report(ContainerStarting(image="i"))
        await self.runtime.starting(self)
        await self.ears.report(ContainerStarted(container=self.container))

    async def wait(self) -> Exit:
        """Do what the script says."""
        self.diary.append("wait")
        return await self.runtime.script(self)

    async def stop(self, grace_s: float) -> None:
        """Stopping takes what ``stopping`` says."""
        self.diary.append(f"stop {grace_s:g}")
        await self.runtime.stopping(self)
        self.stopped.set()

    async def remove(self) -> None:
        """Nothing to remove but a line in the diary."""
        self.diary.append("remove")


async def nothing(run: Any) -> None:
    """Take no time."""


class FakeRuntime(Servings):
    """A ``Runtime``. ``there`` is what an agent before left."""

    name = "docker"
    reports_containers = True

    def __init__(self) -> None:
        super().__init__()
        self.script: Script = well
        self.pulling: Callable[[Any], Awaitable[None]] = nothing
        self.starting: Callable[[Any], Awaitable[None]] = nothing
        self.stopping: Callable[[FakeRun], Awaitable[None]] = nothing
        self.there: list[Found] = []
        self.outs: dict[str, bytes] = {}
        self.runs: dict[AttemptRef, FakeRun] = {}
        self.discarded: list[str] = []

    async def open(self) -> None:
        """Ready."""

    async def facts(self) -> Mapping[str, Any]:
        """A made-up engine."""
        return {"engine": "fake", "engine_version": "1", "cpus": 4.0, "memory": 1 << 30}

    async def find(self) -> list[Found]:
        """What is there."""
        return self.there

    def run(self, order: AttemptOrder, ears: Ears) -> FakeRun:
        """A new run, kept for the test."""
        return self.runs.setdefault(order.ref, FakeRun(self, order, ears))

    def adopt(self, order: AttemptOrder, found: Found, ears: Ears) -> FakeRun:
        """Another run of what was found."""
        self.runs[order.ref] = run = FakeRun(self, order, ears)
        run.container = found.container
        return run

    async def discard(self, found: Found) -> None:
        """Remember it."""
        self.discarded.append(found.container)

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """The runtime of every agent of this test."""
    runtime = FakeRuntime()

    async def choose(*_: object) -> FakeRuntime:
        return runtime

    monkeypatch.setattr(service, "choose", choose)
    return runtime
