"""Running an execution again from the command line, by real processes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster
from tests.acceptance.seen import became

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(180)]  # a dozen commands each

FLAKY = """\
name: flaky
inputs:
  door: {type: string}
  word: {type: string, default: first}
on_failure: continue
steps:
  - id: make
    image: none
    command: echo "$WORD $RANDOM $$"
    environment: {WORD: "${{ inputs.word }}"}
    outputs: {said: {type: string, source: stdout}}
  - id: enter
    image: none
    command: test -e "$DOOR"
    environment: {DOOR: "${{ inputs.door }}"}
    needs: [make]
  - id: each
    for_each:
      in: [a, b, c]
      on_failure: continue
      steps:
        - id: work
          image: none
          command: 'set -e; test "$ITEM" != b || test -e "$DOOR"; echo "$ITEM $$"'
          environment: {ITEM: "${{ item }}", DOOR: "${{ inputs.door }}"}
          outputs: {said: {type: string, source: stdout}}
  - {id: last, log: "${{ steps.make.outputs.said }}", needs: [enter]}
outputs: {said: "${{ steps.make.outputs.said }}", all: "${{ steps.each.outputs.items }}"}
"""


@pytest.fixture
def failed(muster: Muster, tmp_path: Path) -> tuple[str, Path]:
    """A run that failed since a file was not there, and the file."""
    muster.write("flaky.yaml", FLAKY)
    door = tmp_path / "door"
    ran = muster("run", "flaky.yaml", "-i", f"door={door}", "--label", "team=a", "--json", code=1)
    return json.loads(ran.stdout)["execution"], door


def steps(muster: Muster, execution: str) -> dict[str, dict[str, Any]]:
    return {step["path"]: step for step in muster.json("show", execution)["steps"]}


def test_a_failed_run_is_run_again_where_it_failed(muster: Muster, failed: tuple[str, Path]):
    """Only what failed is run: the rest has the very outputs that it had, and both executions say so."""
    execution, door = failed
    before = steps(muster, execution)
    door.touch()
    again = muster.json("rerun", execution, "--failed")
    assert again["status"] == "succeeded"
    assert again["outputs"]["said"] == before["make"]["outputs"]["said"]
    after = steps(muster, again["execution"])
    assert {path for path, step in after.items() if step.get("attempt")} == {"enter", "each/1/work"}
    assert after["make"]["source"]["execution"] == execution
    assert after["each/0/work"]["outputs"] == before["each/0/work"]["outputs"]
    told = muster("show", again["execution"]).stdout
    assert f"rerun of {execution}, 3 outcomes taken over" in told
    assert "Taken Over" in told
    assert muster.json("show", again["execution"])["labels"] == {"team": "a"}
    deadline = time.monotonic() + PATIENCE_S
    while f"rerun as {again['execution']}" not in muster("show", execution).stdout:
        assert time.monotonic() < deadline, "the view of the projections knows it soon"
    assert muster.json("show", execution)["reruns"] in ([], [again["execution"]])
    assert "nothing to run again" in muster("rerun", again["execution"], "--failed", code=2).stderr


def test_a_rerun_as_a_whole_may_have_other_inputs(muster: Muster, failed: tuple[str, Path]):
    """Everything is run again, and a rerun can be run again from a step on."""
    execution, door = failed
    door.touch()
    again = muster.json("rerun", execution, "-i", "word=second")
    assert again["outputs"]["said"].startswith("second ")
    third = muster.json("rerun", again["execution"], "--from", "enter")
    assert third["outputs"] == again["outputs"]
    ran = {path for path, step in steps(muster, third["execution"]).items() if step.get("attempt")}
    assert ran == {"enter"}


def test_it_is_followed_or_left_alone(muster: Muster, failed: tuple[str, Path]):
    """Without a terminal each thing is a line; detached, the id is all that is printed. The exit code is the run's."""
    execution, door = failed
    shown = muster("rerun", execution, "--failed", code=1).stdout
    assert "3 outcomes are taken over" in shown
    assert "ExecutionError" in shown
    door.touch()
    new = muster("rerun", execution, "--failed", "--detach").stdout.strip()
    assert muster.json("watch", new)["status"] == "succeeded"


