"""One attempt as a process group."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from muster.model.errors import ContainerStartingError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting
from muster.model.log.commands import AttemptOrder
from muster_agents.runtimes.environment import (
    OUTPUTS,
    Kept,
    documents,
    variables,
    visible,
    wants_file,
    wants_stdout,
)
from muster_agents.runtimes.interface import Ears, Exit
from muster_agents.runtimes.process_group import ProcessGroup, inherited
from muster_agents.runtimes.rooted import rooted
from muster_agents.runtimes.spawning import clear, spawn
from muster_agents.runtimes.taking import take
from muster_agents.runtimes.threads import Threads


class ProcessRun:
    """A ``Run``."""

    def __init__(
        self,
        order: AttemptOrder,
        ears: Ears,
        threads: Threads,
        folder: Path,
        output_bytes: int,
        gone: Callable[[ProcessRun], None],
    ) -> None:
        self._order = rooted(order, str(folder))
        self._files: Mapping[str, Path] = {}
        self._gpus: Sequence[str] = ()
        self._stopped = False
        self._ears = ears
        self._threads = threads
        self._folder = folder
        self._limit = output_bytes
        self._gone = gone
        self._kept = Kept(output_bytes) if wants_stdout(order) else None
        self._group = ProcessGroup(threads, self._hear)

    async def pull(self) -> None:
        """There is no image."""

    def bring(self, files: Mapping[str, Path]) -> None:
        """See ``Run.bring``."""
        self._files = files

    def use(self, gpus: Sequence[str]) -> None:
        """See ``Run.use``."""
        self._gpus = gpus

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """See ``Run.take``."""
        return await self._threads.call(
            take, self._folder / "out", path, target, bytes_max, lambda: self._stopped
        )

    async def start(self) -> None:
        """See ``Run.start``."""
        spec = self._order.container
        command = [*(spec.entrypoint or []), *(spec.command or [])]
        if not command:
            raise nothing_to_run()
        began = time.monotonic()
        await self._ears.report(ContainerStarting(image=spec.image))
        await self._group.start(lambda: self._spawn(command))
        seconds = round(time.monotonic() - began, 6)
        await self._ears.report(ContainerStarted(container=self._group.name, seconds=seconds))

    async def wait(self) -> Exit:
        """See ``Run.wait``."""
        ended = await self._group.wait()
        return Exit(
            container=self._group.name,
            exit_code=ended.code,
            document=await self._threads.call(self._document) if wants_file(self._order) else None,
            stdout=None if self._kept is None else self._kept.value(),
            cpu_s=ended.cpu_s,
            memory_peak=ended.memory_peak,
        )

    async def stop(self, grace_s: float) -> None:
        """See ``Run.stop``."""
        await self._group.stop(grace_s)

    async def remove(self) -> None:
        """See ``Run.remove``."""
        self._stopped = True
        await self.stop(0.0)
        self._group.close()
        if self._group.was_begun:
            await self._threads.call(clear, self._folder)
        self._gone(self)

    # ---- in a thread

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        order, folder = self._order, self._folder
        for part in ("in", "out"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, content in documents(order).items():
            (folder / "in" / name).write_bytes(content)
        for name, path in self._files.items():
            shutil.copyfile(path, folder / "in" / name)
        environment = inherited() | visible(self._gpus) | variables(order, str(folder))
        place = folder / (order.container.working_dir or "")
        return spawn(command, environment, place, order.resources.memory)

    def _document(self) -> bytes | None:
        try:
            with (self._folder / "out" / OUTPUTS).open("rb") as file:
                return file.read(self._limit + 1)
        except OSError:
            return None

    # ---- on the loop

    def _hear(self, stream: str, chunk: bytes) -> None:
        if self._kept is not None and stream == "stdout":
            self._kept.add(chunk)
        self._ears.print(stream, chunk)


def nothing_to_run() -> ContainerStartingError:
    """A step without a command."""
    return ContainerStartingError(
        "The step has no command, and a process has no image to take one from.",
        remedy="Give the step a command, or run it with an agent whose runtime is docker.",
        retriable=False,
    )
