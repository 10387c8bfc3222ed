"""Functions in real containers, of an image that has Python and nothing of Muster."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.docker.called import logged
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, kind, until

CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "success": ("shout", {"text": "hi"}, "succeeded"),
    "coroutine": ("wait_and_double", {"n": 4}, "succeeded"),
    "class": ("Scale", {"n": 4}, "succeeded"),
    "value-error": ("refuses", {}, "invalid_argument"),
    "type-error": ("adds", {}, "invalid_type"),
    "assertion": ("asserts", {}, "assertion_failed"),
    "other": ("looks_up", {}, "function_execution"),
    "crash": ("crashes", {}, "function_crashed"),
    "no-callable": ("shot", {}, "function_not_found"),
    "wrong-type": ("total", {"numbers": ["1"]}, "invalid_type"),
    "no-json": ("a_set", {}, "output"),
    "retry": ("busy", {"how": "raised"}, "retriable"),
    "check-later": ("polls", {}, "succeeded"),
    "skip": ("idle", {"how": "returned"}, "skipped"),
    "failure": ("no_such_user", {"how": "raised"}, "execution"),
    "whoami": ("whoami", {}, "succeeded"),
}
MODULES = {"no-module": ("nowhere:f", "function_not_found"), "load": ("broken:f", "function_load")}


@pytest.fixture
def m1(stack: Stack, witness: Witness) -> None:
    """The machine, running whatever the test before did to it."""
    if "m1" in stack.agents:
        stack.agents["m1"].start()
    else:
        stack.steady_agent("m1", slots=4)


def call(
    id_: str, image: str, function: str, inputs: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A step that calls a function."""
    return {"id": id_, "image": image, "function": function, "inputs": inputs or {}} | more


def make(witness: Witness, container: str, place: str) -> None:
    """Let a function go on that waits for a file."""
    witness.engine.containers.get(container).exec_run(["python3", "-c", f"open({place!r}, 'w')"], detach=True)


def logs(witness: Witness, container: str) -> bytes:
    """What the container printed on stdout."""
    found: bytes = witness.engine.containers.get(container).logs(stdout=True, stderr=False)
    return found


def test_every_outcome_in_a_container(stack: Stack, witness: Witness, m1: None, python_image: str):
    """Read-only, without network and as nobody: what a function does is told as with processes, nothing is left."""
    common: dict[str, Any] = {"read_only": True, "user": "65534:65534"}
    steps = [
        call(id_, python_image, f"outcomes:{name}", inputs, **common)
        for id_, (name, inputs, _) in CALLS.items()
    ]
    steps += [call(id_, python_image, function, **common) for id_, (function, _) in MODULES.items()]
    execution = stack.submit(*steps, on_failure="continue")
    stack.event(execution, "execution.failed")
    found = {step["path"]: step for step in stack.show(execution)["steps"]}
    came = {path: step["error"]["code"] if step["error"] else step["status"] for path, step in found.items()}
    expected = {id_: outcome for id_, (_, _, outcome) in CALLS.items()}
    assert came == expected | {id_: outcome for id_, (_, outcome) in MODULES.items()}
    assert found["success"]["outputs"] == {"loud": "HI", "length": 2}
    assert found["class"]["outputs"] == {"value": 40}
    assert found["check-later"]["outputs"] == {"value": {"job": 17, "polls": 2}}
    assert found["whoami"]["outputs"] == {"uid": 65534, "folder": "/app"}
    assert found["failure"]["error"]["details"]["value"] == {"code": 4}
    assert "/app/outcomes.py" in found["other"]["error"]["details"]["traceback"]
    assert (found["load"]["error"]["phase"], found["other"]["error"]["phase"]) == ("load", "run")
    stack.agents["m1"].stop()
    witness.nothing_left()


def test_the_lifecycle_has_all_seven(stack: Stack, witness: Witness, m1: None, python_image: str):
    """Hyko's seven, by his names and in his order."""
    execution, ran = stack.run(call("it", python_image, "outcomes:double", {"n": 2}))
    assert ran.code == 0, ran
    shown = stack.muster("show", execution).out
    names = [
        *("Pulling Image", "Image Pulled", "Starting Container", "Loading Function", "Function Loaded"),
        *("Execution Started", "Execution Finished"),
    ]
    places = [shown.index(name) for name in names]
    assert places == sorted(places)


def test_an_image_without_python(stack: Stack, witness: Witness, m1: None, busybox_image: str):
    """It cannot be started, and trying again would not help: the error says what is not there."""
    execution, ran = stack.run(call("it", busybox_image, "app:f", retry={"max_attempts": 3}))
    assert ran.code == 1
    [step] = stack.show(execution)["steps"]
    assert (step["error"]["code"], step["error"]["phase"], step["attempt"]) == ("function_load", "load", 1)
    assert "exit code 127" in step["error"]["message"]
    assert "python3" in step["error"]["remedy"]
    assert any("python3" in line for line in step["error"]["details"]["tail"])


