"""Where the time goes: samples every process of a running stack with py-spy (``pip install py-spy``; needs the right to
trace) while it works, and prints the functions most often on top (self) and on the stack (total).

    python bench/hotspots.py                     a fan-out of 1,000 steps, again and again for 10 s
    python bench/hotspots.py chain --seconds 20  chains of 50 steps; single: one-step workflows
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from stack import BenchError, Stack, running

LOADS: dict[str, dict[str, Any]] = {
    "fanout": {"do": "fanout", "steps": 1000},
    "chain": {"do": "chain", "steps": 50},
    "single": {"do": "single", "image": "noop", "command": None, "count": 20, "width": 1},
}


def main() -> None:
    """Sample and print."""
    options = _options()
    py_spy = shutil.which("py-spy")
    if py_spy is None:
        raise BenchError("there is no py-spy on PATH; pip install py-spy")
    with running(options.sync, "noop", options.slots) as stack:
        for _ in range(3):
            stack.client.ask(**LOADS[options.load])
        samples = _sampled(stack, py_spy, options)
        for name, path in samples.items():
            _print(name, path, options.top)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("load", nargs="?", default="fanout", choices=LOADS)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=250, help="samples a second")
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--sync", choices=["always"])
    parser.add_argument("--top", type=int, default=25)
    return parser.parse_args()


def _sampled(stack: Stack, py_spy: str, options: argparse.Namespace) -> dict[str, Path]:
    paths = {name: stack.folder / f"{name}.raw" for name in stack.pids if name != "broker"}
    watchers = []
    for name, path in paths.items():
        command = [
            py_spy,
            "record",
            "-p",
            str(stack.pids[name]),
            "-f",
            "raw",
            "-o",
            str(path),
            "-r",
            str(options.rate),
        ]
        command += ["-d", str(options.seconds), "--nonblocking"]
        watchers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    deadline = time.monotonic() + options.seconds
    while time.monotonic() < deadline:
        stack.client.ask(**LOADS[options.load])
    for watcher in watchers:
        watcher.wait()
    return paths


def _print(name: str, path: Path, top: int) -> None:
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_without_line(frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    samples = sum(own.values()) or 1
    print(f"\n{name}: {samples} samples\n{'self %':>7} {'total %':>8}")
    for frame, seen in sorted(total.items(), key=lambda item: (-own[item[0]], -item[1]))[:top]:
        print(f"{100 * own[frame] / samples:7.1f} {100 * seen / samples:8.1f}  {frame}")


def _without_line(frame: str) -> str:
    """``function (path:line)`` without the line, so that one function is one row."""
    return frame.rpartition(":")[0] + ")" if ":" in frame else frame


if __name__ == "__main__":
    main()
