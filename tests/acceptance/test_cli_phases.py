"""The phases of a function's attempt: each timed by itself, each tried again from a budget of its own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli import Muster, muster
from tests.acceptance.test_cli_functions import events, kind_of, stepped, workflow

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

APP = Path(__file__).parent / "functions"
SOON = {"initial": "10ms"}


@pytest.fixture(scope="module", autouse=True)
def app(muster: Muster) -> None:
    """The functions, in the folder of the command line."""
    for name in ("flaky.py", "broken.py"):
        muster.write(name, (APP / name).read_text(encoding="utf-8"))


def called(
    muster: Muster, function: str, inputs: dict[str, Any], code: int = 0, **more: Any
) -> dict[str, Any]:
    """The step, and how often each kind of event came."""
    step = stepped(muster, workflow(muster, function, inputs, **more), code)
    told = events(muster, step["execution"])
    budgets = [event["data"]["budget"] for event in told if kind_of(event) == "step.retrying"]
    return step | {"kinds": Counter(map(kind_of, told)), "budgets": budgets}


def test_a_load_that_works_at_last(muster: Muster):
    """Loading is tried again from its own budget, each time in a container of its own; the run has spent nothing."""
    environment = {"TRIES": str(muster.folder), "NAME": "at-last"}
    retry = {"max_attempts": 1, "phases": {"load": 3}, "backoff": SOON}
    step = called(muster, "flaky:Loads", {"n": 4}, environment=environment, retry=retry)
    assert (step["outputs"], step["attempt"]) == ({"value": 8}, 3)
    assert step["budgets"] == ["load", "load"]
    assert (step["kinds"]["function.loading"], step["kinds"]["function.loaded"]) == (3, 1)
    shown = muster("show", step["execution"]).stdout
    assert shown.count("Execution Failed") == 2
    [end] = [line for line in shown.splitlines() if "Execution Finished" in line]
    for phase in ("start", "load", "run"):
        assert re.search(rf"\b{phase} \d", end)


def test_a_load_whose_retries_are_used_up(muster: Muster):
    """The error is RetriableError; its cause is the last one, and is shown with the function's own traceback."""
    retry = {"max_attempts": 5, "phases": {"load": 2}, "backoff": SOON}
    step = called(muster, "broken:f", {}, code=1, retry=retry)
    error = step["error"]
    assert (error["code"], error["phase"], step["attempt"]) == ("retriable", "load", 2)
    assert error["message"].startswith("all 2 attempts failed in the load phase; the last one: RuntimeError:")
    assert error["cause"]["code"] == "function_load"
    shown = muster("show", step["execution"]).stdout
    assert "RetriableError (retriable): phase load, step it, attempt 2" in shown
    assert "Caused by FunctionLoadError (function_load)" in shown
    assert "Traceback (most recent call last)" in shown.partition("Caused by")[2]
    assert "broken.py" in shown


def test_a_run_that_fails_is_called_again_without_a_load(muster: Muster):
    """A call that raised is tried again from the budget of its phase, in the container that is loaded already."""
    retry = {"max_attempts": 1, "phases": {"run": 3}, "backoff": SOON}
    inputs = {"folder": str(muster.folder), "name": "runs-well", "well": 3}
    step = called(muster, "flaky:runs", inputs, retry=retry)
    assert (step["outputs"], step["attempt"], step["budgets"]) == ({"value": 3}, 3, ["run", "run"])
    assert (step["kinds"]["function.loaded"], step["kinds"]["attempt.started"]) == (1, 3)


def test_a_run_whose_retries_are_used_up(muster: Muster):
    """RetriableError in the run phase, with the traceback of the last try."""
    retry = {"phases": {"run": 2}, "backoff": SOON}
    inputs = {"folder": str(muster.folder), "name": "runs-badly", "well": 9}
    step = called(muster, "flaky:runs", inputs, code=1, retry=retry)
    assert (step["error"]["code"], step["error"]["phase"], step["attempt"]) == ("retriable", "run", 2)
    assert step["error"]["cause"]["code"] == "function_execution"
    shown = muster("show", step["execution"]).stdout
    assert "RuntimeError: try 2 is not the one" in shown.partition("Caused by")[2]
    assert "flaky.py" in shown


def test_a_run_that_takes_too_long_is_tried_again(muster: Muster):
    """The timeout of the run phase is of that phase alone, and its end is a failure of that budget."""
    inputs = {"folder": str(muster.folder), "name": "hangs"}
    retry = {"phases": {"run": 2}, "backoff": SOON}
    # Long enough for a call that returns at once, also where this machine stands still for a while.
    timeouts = {"run": "5s"}
    step = called(muster, "flaky:hangs", inputs, retry=retry, timeouts=timeouts, stop_grace_period="1s")
    assert (step["outputs"], step["budgets"]) == ({"value": 2}, ["run"])


def test_a_load_that_takes_too_long_is_tried_again(muster: Muster):
    """A load that does not end is stopped at its own timeout, and the last cause says so."""
    muster.write("sleepy.py", "import time\ntime.sleep(60)\n")
    retry = {"phases": {"load": 2}, "backoff": SOON}
    step = called(
        muster, "sleepy:f", {}, code=1, retry=retry, timeouts={"load": "500ms"}, stop_grace_period="1s"
    )
    assert (step["error"]["code"], step["error"]["phase"], step["attempt"]) == ("retriable", "load", 2)
    assert step["error"]["cause"]["code"] == "step_timeout"
    assert "The load phase took longer than its timeout of 0.5 s." in step["error"]["message"]


def test_a_start_that_cannot_work_is_not_tried_again(muster: Muster):
    """A container that cannot be made fails in the start phase, at once, whatever the budget is."""
    retry = {"phases": {"start": 3}, "backoff": SOON}
    step = stepped(
        muster,
        workflow(muster, "flaky:runs", {}, retry=retry, working_dir=str(muster.folder / "nowhere")),
        code=1,
    )
    assert (step["error"]["code"], step["error"]["phase"]) == ("container_starting", "start")
    assert step["attempt"] == 1
