"""A call into a function that is loaded, next to a bare ``docker exec`` and to a container for this one call.

All in one run and in turn, so that all see the same machine. A call is timed from before its command is published to
the agent until another process has read ``attempt.finished`` in the log. The bare exec runs in a container of the same
image that does nothing else: ``busybox true``, which is all that an exec costs by itself, and, beside it, a Python
that works out the same, as who calls functions by exec has to do. All inputs differ, all results are checked.
"""

from __future__ import annotations

import io
import statistics
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import docker
import procfs
from containers import GONE_LIMIT_S, static_busybox
from plan import Plan
from stack import MACHINE, BenchError, Stack, running

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # the image is that of the tests
from tests.fixtures.python_image import APP, make_python_image  # noqa: E402

NAMES = (
    "warm_call_ms_p50",
    "warm_call_ms_p95",
    "warm_vs_exec_ratio",
    "warm_vs_one_shot_ratio",
    "warm_submit_ms_p50",
    "bare_exec_ms_p50",
    "bare_exec_python_ms_p50",
    "one_shot_ms_p50",
)
FUNCTION: Final = "counted:Counted"
WARM_UPS: Final = 20
SLEEP: Final = ["python3", "-c", "import time; time.sleep(86400)"]


def measure(plan: Plan, sync: str | None) -> dict[str, float]:
    """One run on a new, empty stack."""
    with closing(docker.from_env()) as engine, running(sync, "docker", 4) as stack:
        image = make_python_image(engine, {"counted.py": (APP / "counted.py").read_bytes()})
        with _idle(engine, image) as idle:
            return _measured(_Round(stack, engine, image, idle), plan)


def _measured(round_: _Round, plan: Plan) -> dict[str, float]:
    round_.load()
    procfs.until_quiet(plan.patience_s)
    for _ in range(plan.warm_rounds):
        round_.go(plan.warm_calls)
    round_.check()
    warm, submit, bare, python, one_shot = (
        statistics.median(times) * 1000
        for times in (round_.warm, round_.submit, round_.bare, round_.python, round_.one_shot)
    )
    return {
        "warm_call_ms_p50": warm,
        "warm_call_ms_p95": statistics.quantiles(round_.warm, n=20, method="inclusive")[-1] * 1000,
        "warm_vs_exec_ratio": bare / warm,
        "warm_vs_one_shot_ratio": one_shot / warm,
        "warm_submit_ms_p50": submit,
        "bare_exec_ms_p50": bare,
        "bare_exec_python_ms_p50": python,
        "one_shot_ms_p50": one_shot,
        "warm_call_ms_p50/least-tenth": statistics.quantiles(round_.warm, n=10, method="inclusive")[0] * 1000,
        "warm_call_ms_p50/in-the-container": statistics.median(round_.run) * 1000,
        **{
            f"warm_call_ms_p50/cpu-of-{name}": seconds * 1000 / len(round_.warm)
            for name, seconds in round_.cpu.items()
        },
    }


class _Round:
    """What is measured in turn."""

    def __init__(self, stack: Stack, engine: docker.DockerClient, image: str, idle: str) -> None:
        self._stack = stack
        self._engine = engine
        self._image = image
        self._idle = idle
        self._numbers = count(1)
        self._container = ""
        self._calls = 0
        self.warm: list[float] = []
        self.run: list[float] = []
        self.submit: list[float] = []
        self.bare: list[float] = []
        self.python: list[float] = []
        self.one_shot: list[float] = []
        self.cpu: defaultdict[str, float] = defaultdict(float)

    def load(self) -> None:
        """The container that is called from here on; first imports and connections are not measured."""
        found = self._call("shared")
        self._container = found["container"]
        _wrong_unless(not found["warm"], found)
        self._calls = 1
        for _ in range(WARM_UPS):
            self._warm()
        self._submit()
        self._bare(["/tmp/busybox", "true"])

    def go(self, calls: int) -> None:
        """A few warm calls, and one of everything else."""
        before = {name: procfs.cpu_s(pid) for name, pid in self._stack.pids.items()}
        for _ in range(calls):
            found = self._warm()
            self.warm.append(found["seconds"])
            self.run.append(found["run_s"])
        for name, seconds in before.items():
            self.cpu[name] += procfs.cpu_s(self._stack.pids[name]) - seconds
        self.submit.append(self._submit())
        self.bare.append(self._bare(["/tmp/busybox", "true"]))
        n = next(self._numbers)
        self.python.append(self._bare(["python3", "-c", f"print({n} * {n})"], f"{n * n}\n"))
        self.one_shot.append(self._one_shot())

    def check(self) -> None:
        """The engine has one container of the agent, and the function in it was loaded once."""
        present = [one["Id"] for one in self._present()]
        if present != [self._container]:
            raise BenchError(f"calls went into {self._container}, and the engine has {present}")

    # ---- each

    def _call(self, isolation: str) -> dict[str, Any]:
        n = next(self._numbers)
        found = self._stack.client.ask(
            do="call", machine=MACHINE, image=self._image, function=FUNCTION, isolation=isolation, n=n
        )
        outputs = found.get("outputs", {})
        _wrong_unless(outputs.get("square") == n * n and outputs.get("loads") == 1, found)
        _wrong_unless(found["container"].startswith(outputs["container"]), found)
        return found

    def _warm(self) -> dict[str, Any]:
        found = self._call("shared")
        self._calls += 1
        into = found["container"] == self._container and found["warm"]
        _wrong_unless(into and found["outputs"]["call"] == self._calls, found)
        return found

    def _submit(self) -> float:
        n = next(self._numbers)
        found = self._stack.client.ask(do="function", image=self._image, function=FUNCTION, n=n)
        self._calls += 1
        _wrong_unless(found["status"] == "succeeded" and found["outputs"]["square"] == n * n, found)
        return float(found["seconds"])

    def _bare(self, command: list[str], expected: str = "") -> float:
        began = time.perf_counter()
        made = self._engine.api.exec_create(self._idle, command)
        said = self._engine.api.exec_start(made["Id"])
        seconds = time.perf_counter() - began
        code = self._engine.api.exec_inspect(made["Id"])["ExitCode"]
        if code != 0 or said.decode() != expected:
            raise BenchError(f"the bare exec of {command} ended with {code} and said {said!r}")
        return seconds

    def _one_shot(self) -> float:
        """Waits until its container is gone: nothing of it shall run while the next call is timed."""
        found = self._call("call")
        _wrong_unless(found["container"] != self._container and not found["warm"], found)
        deadline = time.monotonic() + GONE_LIMIT_S
        while len(self._present()) > 1:
            if time.monotonic() > deadline:
                raise BenchError("the agent left the container of a single call behind")
            time.sleep(0.01)
        return float(found["seconds"])

    def _present(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._engine.api.containers(
            all=True, filters={"label": f"io.muster.machine={MACHINE}"}
        )
        return found


def _wrong_unless(right: object, found: dict[str, Any]) -> None:
    if not right:
        raise BenchError(f"a call is not as it should be: {found}")


@contextmanager
def _idle(engine: docker.DockerClient, image: str) -> Iterator[str]:
    """A container of the same image that waits, with a static busybox in it, for the length of the block."""
    busybox = static_busybox()
    assert busybox is not None
    container = engine.containers.create(image, SLEEP, network_mode="none")
    try:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(busybox.resolve(), "busybox")
        container.put_archive("/tmp", buffer.getvalue())
        container.start()
        yield str(container.id)
    finally:
        container.remove(force=True)
