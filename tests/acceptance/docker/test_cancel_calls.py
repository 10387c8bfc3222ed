"""Cancelling stops a call within its grace time; its container goes on where the call did end, and goes where not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.docker.called import ANSWERED_S, act, call, ended, logged, place, raw, vanished
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, until

GRACE_S = 3.0
REMOVAL_S = 5.0  # beyond the grace: the engine's own work for killing and removing, on a busy machine

STAYS = ("busy", "sleeps", "awaits", "yields", "waits_for_child")
GOES = ("sums", "matches", "deaf", "deaf_and_busy")
CLEANED = ("awaits", "yields")

HEEDS = """
execute() { call=$id; sleep 3600 & wait=$!; }
cancel() { kill $wait; say "$call" '"error":{"code":-32800,"message":"cancelled"}'; }
"""
SHELL = {
    "heeds": (
        HEEDS,
        True,
    ),
    "answers late": ("execute() { call=$id; }\ncancel() { id=$call; returned 5; }", True),
    "ignores": ("execute() { :; }", False),
    "ignores all": ("execute() { trap '' TERM; while :; do sleep 3600; done; }", False),
}


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    """A machine that keeps as many containers as there are cases."""
    stack.agent("m1", "--slots", "2", "--functions-max", "16")


def cancelled(stack: Stack, step: dict[str, Any]) -> tuple[str, float]:
    """Cancel a call that is under way; its execution, and the seconds from the decision to the end of the attempt."""
    execution = begun(stack, step, "attempt.started")
    assert stack.client.cancel(execution)
    stack.client.wait(execution, timeout=ANSWERED_S)
    [stopped] = stack.events(execution, "attempt.stopped")
    ending = stack.event(execution, "execution.ending")
    began, end = (datetime.fromisoformat(event["time"]) for event in (ending, stopped))
    assert stack.client.state(execution).status == "cancelled"
    return execution, (end - began).total_seconds()


def begun(stack: Stack, step: dict[str, Any], until_event: str) -> str:
    """The execution of one step that has come so far."""
    definition = {"name": "acceptance", "steps": [step | {"stop_grace_period": f"{GRACE_S:g}s"}]}
    execution = stack.client.submit(definition)
    stack.event(execution, until_event)
    return execution


@pytest.mark.parametrize("what", STAYS)
def test_what_can_be_interrupted_is_and_its_container_stays(
    stack: Stack, witness: Witness, m1: None, python_image: str, what: str
) -> None:
    """Long before the grace time is over; the next call runs in the same container."""
    more = {"environment": {"CASE": what}}
    execution, seconds = cancelled(stack, act(python_image, what, **more))
    assert seconds < GRACE_S
    if what in CLEANED:
        assert "cleaned up" in logged(stack, execution)
    again, after = ended(stack, act(python_image, "well", **more))
    assert after.status == "succeeded"
    assert place(stack, again) == place(stack, execution)


@pytest.mark.parametrize("what", GOES)
def test_what_cannot_be_interrupted_is_killed_with_its_container(
    stack: Stack, witness: Witness, m1: None, python_image: str, what: str
) -> None:
    """When the grace time is over; the next call has another container."""
    more = {"environment": {"CASE": what}}
    execution, seconds = cancelled(stack, act(python_image, what, **more))
    assert GRACE_S * 0.9 < seconds < GRACE_S + REMOVAL_S
    vanished(witness, place(stack, execution))
    again, after = ended(stack, act(python_image, "well", **more))
    assert after.status == "succeeded"
    assert place(stack, again) != place(stack, execution)


@pytest.mark.parametrize("name", SHELL)
def test_functions_that_speak_the_protocol_themselves(
    stack: Stack, witness: Witness, m1: None, busybox_image: str, name: str
) -> None:
    """Whoever answers a cancelled call, with an error or with what it gave, goes on; whoever does not is killed."""
    script, stays = SHELL[name]
    execution, seconds = cancelled(stack, raw(busybox_image, script))
    container = place(stack, execution)
    if stays:
        assert seconds < GRACE_S
        present = [one["Id"] for one in witness.present() if one["State"] == "running"]
        assert container in present
    else:
        assert GRACE_S * 0.9 < seconds < GRACE_S + REMOVAL_S
        vanished(witness, container)


@pytest.mark.parametrize(("what", "exit_code"), [("deaf", 137), ("crashes", 9)])
def test_another_call_in_a_container_that_goes(
    stack: Stack, witness: Witness, m1: None, python_image: str, what: str, exit_code: int
) -> None:
    """Killed because one call does not heed its cancel, or ended by one: the other fails as crashed, once."""
    own = {"environment": {"CASE": f"together-{what}"}}
    one = begun(stack, call(python_image, "hostile:Together", {"what": what}, **own), "attempt.started")
    two = begun(stack, call(python_image, "hostile:Together", {"what": "waits"}, **own), "attempt.started")
    container = place(stack, one)
    assert place(stack, two) == container
    found = witness.engine.containers.get(container)
    until("both are under way", lambda: found.logs().count(b"is there") == 2)
    if what == "deaf":
        assert stack.client.cancel(one)
    else:
        found.exec_run(["python3", "-c", "open('/tmp/go', 'w')"], detach=True)
    assert stack.client.wait(two, timeout=ANSWERED_S)
    error = stack.client.step(two, "it").error
    assert error is not None
    assert (error.code, error.details["exit_code"]) == ("function_crashed", exit_code)
    assert len(stack.events(two, "attempt.failed")) == 1
    assert stack.client.wait(one, timeout=ANSWERED_S)
    assert stack.client.state(one).status == ("cancelled" if what == "deaf" else "failed")
    vanished(witness, container)


def test_a_call_that_is_being_loaded(stack: Stack, witness: Witness, m1: None, python_image: str) -> None:
    """There is no call to stop yet: its container is stopped and removed."""
    step = {"id": "it", "image": python_image, "function": "outcomes:Slow"}
    execution = begun(stack, step, "function.loading")
    assert stack.client.cancel(execution)
    stack.client.wait(execution, timeout=ANSWERED_S)
    assert stack.client.state(execution).status == "cancelled"
    until("nothing is left of it", lambda: not witness.present(instance=_instance(witness)))


def _instance(witness: Witness) -> str:
    """The container that was made last."""
    made = [attributes for _, done, attributes in list(witness.happened) if done == "create"]
    return made[-1]["io.muster.instance"]
