"""Muster as it is deployed, on ports and in a folder of its own: broker, scheduler, agent, projections, and a client,
each in a process of its own and each started by its real command.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from muster.broker.embedded import find_server

READY_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0
MUSTER = [sys.executable, "-c", "from muster.cli.main import main; main()"]
MACHINE = f"bench-{os.getpid()}"  # two at once in one engine count each their own containers


class BenchError(Exception):
    """The measurement cannot be made, or what was measured is not right."""


class Part:
    """One process and what it wrote."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self._asked = False
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
            )

    def until_says(self, words: str) -> None:
        """Wait until its output holds ``words``."""
        deadline = time.monotonic() + READY_LIMIT_S
        while words not in (text := self.log.read_text(errors="replace")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{self.name} is not ready; it wrote:\n{text[-3000:]}")
            time.sleep(0.02)

    def end(self) -> None:
        """Ask it to end, as an operator would."""
        if not self._asked:
            self._asked = True
            self.process.terminate()

    def stop(self) -> None:
        """See that it ends."""
        self.end()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class ClientProcess:
    """A process with one connected ``muster.client.Client``: it does what a line of JSON asks, and answers with one."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("submitter.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.ask(do="connect")

    def ask(self, **what: Any) -> dict[str, Any]:
        """Have it done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"the client died over {what['do']}; what it wrote stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End of input is its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(STOP_LIMIT_S)
        self.process.stdout.close()


class Stack:
    """All processes. Use ``running``."""

    def __init__(self, folder: Path, sync: str | None, runtime: str, slots: int) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.view = folder / "data" / "view.db"
        self.environment = os.environ | {"MUSTER_URL": self.url, "MUSTER_DATA_DIR": str(folder / "data")}
        self._sync = sync
        self._agent = ["--name", MACHINE, "--runtime", runtime, "--slots", str(slots)]
        self._parts: list[Part] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._part("broker", [str(find_server()), "-c", str(self._config())]).until_says("Server is ready")
        scheduler = self._part("scheduler", [*MUSTER, "scheduler"])
        scheduler.until_says("leads")  # it makes the log
        coming = [
            (self._part("projections", [*MUSTER, "projections", "run"]), "keep"),
            (self._part("agent", [*MUSTER, "agent", *self._agent]), f"agent {MACHINE}"),
        ]
        self._stack.callback(lambda: [part.end() for part in (scheduler, *(one for one, _ in coming))])
        self.client = ClientProcess(self.environment)
        self._stack.callback(self.client.stop)
        for part, words in coming:
            part.until_says(words)

    def _part(self, name: str, command: list[str]) -> Part:
        part = Part(name, command, self.folder, self.environment)
        self._parts.append(part)
        self._stack.callback(part.stop)
        return part

    def _config(self) -> Path:
        sync = f", sync_interval: {self._sync}" if self._sync else ""
        path = self.folder / "nats.conf"
        path.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{self.folder / "nats"}"{sync} }}\n'
        )
        return path

    @property
    def pids(self) -> dict[str, int]:
        """Every process by its name."""
        return {part.name: part.process.pid for part in self._parts} | {"client": self.client.process.pid}

    def complain(self) -> str:
        """The end of what each process wrote, for the message of a failure."""
        return "\n".join(
            f"--- {part.name}\n{part.log.read_text(errors='replace')[-1500:]}" for part in self._parts
        )


@contextmanager
def running(sync: str | None, runtime: str, slots: int) -> Iterator[Stack]:
    """A stack for the length of the block; a failure inside says what its processes wrote."""
    with (
        TemporaryDirectory(prefix="muster-bench-") as folder,
        Stack(Path(folder), sync, runtime, slots) as stack,
    ):
        try:
            yield stack
        except BenchError as error:
            raise BenchError(f"{error}\n{stack.complain()}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
