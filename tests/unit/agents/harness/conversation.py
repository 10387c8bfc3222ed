"""A harness as a process of its own, and the other end of its lines."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from muster_agents.harness import HARNESS, harness

PATIENCE_S = 20.0
MESSAGE_BYTES = 1 << 20
PYTHON = os.environ.get("MUSTER_HARNESS_PYTHON", sys.executable)
"""What runs the harness, where a test does not say: any Python from 3.8 on may."""


class Conversation:
    """Talks with the harness that runs ``app``, a module of its own. Use it in ``with``."""

    def __init__(self, folder: Path, app: str, python: str = PYTHON, **environment: str) -> None:
        self.folder = work = folder / "work"
        """Where the function is at work."""
        work.mkdir(exist_ok=True)
        (work / "app.py").write_text(app)
        (folder / HARNESS).write_bytes(harness())
        self.process = subprocess.Popen(
            [python, str(folder / HARNESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=work,
            env={"PATH": os.defpath} | environment,
        )
        self.told: list[dict[str, Any]] = []
        """The notifications until now."""
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._printed: list[bytes] = []
        self._threads = [threading.Thread(target=run) for run in (self._read, self._read_errors)]

    def __enter__(self) -> Self:
        """Listen."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running."""
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._printed.append(line)

    def write(self, line: bytes) -> None:
        """A line as it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def send(self, method: str, id_: Any = None, **params: Any) -> None:
        """A request, or without an id a notification."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.write(json.dumps(message if id_ is None else message | {"id": id_}).encode())

    def receive(self) -> dict[str, Any]:
        """What comes next."""
        message: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE_S))
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, id_: Any) -> dict[str, Any]:
        """The answer of this id; what is told before it is kept."""
        while "method" in (message := self.receive()):
            self.told.append(message)
        assert message["id"] == id_, message
        return message

    def until(self, method: str) -> dict[str, Any]:
        """The params of the next such notification."""
        while True:
            message = self.receive()
            if message.get("method") == method:
                params: dict[str, Any] = message["params"]
                return params

    def load(self, function: str, message_bytes: int = MESSAGE_BYTES, **params: Any) -> dict[str, Any]:
        """Load ``app:function``; what is answered."""
        limits = {"message_bytes": message_bytes}
        self.send("load", "load", protocol=1, function=f"app:{function}", params=params, limits=limits)
        return self.answer("load")

    def execute(self, id_: str = "e/s/1", inputs: Any = None, **params: Any) -> None:
        """Order a call."""
        self.send("execute", id_, inputs=inputs or {}, **params)

    def call(self, inputs: Any = None, id_: str = "e/s/1", **params: Any) -> dict[str, Any]:
        """Order a call and wait for it."""
        self.execute(id_, inputs, **params)
        return self.answer(id_)

    def value(self, inputs: Any = None, **params: Any) -> Any:
        """What a call returned."""
        answer = self.call(inputs, **params)
        assert "result" in answer, answer
        return answer["result"]["$returned"]

    def calls(self) -> list[Any]:
        """The calls that it says are under way."""
        self.send("ping", "ping/1")
        found: list[Any] = self.answer("ping/1")["result"]["calls"]
        return found

    def printed(self, until: str) -> str:
        """What it printed, once that holds ``until``."""
        deadline = time.monotonic() + PATIENCE_S
        while until.encode() not in (found := b"".join(self._printed)):
            assert time.monotonic() < deadline, f"{until!r} is not in {found!r}"
            time.sleep(0.005)
        return found.decode(errors="backslashreplace")

    def end(self) -> int:
        """End its stdin; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)


Talk = Callable[..., Conversation]
