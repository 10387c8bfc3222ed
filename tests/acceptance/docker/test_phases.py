"""The phases of a function in a real container: each fails, is tried again and is told of by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack
from tests.acceptance.docker.test_functions import call
from tests.fixtures.engine import Registry

SOON = {"initial": "10ms"}


@pytest.fixture(scope="module", autouse=True)
def machine(stack: Stack, witness: Witness) -> None:
    """One machine with containers."""
    stack.agent("m1", "--slots", "4")


def failed(stack: Stack, step: dict[str, Any]) -> tuple[dict[str, Any], list[str], str]:
    """The step, the budgets that were spent, and what a person is shown, once its execution has failed."""
    execution, ran = stack.run(step)
    assert ran.code == 1, ran
    [found] = stack.show(execution)["steps"]
    spent = [event["data"]["budget"] for event in stack.events(execution, "step.retrying")]
    return found, spent, stack.muster("show", execution).out


def test_a_pull_is_tried_again(stack: Stack, registry: Registry):
    """While the registry is away only the pull's budget is spent; used up, the last refusal is the cause."""
    image = registry.publish("muster-test/phases:1")
    retry = {"max_attempts": 1, "phases": {"pull": 2}, "backoff": SOON}
    registry.stop()
    try:
        found, spent, shown = failed(stack, call("it", image, "outcomes:double", {"n": 1}, retry=retry))
    finally:
        registry.start()
    error = found["error"]
    assert (error["code"], error["phase"], found["attempt"], spent) == ("retriable", "pull", 2, ["pull"])
    assert (error["cause"]["code"], error["cause"]["phase"]) == ("image_pull", "pull")
    assert "Caused by ImagePullError (image_pull): phase pull" in shown
    assert shown.count("Pulling Image") == 2
    assert "Starting Container" not in shown


def test_a_pull_that_works_at_last(stack: Stack, registry: Registry, python_image: str):
    """A registry that comes back is found by the next try, and the step goes on through its other phases."""
    image = registry.push(python_image)
    retry = {"max_attempts": 1, "phases": {"pull": 99}, "backoff": {"initial": "500ms", "factor": 1}}
    registry.stop()
    try:
        step = call("it", image, "outcomes:double", {"n": 21}, retry=retry, pull_policy="always")
        execution = stack.submit(step)
        stack.event(execution, "step.retrying")
    finally:
        registry.start()
    stack.event(execution, "execution.succeeded")
    [found] = stack.show(execution)["steps"]
    assert found["outputs"] == {"value": 42}
    assert found["attempt"] > 1


def test_a_start_is_tried_again(stack: Stack, python_image: str):
    """What the engine refuses, and may not refuse for ever, is tried from the budget of the start phase."""
    retry = {"max_attempts": 1, "phases": {"start": 3}, "backoff": SOON}
    step = call("it", python_image, "outcomes:double", {"n": 1}, retry=retry, user="0:no-such-group")
    found, spent, shown = failed(stack, step)
    error = found["error"]
    assert (error["code"], error["phase"], found["attempt"]) == ("retriable", "start", 3)
    assert spent == ["start", "start"]
    assert (error["cause"]["code"], error["cause"]["phase"]) == ("container_starting", "start")
    assert "no-such-group" in shown.partition("Caused by ContainerStartingError")[2]


def test_a_load_is_tried_again(stack: Stack, python_image: str):
    """What raises while it is loaded is loaded again; used up, the cause has the function's own traceback."""
    retry = {"max_attempts": 1, "phases": {"load": 2}, "backoff": SOON}
    found, spent, shown = failed(stack, call("it", python_image, "broken:f", retry=retry))
    error = found["error"]
    assert (error["code"], error["phase"], found["attempt"], spent) == ("retriable", "load", 2, ["load"])
    assert error["cause"]["code"] == "function_load"
    assert shown.count("Loading Function") == 2
    assert "RuntimeError: no weights here" in shown.partition("Caused by FunctionLoadError")[2]
    assert "/app/broken.py" in shown


def test_a_run_is_tried_again(stack: Stack, python_image: str):
    """A call that raises is made again; used up, the cause has the traceback, and the logs have all tries."""
    retry = {"max_attempts": 1, "phases": {"run": 3}, "backoff": SOON}
    found, spent, shown = failed(stack, call("it", python_image, "outcomes:looks_up", retry=retry))
    error = found["error"]
    assert (error["code"], error["phase"], found["attempt"]) == ("retriable", "run", 3)
    assert spent == ["run", "run"]
    assert error["cause"]["code"] == "function_execution"
    assert "KeyError: 'nobody'" in shown.partition("Caused by FunctionExecutionError")[2]


def test_each_phase_has_its_own_timeout(stack: Stack, python_image: str):
    """The run is stopped at the timeout of its own phase, however long the others may take."""
    step = call(
        "it",
        python_image,
        "flaky:hangs",
        {"folder": "/tmp", "name": "hangs"},
        timeouts={"run": "1s"},
        stop_grace_period="1s",
    )
    found, _, shown = failed(stack, step)
    assert (found["error"]["code"], found["error"]["phase"]) == ("step_timeout", "run")
    [end] = [line for line in shown.splitlines() if "Execution Failed" in line]
    for phase in ("pull", "start", "load", "run"):
        assert f"{phase} " in end
