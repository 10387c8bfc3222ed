"""Whoever is killed while a call is under way: one outcome, the container goes on where it can, nothing hangs."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from muster.model.errors import BrokerError
from tests.acceptance.docker.called import ANSWERED_S, call, ended, place, vanished
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Part, Stack, kind, until
from tests.fixtures.processes import state_of

ENDS = ("attempt.finished", "attempt.failed", "attempt.stopped", "step.succeeded", "step.failed")


@pytest.fixture
def m1(stack: Stack, witness: Witness) -> Part:
    """The machine, running whatever the test before did to it. It asks each container before it calls it again."""
    agent = stack.agents.get("m1") or stack.steady_agent(
        "m1", slots=4, functions_max=16, function_ping_after_s=0.0
    )
    agent.environment.pop("MUSTER_FAULT", None)
    return agent.start()


def counted(image: str, case: str, **more: Any) -> dict[str, Any]:
    """A step whose calls wait for the gate, in a container of this case."""
    return call(image, "hostile:Counted", environment={"CASE": case}, **more)


def begin(stack: Stack, step: dict[str, Any]) -> str:
    """Submit it and go on; its execution."""
    return stack.client.submit({"name": "acceptance", "steps": [step]})


def under_way(stack: Stack, witness: Witness, step: dict[str, Any]) -> tuple[str, str]:
    """A call that waits at the gate: its execution and its container."""
    execution = begin(stack, step)
    container = place(stack, execution)
    until("it is called", lambda: b"in call" in printed(witness, container))
    return execution, container


def printed(witness: Witness, container: str) -> bytes:
    """Everything the container ever said."""
    found: bytes = witness.engine.containers.get(container).logs()
    return found


def open_gate(witness: Witness, container: str) -> None:
    """Calls in it, of now and later, go on."""
    witness.engine.containers.get(container).exec_run(["python3", "-c", "open('/tmp/go', 'w')"], detach=True)


def outcomes(stack: Stack, execution: str) -> list[str]:
    """How attempts and step ended, as it stands in the log."""
    return [kind(event) for event in stack.events(execution, *ENDS)]


def succeeded(stack: Stack, execution: str, *before: str) -> Any:
    """It did, after these ends of attempts; what it gave."""
    assert stack.client.wait(execution, timeout=ANSWERED_S)
    assert outcomes(stack, execution) == [*before, "attempt.finished", "step.succeeded"]
    return stack.client.step(execution, "it").outputs


@pytest.mark.parametrize(("point", "answered"), [("before", False), ("after", True)])
def test_an_agent_killed_around_a_call(
    stack: Stack, witness: Witness, m1: Part, python_image: str, point: str, answered: bool
) -> None:
    """Killed when it said that the call began, and had not sent it; or when it had the answer, and had not said so.

    The function is called once, in the container it was loaded in once, and there is one outcome.
    """
    m1.kill()
    m1.environment["MUSTER_FAULT"] = f"agent.call.{point}"
    m1.start()
    execution = begin(stack, counted(python_image, f"fault-{point}"))
    container = place(stack, execution) if answered else _started(stack, execution)
    if answered:
        open_gate(witness, container)
    until("it halts there", lambda: state_of(m1.pid) == "T")
    assert (b"in call" in printed(witness, container)) == answered
    m1.kill()
    del m1.environment["MUSTER_FAULT"]
    m1.start()
    open_gate(witness, container)
    assert succeeded(stack, execution) == {"loads": 1, "calls": 1}
    again, after = ended(stack, counted(python_image, f"fault-{point}"))
    assert after.outputs == {"loads": 1, "calls": 2}
    assert place(stack, again) == container
    assert len(stack.events(execution, "function.loaded", "attempt.started")) == 2


def _started(stack: Stack, execution: str) -> str:
    """The container, where the agent is halted before it may say that the call began."""
    return str(stack.event(execution, "container.started")["data"]["container"])


def test_an_agent_killed_again_and_again(stack: Stack, witness: Witness, m1: Part, python_image: str) -> None:
    """Four agents follow one another in mid-call: the same container, one call, one outcome."""
    execution, container = under_way(stack, witness, counted(python_image, "again"))
    for _ in range(3):
        m1.kill()
        m1.start()
    open_gate(witness, container)
    assert succeeded(stack, execution) == {"loads": 1, "calls": 1}


def test_an_idle_container_outlives_its_agent(
    stack: Stack, witness: Witness, m1: Part, python_image: str
) -> None:
    """The next agent calls into what the one before had loaded."""
    execution = begin(stack, counted(python_image, "idle"))
    container = place(stack, execution)
    open_gate(witness, container)
    assert succeeded(stack, execution) == {"loads": 1, "calls": 1}
    m1.kill()
    m1.start()
    again, after = ended(stack, counted(python_image, "idle"))
    assert after.outputs == {"loads": 1, "calls": 2}
    assert place(stack, again) == container


def test_a_container_killed_in_mid_call_fails_the_step(
    stack: Stack, witness: Witness, m1: Part, python_image: str
) -> None:
    """Its policy allows one attempt: FunctionCrashedError with the exit code and the last lines."""
    execution, container = under_way(stack, witness, counted(python_image, "killed"))
    witness.engine.containers.get(container).kill()
    assert stack.client.wait(execution, timeout=ANSWERED_S)
    assert outcomes(stack, execution) == ["attempt.failed", "step.failed"]
    error = stack.client.step(execution, "it").error
    assert error is not None
    assert (error.code, error.phase) == ("function_crashed", "run")
    assert error.details["exit_code"] == 137
    assert "in call 1" in error.details["tail"]
    vanished(witness, container)


@pytest.mark.parametrize("how", ["killed", "removed"])
def test_a_container_that_goes_in_mid_call_is_tried_again(
    stack: Stack, witness: Witness, m1: Part, python_image: str, how: str
) -> None:
    """Its policy allows two attempts: the second has a container of its own."""
    step = counted(python_image, f"retried-{how}", retry={"max_attempts": 2, "backoff": {"initial": "10ms"}})
    execution, container = under_way(stack, witness, step)
    found = witness.engine.containers.get(container)
    if how == "killed":
        found.kill()
    else:
        found.remove(force=True, v=True)  # the exit code may be known, or gone with the container
    other = _next(stack, execution, container)
    open_gate(witness, other)
    assert succeeded(stack, execution, "attempt.failed") == {"loads": 1, "calls": 1}
    error = stack.event(execution, "attempt.failed")["data"]["error"]
    assert error["code"] in {"function_crashed", *(["attempt_lost"] if how == "removed" else [])}
    vanished(witness, container)


def _next(stack: Stack, execution: str, container: str) -> str:
    """The container that the attempt after the one in ``container`` has."""

    def others() -> list[str]:
        started = stack.events(execution, "attempt.started")
        return [found for event in started if (found := str(event["data"]["container"])) != container]

    return str(until("another attempt", others)[0])


@pytest.mark.parametrize("how", ["killed", "removed", "paused"])
def test_an_idle_container_that_is_no_more_is_replaced(
    stack: Stack, witness: Witness, m1: Part, python_image: str, how: str
) -> None:
    """Killed, removed or stopped by somebody: the next call gets another, and the log says that it went."""
    if how == "paused":
        stack.steady_agent("hasty", function_ping_after_s=0.0, function_ping_s=1.0)
    machine = "hasty" if how == "paused" else "m1"
    step = call(python_image, "hostile:act", {"what": "well"}, environment={"CASE": how}, machine=machine)
    first, _ = ended(stack, step)
    container = place(stack, first)
    found = witness.engine.containers.get(container)
    if how == "paused":
        found.pause()
    elif how == "killed":
        found.kill()
    else:
        found.remove(force=True, v=True)
    if how != "paused":
        until("the agent saw it", lambda: container in unloaded(stack))
    second, after = ended(stack, step)
    assert after.outputs["n"] == 0
    assert place(stack, second) != container
    vanished(witness, container)
    reason = "unhealthy" if how == "paused" else "crashed"
    until("the log says so", lambda: unloaded(stack).get(container) == reason)
    if how == "paused":
        stack.agents.pop("hasty").stop()


def unloaded(stack: Stack) -> dict[str, str]:
    """The containers that went, and why."""
    told = [json.loads(item.event.line or b"") for item in stack.client.events(kind="function.unloaded")]
    return {event["data"]["container"]: event["data"]["reason"] for event in told}


def test_an_agent_that_ends_in_mid_call_leaves_nothing(
    stack: Stack, witness: Witness, m1: Part, python_image: str
) -> None:
    """SIGTERM: the call is stopped and every container removed; it is tried again when the agent is back."""
    execution, container = under_way(stack, witness, counted(python_image, "term"))
    m1.stop()
    assert witness.left() == []
    m1.start()
    other = _next(stack, execution, container)
    open_gate(witness, other)
    assert succeeded(stack, execution, "attempt.stopped") == {"loads": 1, "calls": 1}


def test_the_broker_is_away_when_the_answer_comes(
    stack: Stack, witness: Witness, m1: Part, python_image: str
) -> None:
    """What came meanwhile is told when it is back, once; the container stays warm."""
    execution, container = under_way(stack, witness, counted(python_image, "broker"))
    stack.broker.kill()
    open_gate(witness, container)
    until("it has answered", lambda: b'"$returned"' in printed(witness, container))
    stack.broker.start()
    until("the client is back", lambda: _answers(stack, execution))
    assert succeeded(stack, execution) == {"loads": 1, "calls": 1}
    again, after = ended(stack, counted(python_image, "broker"))
    assert after.outputs == {"loads": 1, "calls": 2}
    assert place(stack, again) == container


def _answers(stack: Stack, execution: str) -> bool:
    with contextlib.suppress(BrokerError):
        return bool(stack.client.state(execution))
    return False
