"""Recording a run, replaying it, and asking what other rules would have made of it."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from muster.model.proof.rehearsal.changes import load
from tests.acceptance.cli import COMMAND, Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
TOUR = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
FLAKY = """\
name: flaky
steps:
  - id: fetch
    image: busybox:1
    command: test "$MUSTER_ATTEMPT" -ge 3
    retry: {max_attempts: 4, backoff: {initial: 200ms, factor: 1, jitter: false}}
  - {id: left, image: busybox:1, needs: [fetch], command: sleep 0.4}
  - {id: right, image: busybox:1, needs: [fetch], command: sleep 0.4}
"""


@pytest.fixture(scope="module")
def recorded(muster: Muster) -> str:
    """The fixture of a run that was tried three times and went well."""
    muster.write("flaky.yaml", FLAKY)
    assert muster.json("run", "flaky.yaml", "--id", "flaky-1")["status"] == "succeeded"
    return muster.write("run.jsonl", muster("events", "flaky-1", "--json").stdout)


def test_a_recorded_run_replays_to_zero_differences(muster: Muster, recorded: str):
    """Every decision of the real scheduler comes out again."""
    found = muster.json("replay", recorded)
    assert found["differences"] == []
    assert found["decisions"] > 10


@pytest.mark.parametrize(
    ("rules", "outcome", "differs"),
    [
        ('{steps: {"*": {retry: {max_attempts: 2}}}}', "failed", {"outcome", "attempts", "retries.run"}),
        ("{steps: {fetch: {retry: {backoff: {initial: 3s}}}}}", "succeeded", {"makespan_s"}),
        ("{machines: {m1: {slots: 1}}}", "succeeded", {"makespan_s"}),
        ("{policy: {lost_max: 7}}", "succeeded", set()),
    ],
)
def test_other_rules_change_what_is_to_be_expected(
    muster: Muster, recorded: str, rules: str, outcome: str, differs: set[str]
):
    """Fewer attempts fail; a longer backoff and fewer slots take longer; what did not matter changes nothing."""
    muster.write("rules.yaml", rules)
    found = muster.json("replay", recorded, "--policy", "rules.yaml")
    (execution,) = found["executions"]
    assert found["faithful"]
    assert found["drift_s"] < 0.2 + waited_s(muster.folder / recorded)
    assert execution["recorded"]["outcome"] == "succeeded"
    assert execution["changed"]["outcome"] == outcome
    names = {change["what"] for change in execution["differences"]}
    assert differs <= names
    assert bool(names) == bool(differs)
    assert found["assumed"]
    if differs == {"makespan_s"}:
        longer_s = 5.6 if "3s" in rules else together_s(muster.folder / recorded)
        assert found["now_s"] - found["then_s"] == pytest.approx(longer_s, abs=0.3)


def events_of(recorded: Path) -> list[dict[str, Any]]:
    """The events of the execution, ``time`` as such and ``kind`` without its version."""
    found = [json.loads(line) for line in recorded.read_text().splitlines()]
    return [
        event | {"time": datetime.fromisoformat(event["time"]), "kind": event["type"].split(".", 2)[2][:-3]}
        for event in found
        if event.get("execution")
    ]


def waited_s(recorded: Path) -> float:
    """How long decisions came after what they rest on: the player takes no time for them, a busy machine does."""
    events, waited = events_of(recorded), 0.0
    due = events[0]["time"]
    for before, event in pairwise(events):
        due = max(due, before["time"])
        if before["kind"] == "step.retrying":
            due = max(due, datetime.fromisoformat(before["data"]["due_at"]))
        if event["source"] == "/muster/scheduler":
            waited += max(0.0, (event["time"] - due).total_seconds())
    return waited


def together_s(recorded: Path) -> float:
    """How long left and right ran at once, which is 0.4 s and what it took to start them on a busy machine."""
    times = {(event["kind"], event.get("step")): event["time"] for event in events_of(recorded)}
    begin = max(times["step.scheduled", step] for step in ("left", "right"))
    end = min(times["attempt.finished", step] for step in ("left", "right"))
    return (end - begin).total_seconds()


def test_a_mistake_in_the_rules_is_named(muster: Muster, recorded: str):
    """The place and what was meant are said, with 2."""
    muster.write("rules.yaml", "steps:\n  fetsch: {retry: {max_attempts: 1}}\n")
    said = muster("replay", recorded, "--policy", "rules.yaml", code=2).stderr
    assert "rules.yaml:2:3: there is no step fetsch in run.jsonl" in said
    assert "Did you mean fetch?" in said


def test_the_page_about_replay_is_what_happens(muster: Muster):
    """Each command of docs/replay.md runs, one after the other, and says what the page says it does."""
    folder = muster.folder / "tour"
    (folder / "bin").mkdir(parents=True)
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "bin" / "muster").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (folder / "bin" / "muster").chmod(0o755)
    said = {}
    for line in TOUR:
        done = subprocess.run(
            line,
            shell=True,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
            env=muster.environment | {"PATH": f"{folder / 'bin'}:{muster.environment['PATH']}"},
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        said[line] = done.stdout
    assert "decisions in" in said["muster replay run.jsonl"]
    answer = said["muster replay run.jsonl --policy once.yaml"]
    assert re.search(r"≠ +outcome +succeeded +failed: ExecutionError", answer)
    assert "Played again unchanged it comes out as recorded" in answer


def test_the_rules_shown_in_the_page_are_valid():
    """The file in docs/replay.md is one that Muster takes."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rules = load(text.encode(), name="page")
    assert rules.machines["gpu-9"] == {"like": "gpu-1"}
