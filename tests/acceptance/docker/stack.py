"""A whole Muster as its users start it: every part a process of its own, driven through the command line.

Shared by the tests of a module, which is why nothing here needs a loop.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from muster.client import SyncClient
from muster.identity import uuid7
from muster.model.log.catalogue import ContainerStarted
from muster_projections.query import View
from muster_projections.rows import Error
from tests.fixtures.broker import Broker
from tests.fixtures.process import Server
from tests.fixtures.processes import LAUNCHER, SOURCES

MUSTER = [sys.executable, "-m", "muster.cli.main"]
PATIENCE_S = 60.0


def until(what: str, probe: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of ``probe``; the test fails where none comes."""
    deadline = time.monotonic() + timeout_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)
    return found


class Part(Server):
    """One process of Muster; it is ready when its log says ``greeting``. ``environment`` is that of its next start."""

    def __init__(self, folder: Path, environment: dict[str, str], command: list[str], greeting: str) -> None:
        super().__init__(folder)
        self.environment = environment
        self._command = command
        self.greeting = greeting

    def pick_ports(self) -> None:
        """It listens nowhere."""

    def command(self) -> list[str]:
        """The same at every start, but for its environment."""
        return ["env", *(f"{name}={value}" for name, value in self.environment.items()), *self._command]

    def is_ready(self) -> bool:
        """Whether it said so since it was started last."""
        return self.greeting in self.log_path.read_bytes()[self._log_start :].decode()


class Answer(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)


