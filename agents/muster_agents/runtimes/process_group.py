"""A process and all that it starts: its beginning in a thread, its outputs on the loop, its end together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Final

import msgspec

from muster_agents.runtimes.threads import Threads

PASSED_ON: Final = ("PATH", "HOME", "LANG")
"""All that a step gets of the agent's own environment: the rest may hold secrets."""
PIPES_TIMEOUT_S: Final = 1.0
"""A process that left the group may hold the pipes open for ever; what it prints is nobody's."""
READ_BYTES: Final = 64 << 10


_Spawned = tuple[subprocess.Popen[bytes], int | None]


class Ended(msgspec.Struct, frozen=True):
    """How the first process of the group ended, and what it took."""

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


class ProcessGroup:
    """Started once, by ``start``. ``hear`` gets what it prints, by the name of the stream, on the loop."""

    def __init__(self, threads: Threads, hear: Callable[[str, bytes], None]) -> None:
        self._threads = threads
        self._hear = hear
        self._spawning: asyncio.Future[_Spawned] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: list[_Pipe] = []
        self.ended: asyncio.Future[Ended] | None = None

    @property
    def name(self) -> str:
        """The id of its first process; empty before there is one."""
        return str(self._process.pid) if self._process is not None else ""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The writing end of its stdin, where it has one."""
        return self._process.stdin if self._process is not None else None

    @property
    def was_begun(self) -> bool:
        """Whether anything was done to start it."""
        return self._spawning is not None

    async def start(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        """Start it in a thread, which a cancelled start does not cut short. Raises what ``spawn`` does, and OSError."""
        self._spawning = self._threads.submit(lambda: _spawned(spawn))
        self._watch(*await asyncio.shield(self._spawning))

    async def wait(self) -> Ended:
        """Its end, when all that it printed was heard."""
        assert self.ended is not None
        ended = await asyncio.shield(self.ended)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PIPES_TIMEOUT_S):
                for pipe in self._pipes:
                    await pipe.ended.wait()
        return ended

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, kill it after ``grace_s``."""
        await self._settle()
        if self.ended is None or self.ended.done():
            return
        if grace_s > 0:
            self._signal(signal.SIGTERM)
            await asyncio.wait({self.ended}, timeout=grace_s)
        if not self.ended.done():
            self._signal(signal.SIGKILL)
            await asyncio.wait({self.ended})

    def close(self) -> None:
        """Hear no more."""
        for pipe in self._pipes:
            pipe.close()

    async def _settle(self) -> None:
        """A start that was cancelled half way: wait for what it made. Whatever it failed with, its caller was told."""
        if self._spawning is None or self.ended is not None:
            return
        try:
            spawned = await asyncio.shield(self._spawning)
        except Exception:
            return  # there is nothing to stop
        self._watch(*spawned)

    def _watch(self, process: subprocess.Popen[bytes], pidfd: int | None) -> None:
        if self._process is not None:
            return
        self._process = process
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()
        if pidfd is not None:
            loop.add_reader(pidfd, self._on_exit, pidfd)
        else:
            waiting = asyncio.ensure_future(asyncio.to_thread(_wait_unreaped, process.pid))
            waiting.add_done_callback(lambda _: self._on_exit(None))
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = [
            _Pipe(process.stdout, lambda chunk: self._hear("stdout", chunk)),
            _Pipe(process.stderr, lambda chunk: self._hear("stderr", chunk)),
        ]

    def _on_exit(self, pidfd: int | None) -> None:
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
        assert self._process is not None
        assert self.ended is not None
        # As in a container: when the first process ends, so do the others. Before it is reaped its id is still its own.
        self._signal(signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        self.ended.set_result(
            Ended(
                code if code >= 0 else 128 - code,
                cpu_s=round(usage.ru_utime + usage.ru_stime, 6),
                memory_peak=usage.ru_maxrss << (10 if sys.platform == "linux" else 0),
            )
        )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _spawned(spawn: Callable[[], subprocess.Popen[bytes]]) -> _Spawned:
    """The process, and what its end is told by where the system has that; a process without it is not left alone."""
    process = spawn()
    try:
        return process, os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
    except OSError:
        with process:  # closes the pipes and waits for it
            os.killpg(process.pid, signal.SIGKILL)
        raise


def inherited() -> dict[str, str]:
    """What a step gets of the agent's own environment."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def _wait_unreaped(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
