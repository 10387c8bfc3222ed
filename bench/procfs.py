"""CPU time and memory of processes and of everything below them, as /proc tells it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def machine_cpu_s() -> float:
    """What all processes of the machine have used, and what its host took away (steal)."""
    fields = [int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def until_quiet(limit_s: float, share: float = 0.15, window_s: float = 0.3) -> None:
    """Wait until others use less than ``share`` of one CPU for a while, or until the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = machine_cpu_s()
        time.sleep(window_s)
        if machine_cpu_s() - before <= share * window_s:
            return


def cpu_s(pid: int) -> float:
    """User and system time of the process, of its living descendants, and of those that died and were awaited."""
    return sum(_times(one) for one in tree(pid)) / TICKS_PER_S


def peak_rss_mb(pid: int) -> float:
    """The most memory the process and its living descendants ever had resident (VmHWM); shared pages count for each."""
    return sum(_kib(one, "status", "VmHWM:") for one in tree(pid)) / 1024


def rss_mb(pid: int) -> float:
    """The memory the process and its living descendants have resident now; shared pages count for each."""
    return sum(_kib(one, "status", "VmRSS:") for one in tree(pid)) / 1024


def pss_mb(pids: Iterable[int]) -> float:
    """What these processes and their descendants hold now, shared pages divided among those that share them."""
    return sum(_kib(one, "smaps_rollup", "Pss:") for pid in pids for one in tree(pid)) / 1024


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    parents = _parents()
    found, below = [pid], {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found += below
    return found


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            found[int(entry.name)] = int(fields[1])
    return found


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold spaces: state, ppid, …; none if the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _times(pid: int) -> int:
    return sum(map(int, _stat(pid)[11:15]))  # utime, stime, cutime, cstime


def _kib(pid: int, file: str, key: str) -> int:
    try:
        lines = (PROC / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)
