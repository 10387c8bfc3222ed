"""Cancelling stops a call within its grace time; its container goes on where the call did end, and goes where not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.docker.called import (
    ANSWERED_S,
    act,
    call,
    ended,
    logged,
    place,
    raw,
    said,
    vanished,
    works,
)
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, until

GRACE_S = 3.0
PATIENT_S = 20.0  # the grace of what ends long before
KILLED = "137"

STAYS = ("busy", "sleeps", "awaits", "yields", "waits_for_child")
GOES = ("sums", "matches", "deaf", "deaf_and_busy")
CLEANED = ("awaits", "yields")
HEARS_NOTHING = ("sums", "matches")

BEGUN = "echo under way >&2"
HEEDS = """
execute() { call=$id; sleep 3600 & wait=$!; echo under way >&2; }
cancel() { kill $wait; say "$call" '"error":{"code":-32800,"message":"cancelled"}'; }
"""
SHELL = {
    "heeds": (HEEDS, True),
    "answers late": (f"execute() {{ call=$id; {BEGUN}; }}\ncancel() {{ id=$call; returned 5; }}", True),
    "ignores": (f"execute() {{ {BEGUN}; }}", False),
    "ignores all": (f"execute() {{ trap '' TERM; {BEGUN}; while :; do sleep 3600; done; }}", False),
}


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    """A machine that keeps as many containers as there are cases."""
    stack.steady_agent("m1", slots=2, functions_max=16)


def cancelled(
    stack: Stack, witness: Witness, step: dict[str, Any], *, grace_s: float, computes: bool = False
) -> tuple[str, float]:
    """Cancel a call whose body runs; its execution, and the seconds from the decision to the end of the attempt.

    ``computes``: it says that it is under way just before a computation in which nothing else is heard.
    """
    execution = begun(stack, step, "attempt.started", grace_s)
    said(witness, place(stack, execution), "under way")
    if computes:
        works(witness, place(stack, execution))
    assert stack.client.cancel(execution)
    stack.client.wait(execution, timeout=ANSWERED_S)
    [stopped] = stack.events(execution, "attempt.stopped")
    ending = stack.event(execution, "execution.ending")
    began, end = (datetime.fromisoformat(event["time"]) for event in (ending, stopped))
    assert stack.client.state(execution).status == "cancelled"
    return execution, (end - began).total_seconds()


def begun(stack: Stack, step: dict[str, Any], until_event: str, grace_s: float = GRACE_S) -> str:
    """The execution of one step that has come so far. The body of a function begins after attempt.started."""
    definition = {"name": "acceptance", "steps": [step | {"stop_grace_period": f"{grace_s:g}s"}]}
    execution = stack.client.submit(definition)
    stack.event(execution, until_event)
    return execution


def was_killed(witness: Witness, container: str) -> None:
    """It did not end by itself, and nothing is left of it."""
    until(f"{container} died", lambda: witness.when("die", id=container))
    assert witness.when("die", id=container, exitCode=KILLED)
    vanished(witness, container)


@pytest.mark.parametrize("what", STAYS)
def test_what_can_be_interrupted_is_and_its_container_stays(
    stack: Stack, witness: Witness, m1: None, python_image: str, what: str
) -> None:
    """Long before the grace time is over; the next call runs in the same container."""
    more = {"environment": {"CASE": what}}
    execution, seconds = cancelled(stack, witness, act(python_image, what, **more), grace_s=PATIENT_S)
    assert seconds < PATIENT_S
    if what in CLEANED:
        logged(stack, execution, "cleaned up")
    again, after = ended(stack, act(python_image, "well", **more))
    assert after.status == "succeeded"
    assert place(stack, again) == place(stack, execution)


@pytest.mark.parametrize("what", GOES)
def test_what_cannot_be_interrupted_is_killed_with_its_container(
    stack: Stack, witness: Witness, m1: None, python_image: str, what: str
) -> None:
    """When the grace time is over; the next call has another container."""
    more = {"environment": {"CASE": what}}
    execution, seconds = cancelled(
        stack,
        witness,
        act(python_image, what, **more),
        grace_s=GRACE_S,
        computes=what in HEARS_NOTHING,
    )
    assert seconds > GRACE_S * 0.9
    was_killed(witness, place(stack, execution))
    again, after = ended(stack, act(python_image, "well", **more))
    assert after.status == "succeeded"
    assert place(stack, again) != place(stack, execution)


@pytest.mark.parametrize("name", SHELL)
def test_functions_that_speak_the_protocol_themselves(
    stack: Stack, witness: Witness, m1: None, busybox_image: str, name: str
) -> None:
    """Whoever answers a cancelled call, with an error or with what it gave, goes on; whoever does not is killed."""
    script, stays = SHELL[name]
    grace_s = PATIENT_S if stays else GRACE_S
    execution, seconds = cancelled(stack, witness, raw(busybox_image, script), grace_s=grace_s)
    container = place(stack, execution)
    if stays:
        assert seconds < PATIENT_S
        present = [one["Id"] for one in witness.present() if one["State"] == "running"]
        assert container in present
    else:
        assert seconds > GRACE_S * 0.9
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
    said(witness, container, f"{what} is there", "waits is there")
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
    vanished(witness, str(stack.event(execution, "function.loading")["data"]["container"]))
