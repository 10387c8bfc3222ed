"""What is loaded where, as a user asks for it: ``muster functions``."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster
from tests.fixtures.stalls import Stalls

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

APP = """
import time

class Slow:
    def load(self):
        time.sleep(1)

    def execute(self, n: int) -> int:
        if n < 0:
            raise ValueError("no")
        time.sleep(0.02)
        return 2 * n

def gated(place: str) -> str:
    import os
    while not os.path.exists(place):
        time.sleep(0.01)
    return place
"""


def flow(muster: Muster, name: str, *steps: dict[str, Any]) -> str:
    common = {"image": "none", "working_dir": str(muster.folder)}
    return muster.write(
        f"{name}.json",
        json.dumps({"name": name, "on_failure": "continue", "steps": [common | step for step in steps]}),
    )


def until(muster: Muster, wanted: Any) -> list[dict[str, Any]]:
    """What is loaded, as soon as the machine's beats say so."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = muster.json_lines("functions")
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found


@pytest.mark.timeout(180)  # beats come every three seconds, and every look is a process
def test_what_is_loaded_is_listed(muster: Muster):
    """From nothing, to a container that had its calls, to one that is called right now, to who is not known."""
    assert "Nothing is loaded. A function is loaded by the first step" in muster("functions").stdout
    muster.write("warm.py", APP)
    calls = [
        {"id": f"s{number}", "function": "warm:Slow", "inputs": {"n": number}, "needs": needs}
        for number, needs in ((1, []), (2, ["s1"]))
    ]
    fails = {"id": "s", "function": "warm:Slow", "inputs": {"n": -1}}
    with Stalls(muster.folder) as lost:
        muster("run", flow(muster, "calls", *calls))
        muster("run", flow(muster, "fails", fails), code=1)
    [one] = until(muster, lambda found: [each["calls"] for each in found] == [3])
    assert (one["machine"], one["status"], one["function"]) == ("m1", "online", "warm:Slow")
    assert (one["state"], one["running"], one["concurrency"], one["failed"]) == ("idle", 0, 1, 1)
    assert one["load_s"] > 1
    assert 0.01 < one["call_s"] < one["load_s"] + lost.seconds
    assert one["since"] < one["used_at"]
    [head, row] = muster("functions").stdout.splitlines()
    assert head.split()[:4] == ["machine", "function", "container", "state"]
    assert row.split()[:7] == ["m1", "warm:Slow", one["container"], "idle", "0/1", "3", "1"]

    gate = muster.folder / "gate"
    step = {"id": "s", "function": "warm:gated", "inputs": {"place": str(gate)}, "isolation": "execution"}
    running = muster.begin("run", flow(muster, "gated", step), "--id", "gated-1")
    busy = until(muster, lambda found: [each["state"] for each in found] == ["idle", "busy"])[1]
    assert (busy["function"], busy["running"], busy["execution"]) == ("warm:gated", 1, "gated-1")
    assert "gated-1" in muster("functions", "--wide", "--machine", "m1").stdout
    gate.touch()
    assert running.end() == 0
    assert "There is no machine m2." in muster("functions", "--machine", "m2", code=2).stderr


@pytest.mark.timeout(180)
def test_who_does_not_answer_is_named(muster: Muster):
    """Of a machine that said goodbye nothing is shown as loaded, and the sentence says why."""
    muster.write("warm.py", APP)
    other = muster.begin("agent", "--name", "m9", "--runtime", "process")
    other.until("agent m9")
    step = {"id": "s", "function": "warm:Slow", "inputs": {"n": 1}, "machine": "m9"}
    muster("run", flow(muster, "there", step))
    until(muster, lambda found: "m9" in [each["machine"] for each in found if each["function"]])
    assert other.interrupt() == 0
    told = until(muster, lambda found: {"machine": "m9", "function": None}.items() <= found[-1].items())
    assert told[-1]["status"] == "disconnected"
    assert "m9 said goodbye: nothing is loaded there." in muster("functions").stdout
