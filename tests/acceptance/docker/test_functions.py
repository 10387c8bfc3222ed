"""Functions in real containers, of an image that has Python and nothing of Muster."""

from __future__ import annotations

from typing import Any

import pytest

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
        stack.agent("m1", "--slots", "4")


def call(
    id_: str, image: str, function: str, inputs: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A step that calls a function."""
    return {"id": id_, "image": image, "function": function, "inputs": inputs or {}} | more


def make(witness: Witness, container: str, place: str) -> None:
    """Let a function go on that waits for a file."""
    witness.engine.containers.get(container).exec_run(["python3", "-c", f"open({place!r}, 'w')"], detach=True)


@pytest.mark.timeout(180)  # two dozen containers, on a machine that may do other things too
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
    assert (step["error"]["code"], step["attempt"]) == ("container_starting", 1)
    assert "python3" in step["error"]["message"]


def test_a_cancel_reaches_the_function(stack: Stack, witness: Witness, m1: None, python_image: str):
    """It cleans up and ends well before its grace time, though it is the first process of its container."""
    step = call("it", python_image, "outcomes:cleans_up", stop_grace_period="25s")
    execution = stack.submit(step)
    stack.event(execution, "attempt.started")
    assert stack.muster("cancel", execution).code == 0
    stack.event(execution, "execution.cancelled")
    assert len(stack.events(execution, "attempt.stopped")) == 1
    began = witness.when("kill", execution=execution)[0]
    until("it has died", lambda: witness.when("die", execution=execution))
    assert witness.when("die", execution=execution)[0] - began < 15
    assert "cleaned up" in stack.muster("logs", execution, "it").out
    witness.nothing_left()


@pytest.mark.parametrize("where", ["load", "call"])
def test_a_killed_agent_adopts_a_call(
    stack: Stack, witness: Witness, m1: None, python_image: str, where: str
):
    """Killed while the function loads, or in mid-call: the same process goes on; each event is written once."""
    execution = stack.submit(call("it", python_image, "outcomes:Gated"))
    container = witness.running(execution=execution)
    stack.event(execution, "function.loading")
    agent = stack.agents["m1"]
    if where == "call":
        make(witness, container, "/tmp/load")
        stack.event(execution, "attempt.started")
    agent.kill()
    if where == "load":
        make(witness, container, "/tmp/load")
    make(witness, container, "/tmp/go")
    agent.start()
    stack.event(execution, "execution.succeeded")
    told = [kind(event) for event in stack.events(execution)]
    life = [
        *("container.started", "function.loading", "function.loaded", "attempt.started"),
        *("container.exited", "attempt.finished"),
    ]
    assert [one for one in told if one in life] == life
    assert stack.event(execution, "container.exited")["data"]["container"] == container
    assert stack.show(execution)["steps"][0]["outputs"] == {"value": 1}
    assert len(witness.when("create", execution=execution)) == 1
    witness.nothing_left()
