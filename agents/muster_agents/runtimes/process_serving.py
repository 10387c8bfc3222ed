"""A function served by a process group. As a container does, it has a folder of its own and ends with its agent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from muster.model.errors import AttemptLostError, ContainerStartingError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting
from muster_agents.harness import HARNESS, harness
from muster_agents.runtimes.environment import (
    has_harness,
    serving_entrypoint,
    serving_variables,
    visible,
)
from muster_agents.runtimes.feed import Feed, unread
from muster_agents.runtimes.interface import Ears, Exit, Launch
from muster_agents.runtimes.process_group import ProcessGroup, inherited
from muster_agents.runtimes.process_run import nothing_to_run
from muster_agents.runtimes.rooted import rooted_container
from muster_agents.runtimes.spawning import clear, spawn
from muster_agents.runtimes.taking import take
from muster_agents.runtimes.threads import Threads


class ProcessServing:
    """A ``Serving``."""

    digest = ""

    def __init__(
        self,
        launch: Launch,
        ears: Ears,
        threads: Threads,
        folder: Path,
        gone: Callable[[ProcessServing], None],
    ) -> None:
        self._spec = rooted_container(launch.container, str(folder))
        self._gpus = launch.gpus
        self._memory = launch.resources.memory
        self._ears = ears
        self._threads = threads
        self._folder = folder
        self._gone = gone
        self._removed = False
        self._group = ProcessGroup(threads, ears.print)
        self._feed: Feed | None = None

    @property
    def container(self) -> str:
        """See ``Serving.container``."""
        return self._group.name

    async def pull(self) -> None:
        """There is no image."""

    async def start(self) -> None:
        """See ``Serving.start``."""
        # A process has no image to take a Python from: that of the agent is there, and new enough.
        first = serving_entrypoint(self._spec, str(self._folder), sys.executable)
        command = [*(first or []), *(self._spec.command or [])]
        if not command:
            raise nothing_to_run()
        began = time.monotonic()
        await self._ears.report(ContainerStarting(image=self._spec.image))
        await self._group.start(lambda: self._spawn(command))
        seconds = round(time.monotonic() - began, 6)
        await self._ears.report(ContainerStarted(container=self.container, seconds=seconds))

    async def send(self, line: bytes) -> None:
        """See ``Serving.send``."""
        if self._feed is None:
            stdin = self._group.stdin
            if stdin is None or stdin.closed:
                raise unread()
            number = stdin.fileno()
            os.set_blocking(number, False)
            self._feed = Feed(number, lambda data: os.write(number, data))
            assert self._group.ended is not None
            self._group.ended.add_done_callback(lambda _: self._close_stdin())
        await self._feed.send(line)

    def folders(self, call: str) -> tuple[str, str]:
        """See ``Serving.folders``."""
        return str(self._folder / "in" / call), str(self._folder / "out" / call)

    async def put(self, call: str, files: Mapping[str, Path]) -> tuple[str, str]:
        """See ``Serving.put``."""
        await self._threads.call(self._put, call, files)
        return self.folders(call)

    async def wait(self) -> Exit:
        """See ``Serving.wait``."""
        ended = await self._group.wait()
        return Exit(
            container=self.container, exit_code=ended.code, cpu_s=ended.cpu_s, memory_peak=ended.memory_peak
        )

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """See ``Serving.take``."""
        out = self._folder / "out"
        return await self._threads.call(take, out, path, target, bytes_max, lambda: self._removed)

    async def stop(self, grace_s: float) -> None:
        """See ``Serving.stop``."""
        await self._group.stop(grace_s)

    async def remove(self) -> None:
        """See ``Serving.remove``."""
        self._removed = True
        await self.stop(0.0)
        self._group.close()
        self._close_stdin()
        if self._group.was_begun:
            await self._threads.call(clear, self._folder)
        self._gone(self)

    def _close_stdin(self) -> None:
        if self._feed is not None:
            self._feed.close()
        if self._group.stdin is not None:
            self._group.stdin.close()

    # ---- in a thread

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        spec, folder = self._spec, self._folder
        for part in ("in", "out"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        if has_harness(spec):
            (folder / HARNESS).write_bytes(harness())
        environment = inherited() | visible(self._gpus) | serving_variables(spec, str(folder))
        place = folder / (spec.working_dir or "")
        return spawn(command, environment, place, self._memory, stdin=subprocess.PIPE)

    def _put(self, call: str, files: Mapping[str, Path]) -> None:
        try:
            for part in ("in", "out"):
                (self._folder / part / call).mkdir(exist_ok=True)
            for name, path in files.items():
                shutil.copyfile(path, self._folder / "in" / call / name)
        except FileNotFoundError as error:
            if self._folder.exists():
                raise _unfilled(error) from error
            raise AttemptLostError("The function's folder was removed with its process.") from error
        except OSError as error:
            raise _unfilled(error) from error


def _unfilled(error: OSError) -> ContainerStartingError:
    return ContainerStartingError(f"The files of the call could not be put into their folder: {error}.")
