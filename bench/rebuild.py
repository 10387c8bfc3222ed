"""The view folded anew from a long past: from the stream, and from the archive; and what its readers notice of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import procfs
from plan import Plan
from stack import MUSTER, BenchError, Part

from muster.broker.embedded import find_server

NAMES: Final = (
    "rebuild_events_per_s",
    "rebuild_cpu_us_per_event",
    "rebuild_peak_rss_mb",
    "rebuild_reader_wait_ms",
    "archive_rebuild_events_per_s",
)
SAMPLE_S: Final = 0.05


def measure(plan: Plan, sync: str | None) -> dict[str, float]:
    """One run on a new broker; nobody else uses it, so how it syncs makes no difference."""
    with TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        with _broker(folder) as (url, broker):
            past = _Past(folder, url)
            past.tell("fill", url, str(plan.events))
            found = _from_the_stream(past, broker, plan)
            if plan.wants("archive_rebuild_events_per_s"):
                found |= _from_the_archive(past, plan)
            return found


def _from_the_stream(past: _Past, broker: int, plan: Plan) -> dict[str, float]:
    procfs.until_quiet(plan.patience_s)
    before = procfs.cpu_s(broker)
    first = past.muster("projections", "rebuild")
    brokers = procfs.cpu_s(broker) - before
    _whole(first, plan.events)
    with _reading(past) as seen:
        second = past.muster("projections", "rebuild")
    _whole(second, plan.events)
    if not second["compared"]["equal"]:
        raise BenchError(f"a second rebuild came out otherwise: {second['compared']}")
    tenth = past.muster("projections", "verify", "--at", str(plan.events // 10))
    return {
        "rebuild_events_per_s": first["events"] / first["seconds"],
        "rebuild_events_per_s/with-comparison": second["events"] / second["seconds"],
        "rebuild_cpu_us_per_event": first["cpu_s"] / first["events"] * 1e6,
        "rebuild_cpu_us_per_event/broker": brokers / first["events"] * 1e6,
        "rebuild_peak_rss_mb": first["peak_rss_mb"],
        "rebuild_peak_rss_mb/with-comparison": second["peak_rss_mb"],
        "rebuild_peak_rss_mb/of-a-tenth": tenth["peak_rss_mb"],
        "rebuild_reader_wait_ms": seen["longest"],
        "rebuild_reader_wait_ms/p99": seen["p99"],
    }


def _from_the_archive(past: _Past, plan: Plan) -> dict[str, float]:
    moved = past.tell("archive", past.url, str(past.folder / "archive"))
    procfs.until_quiet(plan.patience_s)
    (past.folder / "data" / "view.db").unlink()
    done = past.muster("projections", "rebuild")
    _whole(done, plan.events)
    checked = past.muster("projections", "verify")
    if not checked["equal"]:
        raise BenchError(f"what was folded from the archive comes out otherwise: {checked['difference']}")
    return {
        "archive_rebuild_events_per_s": done["events"] / done["seconds"],
        "archive_rebuild_events_per_s/archived": float(moved),
        "rebuild_peak_rss_mb/from-the-archive": done["peak_rss_mb"],
    }


def _whole(done: dict[str, Any], events: int) -> None:
    if done["events"] < events:
        raise BenchError(f"{done['events']} events were folded, and there are {events}")


class _Past:
    """The commands that make it and fold it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.environment = os.environ | {
            "MUSTER_URL": url,
            "MUSTER_DATA_DIR": str(folder / "data"),
            "MUSTER_ARCHIVE": str(folder / "archive"),
        }

    def tell(self, *what: str) -> int:
        """In a process of its own: what it needs of memory must not be taken for that of the next."""
        command = [sys.executable, str(Path(__file__).with_name("past.py")), *what]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, env=self.environment)
        if done.returncode:
            raise BenchError(f"the past could not be made: {what}")
        return int(done.stdout)

    def muster(self, *command: str) -> dict[str, Any]:
        """The JSON it prints, with its CPU time and the most memory it had."""
        process = subprocess.Popen(
            [*MUSTER, *command, "--json"], stdout=subprocess.PIPE, env=self.environment, text=True
        )
        peak = 0.0
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            peak = max(peak, procfs.peak_rss_mb(process.pid))
            time.sleep(SAMPLE_S)
        used = procfs.cpu_s(process.pid)
        out, _ = process.communicate()
        if process.returncode:
            raise BenchError(f"muster {' '.join(command)} ended with {process.returncode}: {out}")
        answer: dict[str, Any] = json.loads(out)
        return answer | {"cpu_s": used, "peak_rss_mb": peak}


@contextmanager
def _reading(past: _Past) -> Iterator[dict[str, float]]:
    """Somebody reads the view for the length of the block; afterwards what he saw is known."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("reader.py")),
        str(past.folder / "data" / "view.db"),
    ]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen: dict[str, float] = {}
    try:
        yield seen
    finally:
        out, _ = reader.communicate()
    if reader.returncode:
        raise BenchError("the reader died; what it wrote stands above")
    seen |= json.loads(out)


@contextmanager
def _broker(folder: Path) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\nmax_payload: 8MB\njetstream {{ store_dir: "{folder / "nats"}" }}\n'
    )
    part = Part("broker", [str(find_server()), "-c", str(config)], folder, dict(os.environ))
    try:
        part.until_says("Server is ready")
        yield f"nats://127.0.0.1:{port}", part.process.pid
    finally:
        part.stop()
