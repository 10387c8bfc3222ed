"""The command line as a user has it: processes of their own, against one `muster up` on a private port."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.process import free_port

COMMAND = [sys.executable, "-m", "muster.cli.main"]
PATIENCE_S = 60.0  # nobody waits so long where all is well
ROOTS = [str(Path(__file__).resolve().parents[2] / name) for name in ("core", "agents", "projections")]


class Running:
    """A command under way, its output read line by line as it comes."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        folder: Path,
        *,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def until(self, text: str) -> str:
        """The next line that holds ``text``."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                said = "\n".join(self.lines)
                raise AssertionError(f"{text!r} did not come; it said:\n{said}")
            self.lines.append(line)
            if text in line:
                return line

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """The exit code once it has ended; everything it said is in ``lines``."""
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            self._reader.join(PATIENCE_S)
            while (line := self._queue.get()) is not None:
                self.lines.append(line)
            self.process.stdout.close()
        return code

    def kill(self) -> None:
        """Whatever happened, it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.end()


class Muster:
    """The command line in a folder of its own, pointed at one broker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MUSTER_")}
        self.environment = kept | {
            "MUSTER_URL": self.url,
            "MUSTER_DATA_DIR": str(self.data_dir),
            "PYTHONPATH": os.pathsep.join(ROOTS),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "120",
        }
        self._started: list[Running] = []

    def __call__(
        self, *arguments: str, code: int | None = 0, traceback: bool = False, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; ``code`` is the exit code that is expected, ``traceback`` whether one may be."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment | more,
            cwd=self.folder,
            timeout=PATIENCE_S,
        )
        said = f"muster {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert traceback or "Traceback" not in done.stderr, said
        assert code is None or done.returncode == code, said
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The one JSON value a command prints."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def json_lines(self, *arguments: str) -> list[Any]:
        """The JSON values a command prints."""
        return [json.loads(line) for line in self(*arguments, "--json").stdout.splitlines()]

    def begin(self, *arguments: str, **more: str) -> Running:
        """Start a command and go on."""
        running = Running(arguments, self.environment | more, self.folder)
        self._started.append(running)
        return running

    def up(self, *arguments: str) -> Running:
        """`muster up` on the private port, ready."""
        environment = {key: value for key, value in self.environment.items() if key != "MUSTER_URL"}
        command = ["up", "--runtime", "process", "--port", str(self.port), "--name", "m1", *arguments]
        running = Running(command, environment, self.folder)
        self._started.append(running)
        running.until('"url"' if "--json" in arguments else "Everything is up")
        return running

    def write(self, name: str, text: str) -> str:
        """A file in the folder; its name."""
        (self.folder / name).write_text(text)
        return name

    def close(self) -> None:
        """End what was started, the last one first."""
        for running in reversed(self._started):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                if running.process.poll() is None:
                    running.process.send_signal(signal.SIGINT)
                    running.process.wait(10)
            running.kill()


HELLO = """\
name: hello
inputs:
  name: {type: string}
steps:
  - id: greet
    image: busybox:1
    command: ["sh", "-c", "echo hello $NAME"]
    environment: {NAME: "${{ inputs.name }}"}
    outputs: {text: {type: string, source: stdout}}
  - id: count
    image: busybox:1
    command: ["sh", "-c", "echo ${#TEXT}"]
    environment: {TEXT: "${{ steps.greet.outputs.text }}"}
    outputs: {length: {type: integer, source: stdout}}
outputs:
  text: "${{ steps.greet.outputs.text }}"
  length: "${{ steps.count.outputs.length }}"
"""

FAILS = """\
name: fails
steps:
  - id: breaks
    image: busybox:1
    command: ["sh", "-c", "echo about to break; exit 3"]
"""

SLEEPS = """\
name: sleeps
steps:
  - id: nap
    image: busybox:1
    command: ["sh", "-c", "echo going to sleep; sleep 600"]
"""

WRONG = """\
name: wrong
steps:
  - id: one
    imagee: busybox:1
  - id: one
    image: busybox:1
    environment: {A: "${{ steps.nobody.outputs.x }}"}
"""


@pytest.fixture(scope="module")
def muster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    """The command line, and a whole Muster behind it."""
    made = Muster(tmp_path_factory.mktemp("muster"))
    made.write("hello.yaml", HELLO)
    made.write("fails.yaml", FAILS)
    made.write("sleeps.yaml", SLEEPS)
    made.write("wrong.yaml", WRONG)
    try:
        made.up()
        yield made
    finally:
        made.close()
