"""The points at which tests halt a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from muster import fault

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r'fault\.(?:point|halt)\("([^"]+)"\)')
PROGRAM = """
import asyncio
from muster import fault

async def main():
    for _ in range(3):
        print("here", flush=True)
        await fault.point("agent.ack.before")
        await fault.point("agent.ack.after")

asyncio.run(main())
"""


def test_every_point_is_passed_somewhere():
    """The points that are listed are those that the code passes, each one in one place, with its other half."""
    found = [
        name
        for folder in ("core", "agents", "projections")
        for path in (ROOT / folder).rglob("*.py")
        for name in CALL.findall(path.read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(fault.POINTS)
    assert {name.rpartition(".")[0] for name in found if name.endswith(".before")} == {
        name.rpartition(".")[0] for name in found if name.endswith(".after")
    }


def test_a_process_halts_at_its_point():
    """The process halts when it passes the point for the second time, not before and not at another."""
    environment = os.environ | {"MUSTER_FAULT": "agent.ack.before:2", "PYTHONPATH": str(ROOT / "core")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert os.WSTOPSIG(status) == signal.SIGSTOP
    process.kill()
    printed, _ = process.communicate()
    assert printed.splitlines() == ["here", "here"]