class Stack:
    """A broker, a scheduler, projections, and as many agents as a test starts.

    ``scheduler`` holds options that the command line does not have, for tests that would wait long without.
    """

    def __init__(self, folder: Path, broker: Broker, scheduler: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.broker = broker
        self.client = SyncClient(broker.url)
        self.agents: dict[str, Part] = {}
        self.environment: dict[str, str] = {}
        self._scheduler = scheduler
        self._numbers = count(1)
        self._resources = contextlib.ExitStack()

    @property
    def view_path(self) -> Path:
        """The SQLite file the projections keep."""
        return self.folder / "projections" / "view.db"

    def __enter__(self) -> Self:
        """Start everything but the agents."""
        with self._resources as resources:
            if self._scheduler is None:
                self._start("scheduler", "leads (term", [*MUSTER, "scheduler", "--name", "a"])
            else:
                self._launch("scheduler", "scheduler", "leads (term", {"name": "a"} | self._scheduler)
            self._start("projections", "the projections keep", [*MUSTER, "projections", "run"])
            resources.enter_context(self.client)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self._resources.close()

    def _start(self, name: str, greeting: str, command: list[str]) -> Part:
        folder = self.folder / name
        settings = {
            "MUSTER_URL": self.broker.url,
            "MUSTER_DATA_DIR": str(folder),
            "PYTHONPATH": SOURCES,
            **self.environment,
        }
        return self._resources.enter_context(Part(folder, settings, command, greeting))

    def _launch(self, kind: str, name: str, greeting: str, options: dict[str, Any]) -> Part:
        command = [sys.executable, "-P", str(LAUNCHER), kind, json.dumps(options)]
        return self._start(name, greeting, command)

    def agent(self, name: str, *options: str, runtime: str = "docker") -> Part:
        """Start a machine."""
        command = [*MUSTER, "agent", "--name", name, "--runtime", runtime, *options]
        self.agents[name] = self._start(name, f"agent {name}:", command)
        return self.agents[name]

    def quick_agent(self, name: str, **options: Any) -> Part:
        """Start a machine with options that the command line does not have."""
        self.agents[name] = self._launch("agent", name, f"agent {name}:", {"name": name} | options)
        return self.agents[name]

    def steady_agent(self, name: str, **options: Any) -> Part:
        """Start a machine that keeps what is warm, and answers for it, however busy or full this one is."""
        steady = {"function_ping_s": PATIENCE_S, "function_memory_share": 0.0, "log_flush_s": PATIENCE_S}
        return self.quick_agent(name, **{"runtime": "docker"} | steady | options)

    @property
    def created(self) -> str:
        """When the event log was made: containers carry it as a label."""
        streams = self.broker.monitor("/jsz?streams=true")["account_details"][0]["stream_detail"]
        text: str = next(one["created"] for one in streams if one["name"] == "MUSTER_EVENTS")
        return datetime.fromisoformat(text).isoformat()

    # ---- as a user at a terminal

    def begin(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command and read what it prints as it comes."""
        place = ["--url", self.broker.url, "--data-dir", str(self.folder / "projections")]
        return subprocess.Popen(
            [*MUSTER, *map(str, arguments), *place],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": SOURCES},
            cwd=self.folder,
        )

    def muster(self, *arguments: str | Path, timeout_s: float = PATIENCE_S) -> Answer:
        """Run a command to its end."""
        with self.begin(*arguments) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Answer(process.returncode, out, err)

    def file(self, *steps: dict[str, Any], **more: Any) -> Path:
        """A workflow file."""
        path = self.folder / f"workflow-{next(self._numbers)}.yaml"
        definition = {"name": "acceptance", "steps": list(steps)} | more
        path.write_text(yaml.safe_dump(definition, sort_keys=False))
        return path

    def submit(self, *steps: dict[str, Any], **more: Any) -> str:
        """Submit a workflow; its execution's id."""
        answer = self.muster("submit", self.file(*steps, **more))
        assert answer.code == 0, answer
        return answer.out.strip()

    def run(self, *steps: dict[str, Any], **more: Any) -> tuple[str, Answer]:
        """Run a workflow to its end; its execution's id, and what was printed."""
        id_ = uuid7()
        return id_, self.muster("run", self.file(*steps, **more), "--id", id_, timeout_s=2 * PATIENCE_S)

    def show(self, execution: str) -> dict[str, Any]:
        """What ``muster show --json`` says."""
        answer = self.muster("show", execution, "--json")
        assert answer.code == 0, answer
        shown: dict[str, Any] = answer.json
        return shown

    # ---- what the log and the view say

    def events(self, execution: str, *kinds: str) -> list[dict[str, Any]]:
        """The execution's events as they stand in the log."""
        found = [json.loads(item.event.line or b"") for item in self.client.events(execution)]
        return [event for event in found if not kinds or kind(event) in kinds]

    def event(self, execution: str, wanted: str) -> dict[str, Any]:
        """The first event of this kind, once it is there."""
        for recorded in self.client.events(execution, kind=wanted, follow=True):
            found: dict[str, Any] = json.loads(recorded.event.line or b"")
            return found
        raise AssertionError("unreachable")

    def containers(self) -> set[str]:
        """Those that the log tells of, by the engine's ids: processes have numbers."""
        told = [recorded.event.data for recorded in self.client.events(kind="container.started")]
        names = {data.container for data in told if isinstance(data, ContainerStarted)}
        return {name for name in names if not name.isdecimal()}

    def last_sequence(self) -> int:
        """Where the log ends."""
        streams = self.broker.monitor("/jsz?streams=true")["account_details"][0]["stream_detail"]
        return next(int(one["state"]["last_seq"]) for one in streams if one["name"] == "MUSTER_EVENTS")

    def errors(self, execution: str) -> list[Error]:
        """The view's errors of the execution, once the view has come to where the log ends now."""
        target = self.last_sequence()
        with View.open(self.view_path) as view:
            until(f"the view at {target}", lambda: view.sequence >= target)
            return view.errors(execution)


def kind(event: dict[str, Any]) -> str:
    """``<noun>.<verb>`` of a CloudEvents object."""
    return str(event["type"]).removeprefix("io.muster.").rpartition(".v")[0]


def shell(id_: str, image: str, script: str, **more: Any) -> dict[str, Any]:
    """A step that runs a shell script in a container."""
    return {"id": id_, "image": image, "command": ["sh", "-c", script]} | more
