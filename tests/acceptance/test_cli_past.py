"""Any past point from the command line."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli import COMMAND, Muster, muster
from tests.acceptance.seen import became

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "past.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def execution(muster: Muster) -> str:
    """One execution that went well."""
    return str(muster.json("run", "hello.yaml", "-i", "name=you")["execution"])


@pytest.fixture(scope="module")
def places(muster: Muster, execution: str) -> dict[str, int]:
    """Where the first event of each kind stands."""
    found: dict[str, int] = {}
    for event in muster.json_lines("events", "--execution", execution):
        kind = event["type"].removeprefix("io.muster.").removesuffix(".v1")
        found.setdefault(kind, event["sequence"])
    return found


def step(shown: Any, path: str) -> Any:
    """One step of what show told."""
    return next(each for each in shown["steps"] if each["path"] == path)


def test_show_in_the_middle_by_sequence(muster: Muster, execution: str, places: dict[str, int]):
    """At the sequence of an event the execution stands as that event left it, and the answer says where that is."""
    at = places["step.succeeded"]
    shown = muster.json("show", execution, "--at", str(at))
    assert (shown["status"], shown["progress"]) == ("running", {"finished": 1, "total": 2})
    assert (step(shown, "greet")["status"], step(shown, "count")["status"]) == ("succeeded", "pending")
    assert shown["outputs"] == {}
    assert shown["at"]["sequence"] == shown["sequence"] == at
    before = muster.json("show", execution, "--at", str(at - 1))
    assert step(before, "greet")["status"] == "running"
    said = muster("show", execution, "--at", str(at)).stdout
    assert re.match(rf"As it was at sequence {at}, \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}}\.\n", said)
    assert muster.json("show", execution, "--at", str(places["execution.succeeded"]))["outputs"] == {
        "text": "hello you",
        "length": 9,
    }


def test_before_it_was_there(muster: Muster, execution: str, places: dict[str, int]):
    """Before an execution was queued, it is an error that says where it was queued."""
    queued = places["execution.queued"]
    said = muster("show", execution, "--at", str(queued - 1), code=2).stderr
    assert f"was not there yet at sequence {queued - 1}: it was queued at {queued}." in said
    assert muster.json("show", execution, "--at", str(queued))["status"] == "queued"
    assert "There is no execution nobody" in muster("show", "nobody", "--at", "1", code=2).stderr


def test_what_is_no_past_point_is_refused(muster: Muster, execution: str):
    """Beyond the log, in the future, or nothing at all: each is refused in a sentence, with exit code 2."""
    for command in (["show", execution], ["list"], ["machines"], ["cluster"], ["diff", execution]):
        assert re.search(r"The log ends at \d+", muster(*command, "--at", "999999", code=2).stderr)
        assert "10m ago" in muster(*command, "--at", "soon", code=2).stderr
        assert "has not come yet" in muster(*command, "--at", "2999-01-01", code=2).stderr
    assert "Missing option '--at'" in muster("diff", execution, code=2).stderr
    assert "given 3 times" in muster("diff", execution, *["--at", "1"] * 3, code=2).stderr


def test_by_time(muster: Muster, execution: str):
    """A time shows what was so by then: what ran is running, what came later is not there."""
    napping = muster("submit", "sleeps.yaml").stdout.strip()
    became(muster, napping, "running")
    time.sleep(0.05)  # the broker's clock must be past that event
    then = datetime.now(UTC)
    muster("cancel", napping)
    muster("watch", napping, code=1)
    later = muster.json("run", "hello.yaml", "-i", "name=me")["execution"]
    at = ["--at", then.isoformat()]

    assert muster.json("show", napping)["status"] == "cancelled"
    shown = muster.json("show", napping, *at)
    assert (shown["status"], step(shown, "nap")["status"]) == ("running", "running")
    assert datetime.fromisoformat(shown["at"]["time"]) == then
    rows = {row["id"]: row for row in muster.json_lines("list", *at)}
    assert later not in rows
    assert (rows[napping]["status"], rows[napping]["steps_ended"]) == ("running", 0)
    assert (rows[execution]["status"], rows[execution]["steps_ended"]) == ("succeeded", 2)
    assert {row["at"]["sequence"] for row in rows.values()} == {shown["at"]["sequence"]}
    local = then.astimezone().replace(tzinfo=None).isoformat(sep=" ")
    assert muster.json_lines("list", "--at", local)[0]["id"] == napping
    assert muster.json("cluster", *at)["machines"][0]["slots"]["used"] == 1
    assert muster.json("cluster")["machines"][0]["slots"]["used"] == 0


def test_the_cluster_in_the_middle(muster: Muster, execution: str, places: dict[str, int]):
    """The cluster shows who led, and which attempt held the slot, in what state."""
    found = muster.json("cluster", "--at", str(places["attempt.started"]))
    assert found["leader"]["name"] == "scheduler"
    (machine,) = found["machines"]
    (held,) = machine["held"]
    assert (held["execution"], held["step"], held["attempt"]) == (execution, "greet", 1)
    assert (held["state"], held["superseded"]) == ("started", False)
    assert found["executions"][0]["steps"] == {"running": 1, "pending": 1}
    empty = muster.json("cluster", "--at", "1")
    assert (empty["machines"], empty["queue"], empty["executions"]) == ([], [], [])
    assert "No machine has connected." in muster("cluster", "--at", "1").stdout


def test_what_waited_for_a_machine(muster: Muster):
    """A step that found no machine is in the queue with the reason, then as now."""
    text = "name: picky\nsteps: [{id: a, image: i, command: x, machine: {labels: {zone: nowhere}}}]\n"
    muster("run", muster.write("picky.yaml", text), code=1)
    started = muster.json_lines("events", "--kind", "execution.started")[-1]["sequence"]
    (waiting,) = muster.json("cluster", "--at", str(started))["queue"]
    assert waiting["step"] == "a"
    assert waiting["why"] == "no machine that is connected could ever hold it: it asks for label zone=nowhere"


def test_machines_then(muster: Muster, places: dict[str, int]):
    """Machines are as the log told of them; what only beats tell is left out, and said to be."""
    (machine,) = muster.json_lines("machines", "--at", str(places["attempt.started"]))
    assert (machine["name"], machine["status"], machine["running"]) == ("m1", "online", None)
    said = muster("machines", "--wide", "--at", str(places["attempt.started"])).stdout
    assert "Beats are not in the log" in said
    assert "last beat" not in said
    assert "No machine had connected by then." in muster("machines", "--at", "1").stdout
    assert muster.json_lines("machines", "--at", "1") == []


def test_diff_of_two_points(muster: Muster, execution: str, places: dict[str, int]):
    """Between two points, in whatever order, what changed has before and after; given once, it is to now."""
    ends = [str(places["execution.started"]), str(places["step.succeeded"])]
    found = muster.json("diff", execution, "--at", ends[1], "--at", ends[0])
    assert [str(found[end]["sequence"]) for end in ("from", "to")] == ends
    assert found["changes"]["status"] == {"before": "starting", "after": "running"}
    assert found["steps"]["greet"]["outputs"] == {"before": {}, "after": {"text": "hello you"}}
    assert list(found["steps"]) == ["greet"]
    assert [row["type"] for row in found["transitions"]] == ["step"]
    assert [moment["label"] for moment in found["timeline"]][-1] == "Execution Finished"
    rest = muster.json("diff", execution, "--at", ends[1])
    assert (list(rest["steps"]), rest["changes"]["status"]["after"]) == (["count"], "succeeded")
    said = muster("diff", execution, "--at", ends[0]).stdout
    for part in ("starting -> succeeded", "0/2 -> 2/2", "Execution Finished", "finish"):
        assert part in said
    assert "Nothing changed." in muster("diff", execution, "--at", str(places["execution.succeeded"])).stdout


# ---- docs/past.md


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Muster]:
    """A Muster that was just started: sequences begin at 1."""
    made = Muster(tmp_path)
    made.up("--slots", "4")
    yield made
    made.close()


@pytest.mark.timeout(120)
def test_the_page_about_the_past_is_what_happens(fresh: Muster, tmp_path: Path):
    """Each command of docs/past.md runs as it stands, and answers with the lines that are shown below it."""
    (tmp_path / "muster").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (tmp_path / "muster").chmod(0o755)
    environment = fresh.environment | {"PATH": f"{tmp_path}:{fresh.environment['PATH']}"}
    said = ""
    for kind, block in re.findall(r"```(console|text)\n(.*?)```", PAGE, re.DOTALL):
        if kind == "text":
            lines = [line.split() for line in said.splitlines()]
            for wanted in block.splitlines():
                assert any(holds(line, wanted.split()) for line in lines), f"{wanted!r} is not in:\n{said}"
            continue
        for line in block.splitlines():
            said = run(line.removeprefix("$ "), environment)


def run(line: str, environment: dict[str, str]) -> str:
    """What a command of the page says."""
    done = subprocess.run(
        line, shell=True, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def holds(line: list[str], wanted: list[str]) -> bool:
    """Whether the words are in the line, in this order; a word may go on, and how long it took differs each time."""
    words = iter(line)
    starts = [re.sub(r"^\+[\d.]+$", "+", each) for each in wanted]
    return all(any(word.startswith(each) for word in words) for each in starts)
