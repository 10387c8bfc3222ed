"""Looking at what happened from the command line."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def execution(muster: Muster) -> str:
    """One execution that went well."""
    return str(muster.json("run", "hello.yaml", "-i", "name=you", "--label", "team=a")["execution"])


def test_show_tells_everything(muster: Muster, execution: str):
    """Show has status, inputs, outputs, steps, transitions and the lifecycle by its names with machine and offsets."""
    said = muster("show", execution).stdout
    for part in ("hello", "succeeded", "2/2 steps", "name: you", "text: hello you", "team=a", "greet", "m1"):
        assert part in said
    for label in ("Starting Container", "Execution Started", "Execution Finished"):
        assert label in said
    assert re.search(r"\+0\.\d\d\ds", said)
    assert re.search(r"1\s+\+0\.000s\s+init\s+queued", said)


def test_show_in_json(muster: Muster, execution: str):
    """As JSON it is one object with numbered transitions and a machine on each step."""
    found = muster.json("show", execution)
    assert [row["number"] for row in found["transitions"]] == list(range(1, len(found["transitions"]) + 1))
    assert {step["machine"] for step in found["steps"]} == {"m1"}
    assert found["progress"] == {"finished": 2, "total": 2}


def test_an_unknown_execution_is_refused(muster: Muster):
    """Every command about an execution that is not there exits with 2 and says where ids come from."""
    for command in (["show"], ["watch"], ["cancel"], ["logs"]):
        assert "muster list" in muster(*command, "nobody", code=2).stderr
    found = json.loads(muster("show", "nobody", "--json", code=2).stderr)
    assert found["code"] == "execution_not_found"
    assert found["remedy"]


def test_list_has_the_newest_first(muster: Muster, execution: str):
    """The list names executions newest first, and can be narrowed by status and workflow."""
    newer = muster.json("run", "hello.yaml", "-i", "name=me")["execution"]
    ids = [row["id"] for row in muster.json_lines("list")]
    assert ids.index(newer) < ids.index(execution)
    assert muster.json_lines("list", "--status", "failed") == []
    assert len(muster.json_lines("list", "--workflow", "hello", "-n", "1")) == 1
    assert re.search(rf"{execution}  hello +succeeded +2/2", muster("list").stdout)  # from the view


def test_list_is_right_without_a_view(muster: Muster, execution: str):
    """Where there is no view the list is folded from the log."""
    rows = muster.json_lines("list", "--data-dir", str(muster.folder / "elsewhere"))
    assert {row["id"]: row["status"] for row in rows}[execution] == "succeeded"


def test_logs_are_kept(muster: Muster, execution: str):
    """Logs prints what the steps printed, all or of one step, with times where asked for."""
    assert "greet  hello you" in muster("logs", execution).stdout
    assert muster("logs", execution, "greet").stdout == "hello you\n"
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  hello you\n", muster("logs", execution, "greet", "-t").stdout)
    assert muster.json_lines("logs", execution, "greet")[0]["text"] == "hello you"
    assert "greet, count" in muster("logs", execution, "gret", code=2).stderr


def test_logs_can_be_followed(muster: Muster):
    """Followed, lines come while the step runs, and the command ends with the execution."""
    execution = muster("submit", "sleeps.yaml").stdout.strip()
    following = muster.begin("logs", "-f", execution)
    following.until("going to sleep")
    muster("cancel", execution)
    assert following.end() == 0


def test_events_are_wire_lines_with_their_sequence(muster: Muster, execution: str):
    """With --json each event is its CloudEvents object plus sequence; --raw is exactly what is in the log."""
    events = muster.json_lines("events", "--execution", execution)
    assert events[0]["type"] == "io.muster.execution.queued.v1"
    assert events[-1]["type"] == "io.muster.execution.succeeded.v1"
    sequences = [event["sequence"] for event in events]
    assert sequences == sorted(set(sequences))
    raw = [
        json.loads(line) for line in muster("events", "--execution", execution, "--raw").stdout.splitlines()
    ]
    assert [{key: value for key, value in event.items() if key != "sequence"} for event in events] == raw
    resumed = muster.json_lines("events", "--execution", execution, "--from", str(sequences[3]))
    assert [event["sequence"] for event in resumed] == sequences[3:]


def test_events_are_filtered(muster: Muster, execution: str):
    """Events can be narrowed by machine and kind; a kind that does not exist is refused."""
    kinds = [event["type"] for event in muster.json_lines("events", "--kind", "attempt.finished")]
    assert set(kinds) == {"io.muster.attempt.finished.v1"}
    machines = muster.json_lines("events", "--machine", "m1", "--execution", execution)
    assert any(event["type"] == "io.muster.step.scheduled.v1" for event in machines)
    assert muster.json_lines("events", "--machine", "nobody") == []
    assert "docs/events.md" in muster("events", "--kind", "step.dreamt", code=2).stderr


def test_what_is_not_there_is_not_found(muster: Muster, execution: str):
    """Events of nobody, an attempt that never was, a sequence beyond the log, an empty kind or id: each is refused."""
    assert "There is no execution nobody" in muster("events", "--execution", "nobody", code=2).stderr
    assert "Attempt 9 of the step greet was not found" in (
        muster("logs", execution, "greet", "--attempt", "9", code=2).stderr
    )
    said = muster("events", "--from", "999999", code=2).stderr
    assert re.search(r"The log ends at \d+", said)
    assert "There is no kind of event ''" in muster("events", "--kind", "", code=2).stderr
    assert "''" in muster("submit", "hello.yaml", "-i", "name=you", "--id", "", code=2).stderr
    assert muster("run", "hello.yaml", "-i", "name=other", "--id", execution, code=2).stdout == ""


def test_events_can_be_followed(muster: Muster):
    """Followed, each event comes as it happens, one line each, until Ctrl-C."""
    following = muster.begin("events", "-f", "--kind", "execution")
    execution = muster.json("run", "hello.yaml", "-i", "name=you")["execution"]
    line = following.until("execution.succeeded")
    while execution not in line:
        line = following.until("execution.succeeded")
    assert following.interrupt() == 130


def test_machines_answer(muster: Muster):
    """Machines shows who answers, with slots and the age of the last beat."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        (machine,) = muster.json_lines("machines")
        assert (machine["name"], machine["status"]) == ("m1", "online")
        if machine["running"] == []:  # beats tell it, and the last may be from when something ran
            break
        assert time.monotonic() < deadline, machine
    assert machine["slots"] >= 1
    said = muster("machines", "--wide").stdout
    assert "m1" in said
    assert "online" in said


def test_doctor_finds_nothing_broken(muster: Muster):
    """The doctor checks broker, streams, clock, engine, view, scheduler and machine, and exits with 0."""
    deadline = time.monotonic() + PATIENCE_S
    while True:  # a beat may take a moment after the start
        done = muster("doctor", "--json", code=None)
        checks = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode == 0 or time.monotonic() > deadline:
            break
    assert done.returncode == 0, done.stdout
    names = {check["name"] for check in checks}
    assert {"broker", "durability", "stream", "clock", "engine", "view", "scheduler", "machine"} <= names
    said = muster("doctor").stdout
    assert said.startswith("OK    broker")


def test_the_pipe_may_be_closed_early(muster: Muster, execution: str):
    """A reader that goes away (head) ends the command without a complaint."""
    import subprocess

    from tests.acceptance.cli import COMMAND

    command = " ".join([*COMMAND, "events", "--json", "|", "head", "-n", "1"])
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        env=muster.environment,
        cwd=muster.folder,
        check=True,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
