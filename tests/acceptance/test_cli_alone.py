"""The command line where nothing else is there, and where it starts and ends everything."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cli import COMMAND, FAILS, HELLO, SLEEPS, WRONG, Muster
from tests.fixtures.broker import Broker

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Muster]:
    """The command line, with nothing behind it."""
    made = Muster(tmp_path)
    for name, text in (("hello", HELLO), ("fails", FAILS), ("sleeps", SLEEPS), ("wrong", WRONG)):
        made.write(f"{name}.yaml", text)
    yield made
    made.close()


def test_help_is_quick(alone: Muster):
    """`muster --help` takes well under half a second; so much of a processor, which others may be using."""
    fastest = min(_seconds(alone) for _ in range(3))
    assert fastest < 0.4, f"{fastest:.2f} s"


def _seconds(muster: Muster) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, "--help"], env=muster.environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_without_a_broker_every_command_exits_with_3(alone: Muster):
    """Where no broker answers the error names the address and the remedy, in words and in JSON."""
    commands = (["run", "hello.yaml", "-i", "name=a"], ["list"], ["show", "x"], ["events"], ["machines"])
    begun = [alone.begin(*command) for command in commands]  # at once: each waits for the broker for a while
    as_json = alone.begin("--json", "list")
    for command in begun:
        assert command.end() == 3
        said = "\n".join(command.lines)
        assert alone.url in said
        assert "--url" in said
    assert as_json.end() == 3
    assert json.loads("\n".join(as_json.lines))["code"] == "broker"


def test_without_a_broker_the_doctor_says_so(alone: Muster):
    """The doctor fails with 1 and names what is broken and how to mend it."""
    said = alone("doctor", code=1).stdout
    assert said.startswith("FAIL  broker")
    assert "--url" in said


def test_validate_names_every_problem_at_once(alone: Muster):
    """Each problem stands on a line of its own with file, line and column; sound files are named too."""
    assert "hello is valid (2 steps)" in alone("validate", "hello.yaml").stdout
    done = alone("validate", "hello.yaml", "wrong.yaml", code=2)
    problems = done.stderr.splitlines()
    assert len(problems) >= 2
    assert all(line.startswith("wrong.yaml:") for line in problems)
    values = [
        json.loads(line) for line in alone("validate", "wrong.yaml", "--json", code=2).stdout.splitlines()
    ]
    assert values[0]["valid"] is False
    assert len(values[0]["problems"]) == len(problems)


def test_up_runs_everything_and_ctrl_c_ends_it(alone: Muster):
    """`muster up` starts all parts, keeps what happened over a restart, and drains on Ctrl-C."""
    first = alone.up()
    execution = alone.json("run", "hello.yaml", "-i", "name=you")["execution"]
    assert first.interrupt() == 0
    assert any("draining" in line for line in first.lines)
    second = alone.up()
    assert alone.json("show", execution)["status"] == "succeeded"
    assert [row["id"] for row in alone.json_lines("list")] == [execution]
    assert second.interrupt() == 0


def test_up_takes_what_an_agent_takes(alone: Muster):
    """What its agent may use is said as to `muster agent`, and the cluster knows it."""
    up = alone.up("--cpus", "1.5", "--memory", "2Gi", "--gpus", "GPU-a", "--slots", "3", "--label", "zone=a")
    [machine] = alone.json_lines("machines")
    assert (machine["cpus"], machine["memory"], machine["gpus"]) == (1.5, 2 << 30, 1)
    assert (machine["slots"], machine["labels"]) == (3, {"zone": "a"})
    assert up.interrupt() == 0
    done = alone("up", "--cpus", "0", code=2, MUSTER_URL="")
    assert "--cpus" in done.stderr
    assert "scheduler" not in done.stdout


def test_up_is_told_how_long_functions_stay(alone: Muster):
    """One that nobody calls goes when its time is over."""
    alone.write("app.py", "def double(n): return 2 * n\n")
    step = {"id": "s", "image": "none", "function": "app:double", "inputs": {"n": 4}}
    alone.write(
        "calls.json", json.dumps({"name": "calls", "steps": [step | {"working_dir": str(alone.folder)}]})
    )
    alone.up("--function-idle", "1s")
    going = alone.begin("events", "--follow", "--kind", "function.unloaded", "--json")
    alone("run", "calls.json")
    assert json.loads(going.until("function.unloaded"))["data"].get("reason", "idle") == "idle"


def test_up_with_a_taken_port_says_what_to_do(alone: Muster):
    """A port that is taken is an error with the remedy, and nothing is left running."""
    alone.up()
    done = alone(
        "up", "--port", str(alone.port), "--data-dir", str(alone.folder / "other"), code=3, MUSTER_URL=""
    )
    assert str(alone.port) in done.stderr
    assert "--port" in done.stderr


def test_up_uses_a_broker_that_is_there(alone: Muster, broker: Broker):
    """With --url no broker is started: everything runs on the one named."""
    up = alone.begin("up", "--url", broker.url, "--runtime", "process", "--name", "m1")
    up.until("Everything is up")
    assert not any(line.startswith("broker ") for line in up.lines)
    result = alone.json("run", "hello.yaml", "-i", "name=you", "--url", broker.url)
    assert result["outputs"]["length"] == 9
    assert up.interrupt() == 0
    assert broker.running


def test_a_broker_that_dies_ends_up(alone: Muster):
    """Where the embedded broker is killed, `muster up` ends with its error instead of going on without."""
    up = alone.up("--json")
    (child,) = children(up.process.pid, "nats-server")
    os.kill(child, signal.SIGKILL)
    assert up.end() == 3
    assert "The embedded broker ended" in up.lines[-1]


def children(parent: int, name: str) -> list[int]:
    """The processes of this name that ``parent`` started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if lines["Name"] == name and int(lines["PPid"]) == parent:
                found.append(int(status.parent.name))
    return found


def test_parts_can_run_on_their_own(alone: Muster):
    """With a broker elsewhere, scheduler and agent run as commands of their own, before and after each other."""
    broker = alone.up("--no-agent")
    following = alone.begin("run", "hello.yaml", "-i", "name=you", "--id", "waits")
    following.until("greet waits: no machine is connected")
    assert "greet: no machine is connected; start one: muster agent" in alone("show", "waits").stdout
    assert list(alone.json("show", "waits")["waiting"]) == ["greet"]
    agent = alone.begin("agent", "--runtime", "process", "--name", "a1")
    assert alone.json("watch", "waits")["outputs"]["text"] == "hello you"
    assert following.end() == 0
    assert agent.interrupt() == 0
    assert broker.interrupt() == 0


def test_global_options_stand_before_or_after_the_command(alone: Muster):
    """--url and --json mean the same on either side of the command's name."""
    options = ["--json", "--url", "nats://127.0.0.1:1"]
    sides = [alone.begin(*options, "list", MUSTER_URL=""), alone.begin("list", *options, MUSTER_URL="")]
    assert [side.end() for side in sides] == [3, 3]
    before, after = (json.loads("\n".join(side.lines)) for side in sides)
    assert before == after
    assert "127.0.0.1:1" in before["message"]
