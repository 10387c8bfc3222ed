"""One attempt as a process group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from muster.model.errors import ContainerStartingError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting
from muster.model.log.commands import AttemptOrder
from muster_agents.runtimes.environment import (
    OUTPUTS,
    Kept,
    documents,
    entrypoint,
    variables,
    wants_file,
    wants_stdout,
)
from muster_agents.runtimes.interface import Ears, Exit
from muster_agents.runtimes.rooted import rooted
from muster_agents.runtimes.spawning import spawn
from muster_agents.runtimes.taking import take
from muster_agents.runtimes.threads import Threads

PASSED_ON: Final = ("PATH", "HOME", "LANG")
"""All that a step gets of the agent's own environment: the rest may hold secrets."""
PIPES_TIMEOUT_S: Final = 1.0
"""A process that left the group may hold the pipes open for ever; what it prints is nobody's."""
READ_BYTES: Final = 64 << 10


class _Ended(msgspec.Struct, frozen=True):
    code: int
    cpu_s: float
    memory_peak: int


class _Pipe:
    """One output of the process. Read by hand: a transport of uvloop closes its file twice, and by then another
    thread may have opened something under that number.
    """

    def __init__(self, stream: IO[bytes], take: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._take = take
        self.ended = asyncio.Event()
        os.set_blocking(stream.fileno(), False)
        asyncio.get_running_loop().add_reader(stream.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._stream.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._take(data)
        else:
            self.close()

    def close(self) -> None:
        """Read no more."""
        if not self._stream.closed:
            asyncio.get_running_loop().remove_reader(self._stream.fileno())
            self._stream.close()
        self.ended.set()


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
        self._stopped = False
        self._ears = ears
        self._threads = threads
        self._folder = folder
        self._limit = output_bytes
        self._gone = gone
        self._kept = Kept(output_bytes) if wants_stdout(order) else None
        self._spawning: asyncio.Future[subprocess.Popen[bytes]] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: asyncio.Future[_Ended] | None = None
        self._pipes: list[_Pipe] = []

    async def pull(self) -> None:
        """There is no image."""

    def bring(self, files: Mapping[str, Path]) -> None:
        """See ``Run.bring``."""
        self._files = files

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """See ``Run.take``."""
        return await self._threads.call(
            take, self._folder / "out", path, target, bytes_max, lambda: self._stopped
        )

    async def start(self) -> None:
        """See ``Run.start``."""
        spec = self._order.container
        # A process has no image to take a Python from: that of the agent is there, and new enough.
        first = entrypoint(self._order, str(self._folder), sys.executable)
        command = [*(first or []), *(spec.command or [])]
        if not command:
            raise ContainerStartingError(
                "The step has no command, and a process has no image to take one from.",
                remedy="Give the step a command, or run it with an agent whose runtime is docker.",
                retriable=False,
            )
        began = time.monotonic()
        await self._ears.report(ContainerStarting(image=spec.image))
        self._spawning = self._threads.submit(lambda: self._spawn(command))
        self._watch(await asyncio.shield(self._spawning))
        seconds = round(time.monotonic() - began, 6)
        await self._ears.report(ContainerStarted(container=self._container, seconds=seconds))

    async def wait(self) -> Exit:
        """See ``Run.wait``."""
        assert self._ended is not None
        ended = await asyncio.shield(self._ended)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PIPES_TIMEOUT_S):
                for pipe in self._pipes:
                    await pipe.ended.wait()
        return Exit(
            container=self._container,
            exit_code=ended.code,
            document=await self._threads.call(self._document) if wants_file(self._order) else None,
            stdout=None if self._kept is None else self._kept.value(),
            cpu_s=ended.cpu_s,
            memory_peak=ended.memory_peak,
        )

    async def stop(self, grace_s: float) -> None:
        """See ``Run.stop``."""
        await self._settle()
        if self._ended is None or self._ended.done():
            return
        if grace_s > 0:
            self._signal(signal.SIGTERM)
            await asyncio.wait({self._ended}, timeout=grace_s)
        if not self._ended.done():
            self._signal(signal.SIGKILL)
            await asyncio.wait({self._ended})

    async def remove(self) -> None:
        """See ``Run.remove``."""
        self._stopped = True
        await self.stop(0.0)
        for pipe in self._pipes:
            pipe.close()
        if self._spawning is not None:
            await self._threads.call(shutil.rmtree, self._folder, ignore_errors=True)
        self._gone(self)

    @property
    def _container(self) -> str:
        return str(self._process.pid) if self._process is not None else ""

    # ---- in a thread

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        order, folder = self._order, self._folder
        for part in ("in", "out"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, content in documents(order).items():
            (folder / "in" / name).write_bytes(content)
        for name, path in self._files.items():
            shutil.copyfile(path, folder / "in" / name)
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment = inherited | variables(order, str(folder))
        place = folder / (order.container.working_dir or "")
        return spawn(command, environment, place, order.resources.memory)

    def _document(self) -> bytes | None:
        try:
            with (self._folder / "out" / OUTPUTS).open("rb") as file:
                return file.read(self._limit + 1)
        except OSError:
            return None

    # ---- on the loop

    async def _settle(self) -> None:
        """A start that was cancelled half way: wait for what it made."""
        if self._spawning is None or self._ended is not None:
            return
        try:
            self._watch(await asyncio.shield(self._spawning))
        except ContainerStartingError:
            pass  # there is nothing to stop

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        if self._process is not None:
            return
        self._process = process
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        if hasattr(os, "pidfd_open"):
            pidfd = os.pidfd_open(process.pid)
            loop.add_reader(pidfd, self._on_exit, pidfd)
        else:
            waiting = asyncio.ensure_future(asyncio.to_thread(_wait_unreaped, process.pid))
            waiting.add_done_callback(lambda _: self._on_exit(None))
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = [_Pipe(process.stdout, self._stdout), _Pipe(process.stderr, self._stderr)]

    def _on_exit(self, pidfd: int | None) -> None:
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
        assert self._process is not None
        assert self._ended is not None
        # As in a container: when the first process ends, so do the others. Before it is reaped its id is still its own.
        self._signal(signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        self._ended.set_result(
            _Ended(
                code if code >= 0 else 128 - code,
                cpu_s=round(usage.ru_utime + usage.ru_stime, 6),
                memory_peak=usage.ru_maxrss << (10 if sys.platform == "linux" else 0),
            )
        )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _stdout(self, chunk: bytes) -> None:
        if self._kept is not None:
            self._kept.add(chunk)
        self._ears.print("stdout", chunk)

    def _stderr(self, chunk: bytes) -> None:
        self._ears.print("stderr", chunk)


def _wait_unreaped(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