def test_a_cancelled_run_is_run_again(muster: Muster):
    """What it had not done is run."""
    muster.write(
        "slow.yaml",
        "name: slow\nsteps:\n  - {id: a, log: done}\n  - {id: ask, wait_for_input: {prompt: go on?}, needs: [a]}\n",
    )
    execution = muster("submit", "slow.yaml").stdout.strip()
    became(muster, execution, "awaiting_input")
    muster("cancel", execution)
    assert muster.json("watch", execution, code=1)["status"] == "cancelled"
    new = muster("rerun", execution, "--failed", "-d").stdout.strip()
    became(muster, new, "awaiting_input")
    muster("resume", new, "--input", "ok=true")
    assert muster.json("watch", new)["status"] == "succeeded"
    assert steps(muster, new)["a"]["reason"] == "reused"


def test_an_archived_run_is_run_again_and_a_cleared_one_is_not(muster: Muster, failed: tuple[str, Path]):
    """The archive is the log as well; of what was cleared nothing is left."""
    execution, door = failed
    muster("log", "archive", "--older-than", "0s")
    door.touch()
    again = muster.json("rerun", execution, "--failed")
    assert again["status"] == "succeeded"
    assert steps(muster, again["execution"])["make"]["source"]["execution"] == execution
    muster("clear", execution)
    assert "was cleared" in muster("rerun", execution, code=2).stderr


def test_what_cannot_be_run_again_is_refused_with_what_to_do(muster: Muster, failed: tuple[str, Path]):
    """A step that is not there, both kinds at once, new inputs for a part, and one that goes on."""
    execution, _ = failed
    assert "It has: make, enter, each, last" in muster("rerun", execution, "--from", "nowhere", code=2).stderr
    assert "not both" in muster("rerun", execution, "--from", "make", "--failed", code=2).stderr
    assert "whole rerun" in muster("rerun", execution, "--failed", "-i", "word=x", code=2).stderr
    assert "muster list" in muster("rerun", "nobody", code=2).stderr
    muster.write("ask.yaml", "name: ask\nsteps: [{id: ask, wait_for_input: {prompt: go on?}}]\n")
    live = muster("submit", "ask.yaml").stdout.strip()
    assert "muster cancel" in muster("rerun", live, code=2).stderr


CACHED = """\
name: cached
inputs: {word: {type: string}}
steps:
  - id: make
    image: none
    command: echo "$WORD $$"
    environment: {WORD: "${{ inputs.word }}"}
    outputs: {said: {type: string, source: stdout}}
    cache: {max_age: 1h}
outputs: {said: "${{ steps.make.outputs.said }}"}
"""


def test_a_result_is_found_in_the_cache(muster: Muster):
    """The same is not run twice, and both show and the lines of a run say so; --no-cache runs it."""
    muster.write("cached.yaml", CACHED)
    first = muster.json("run", "cached.yaml", "-i", "word=a")
    again = muster.json("run", "cached.yaml", "-i", "word=a")
    other = muster.json("run", "cached.yaml", "-i", "word=b")
    assert again["outputs"] == first["outputs"] != other["outputs"]
    step = steps(muster, again["execution"])["make"]
    assert (step["reason"], step["source"]["execution"]) == ("cached", first["execution"])
    assert f"cached from {first['execution']}" in muster("show", again["execution"]).stdout
    assert "Cached" in muster("run", "cached.yaml", "-i", "word=a").stdout
    fresh = muster.json("run", "cached.yaml", "-i", "word=a", "--no-cache")
    assert fresh["outputs"] != first["outputs"]
    assert muster.json("rerun", again["execution"])["outputs"] == fresh["outputs"]
    assert muster.json("rerun", again["execution"], "--no-cache")["outputs"] != fresh["outputs"]
    assert "or gives again what it gave before" in muster("explain", "cached.yaml").stdout


def test_an_id_stands_for_one_rerun(muster: Muster, failed: tuple[str, Path]):
    """The same again under it begins nothing new; another step or other inputs are refused, and say why."""
    execution, _ = failed
    asked = ("rerun", execution, "--id", "again", "--from", "enter", "--detach")
    assert muster(*asked).stdout.splitlines()[-1] == "again"
    assert "nothing new was begun" in muster(*asked).stderr
    for other in (
        ("--from", "make"),
        ("--failed",),
        ("-i", "word=second"),
        ("--from", "enter", "--no-cache"),
        (),
    ):
        said = muster("rerun", execution, "--id", "again", "--detach", *other, code=2).stderr
        assert "The execution id again is taken by a run with other content" in said
        assert "Run it again with a new id" in said