def test_a_call_into_a_warm_container(stack: Stack, witness: Witness, m1: None, python_image: str):
    """The second call runs in the container of the first: it tells nothing but that it ran, and where."""
    first, ran = stack.run(call("it", python_image, "outcomes:Scale", {"n": 2}))
    second, again = stack.run(call("other", python_image, "outcomes:Scale", {"n": 3}))
    assert (ran.code, again.code) == (0, 0)
    assert stack.show(second)["steps"][0]["outputs"] == {"value": 30}
    told = [kind(event) for event in stack.events(second)]
    assert [
        one for one in told if one.partition(".")[0] in ("image", "container", "function", "attempt")
    ] == [*("attempt.accepted", "attempt.started", "attempt.finished")]
    cold, warm = (stack.event(one, "attempt.started")["data"] for one in (first, second))
    assert warm["container"] == cold["container"]
    assert (cold.get("warm", False), warm["warm"]) == (False, True)


def test_an_agent_that_ends_leaves_nothing(stack: Stack, witness: Witness, m1: None, python_image: str):
    """What it kept warm goes with it, and the log says so."""
    execution, ran = stack.run(call("it", python_image, "outcomes:double", {"n": 2}))
    assert ran.code == 0, ran
    container = stack.event(execution, "attempt.started")["data"]["container"]
    assert container in [one["Id"] for one in witness.present()]
    stack.agents["m1"].stop()
    witness.nothing_left()
    told = [json.loads(item.event.line or b"") for item in stack.client.events(kind="function.unloaded")]
    reasons = {event["data"]["container"]: event["data"]["reason"] for event in told}
    assert reasons[container] == "stopped"


def test_a_cancel_reaches_the_function(stack: Stack, witness: Witness, m1: None, python_image: str):
    """It cleans up well before its grace time, and its container takes the next call."""
    step = call("it", python_image, "outcomes:cleans_up", stop_grace_period="25s")
    execution = stack.submit(step)
    container = stack.event(execution, "attempt.started")["data"]["container"]
    logged(stack, execution, "waiting")
    assert stack.muster("cancel", execution).code == 0
    stack.event(execution, "execution.cancelled")
    [stopped] = stack.events(execution, "attempt.stopped")
    ending = stack.event(execution, "execution.ending")
    began, end = (datetime.fromisoformat(event["time"]) for event in (ending, stopped))
    assert (end - began).total_seconds() < 15
    logged(stack, execution, "cleaned up")
    assert witness.when("die", id=container) == []
    again = stack.submit(step)
    assert stack.event(again, "attempt.started")["data"] == {"container": container, "warm": True}
    assert stack.muster("cancel", again).code == 0
    stack.event(again, "execution.cancelled")


@pytest.mark.parametrize("answered", ["later", "meanwhile"])
def test_a_killed_agent_adopts_a_call(
    stack: Stack, witness: Witness, m1: None, python_image: str, answered: str
):
    """Killed in mid-call: the same container, not loaded again; its answer is the one outcome, whenever it came."""
    own = {"environment": {"CASE": answered}}  # a container of this test's
    execution = stack.submit(call("it", python_image, "outcomes:Gated", **own))
    container = stack.event(execution, "container.started")["data"]["container"]
    make(witness, container, "/tmp/load")
    stack.event(execution, "attempt.started")
    logged(stack, execution, "in the call")
    agent = stack.agents["m1"]
    agent.kill()
    if answered == "meanwhile":
        make(witness, container, "/tmp/go")
        until("it has answered", lambda: b'"$returned"' in logs(witness, container))
    agent.start()
    if answered == "later":
        make(witness, container, "/tmp/go")
    stack.event(execution, "execution.succeeded")
    told = [kind(event) for event in stack.events(execution)]
    life = [
        *("container.started", "function.loading", "function.loaded", "attempt.started", "attempt.finished"),
    ]
    assert [one for one in told if one in (*life, "container.exited", "attempt.failed")] == life
    again, ran = stack.run(call("it", python_image, "outcomes:Gated", **own))
    assert ran.code == 0, ran
    assert stack.show(execution)["steps"][0]["outputs"] == stack.show(again)["steps"][0]["outputs"]
    assert stack.event(again, "attempt.started")["data"] == {"container": container, "warm": True}
    stack.agents["m1"].stop()
    witness.nothing_left()


def test_a_killed_agent_gives_up_what_was_loading(
    stack: Stack, witness: Witness, m1: None, python_image: str
):
    """The attempt is lost and tried again in a new container; the one that was loading is removed."""
    execution = stack.submit(call("it", python_image, "outcomes:Gated", environment={"CASE": "loading"}))
    container = stack.event(execution, "container.started")["data"]["container"]
    stack.event(execution, "function.loading")
    agent = stack.agents["m1"]
    agent.kill()
    agent.start()
    stack.event(execution, "step.retrying")
    until("another container", lambda: len(stack.events(execution, "container.started")) == 2)
    other = stack.events(execution, "container.started")[1]["data"]["container"]
    for place in ("/tmp/load", "/tmp/go"):
        make(witness, other, place)
    stack.event(execution, "execution.succeeded")
    until("the first is gone", lambda: container not in [one["Id"] for one in witness.present()])
    stack.agents["m1"].stop()
    witness.nothing_left()
