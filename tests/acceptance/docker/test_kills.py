"""Containers and agents that are killed from outside: the right error, adoption, one outcome, nothing left."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.docker.called import logged
from tests.acceptance.docker.leftovers import GATE, Witness
from tests.acceptance.docker.stack import Stack, kind, shell, until


@pytest.fixture
def m1(stack: Stack, witness: Witness) -> None:
    """The machine, running whatever the test before did to it."""
    if "m1" in stack.agents:
        stack.agents["m1"].start()
    else:
        stack.agent("m1", "--slots", "2")


def outcomes(stack: Stack, execution: str) -> list[str]:
    """How the attempts and the step ended, as it stands in the log."""
    ends = ("attempt.finished", "attempt.failed", "attempt.stopped", "step.succeeded", "step.failed")
    return [kind(event) for event in stack.events(execution, *ends)]


def test_a_container_that_is_killed_is_no_out_of_memory(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """`docker kill` gives exit code 137 as memory does; the step fails with ExecutionError."""
    id_ = stack.submit(shell("it", busybox_image, GATE, resources={"memory": "64Mi"}))
    container = witness.running(execution=id_)
    stack.event(id_, "attempt.started")
    witness.engine.containers.get(container).kill()
    error = stack.event(id_, "execution.failed")["data"]["error"]
    assert (error["code"], error["phase"], error["details"]["exit_code"]) == ("execution", "run", 137)
    exited = stack.event(id_, "container.exited")["data"]
    assert (exited["container"], exited["exit_code"]) == (container, 137)
    assert not exited.get("oom_killed")
    shown = stack.muster("show", id_).out
    assert "ExecutionError (execution): phase run, step it, attempt 1, machine m1" in shown
    assert "OutOfMemory" not in shown
    witness.nothing_left()


def test_a_container_that_is_removed_is_lost_and_tried_again(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """`docker rm -f` leaves no exit code to trust: the step ends once, and nothing waits for ever."""
    id_ = stack.submit(shell("it", busybox_image, GATE))
    container = witness.running(execution=id_)
    stack.event(id_, "attempt.started")
    witness.engine.containers.get(container).remove(force=True)
    failed = stack.event(id_, "attempt.failed")["data"]
    assert failed["error"]["code"] in {"attempt_lost", "execution"}
    until("the execution has ended", lambda: _ended(stack, witness, id_))
    assert outcomes(stack, id_)[-1] in {"step.failed", "step.succeeded"}
    witness.nothing_left()


def _ended(stack: Stack, witness: Witness, execution: str) -> bool:
    for container in witness.present(execution=execution):
        if container["State"] == "running":
            witness.open_gate(str(container["Id"]))
    return bool(stack.events(execution, "execution.failed", "execution.succeeded"))


def adopted(stack: Stack, witness: Witness, execution: str, container: str, outputs: dict[str, Any]) -> None:
    """The container that was started first is the only one there ever was, and it ended once."""
    stack.event(execution, "execution.succeeded")
    assert outcomes(stack, execution) == ["attempt.finished", "step.succeeded"]
    started = [event["data"]["container"] for event in stack.events(execution, "container.started")]
    exited = [event["data"]["container"] for event in stack.events(execution, "container.exited")]
    assert (started, exited) == ([container], [container])
    assert stack.event(execution, "step.succeeded")["data"]["outputs"] == outputs
    assert len(witness.when("create", execution=execution)) == 1
    assert len(stack.events(execution, "attempt.accepted", "attempt.started")) == 2
    assert stack.show(execution)["steps"][0]["attempt"] == 1
    witness.nothing_left()


OUTPUTS = {"file": {"type": "integer"}, "said": {"type": "string", "source": "stdout"}}
SAY = "echo before"
GIVE = 'echo after; echo \'{"file": 7}\' > "$MUSTER_OUTPUT"'
GIVEN = {"file": 7, "said": "before\nafter"}


def test_an_agent_that_was_killed_adopts_its_running_container(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """Killed and started again while the container runs: the same container goes on, with all it printed."""
    id_ = stack.submit(shell("it", busybox_image, f"{SAY}; {GATE}; {GIVE}", outputs=OUTPUTS))
    container = witness.running(execution=id_)
    stack.event(id_, "attempt.started")
    agent = stack.agents["m1"]
    agent.kill()
    assert witness.running(execution=id_) == container, "it goes on without its agent"
    agent.start()
    witness.open_gate(container)
    adopted(stack, witness, id_, container, GIVEN)
    assert logged(stack, id_, "before", "after").splitlines()[-1] == "after"


def test_an_agent_that_was_killed_reports_what_ended_meanwhile(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """A container that ended while nobody watched is reported by the next agent, with its outputs."""
    id_ = stack.submit(shell("it", busybox_image, f"{SAY}; {GATE}; {GIVE}", outputs=OUTPUTS))
    container = witness.running(execution=id_)
    stack.event(id_, "attempt.started")
    agent = stack.agents["m1"]
    agent.kill()
    witness.open_gate(container)
    until("it ended", lambda: witness.when("die", execution=id_))
    agent.start()
    adopted(stack, witness, id_, container, GIVEN)


def test_a_container_of_a_cancelled_execution_is_removed_by_the_next_agent(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """Cancelled while its agent was dead: the next agent stops and removes it."""
    id_ = stack.submit(shell("it", busybox_image, GATE, stop_grace_period="1s"))
    witness.running(execution=id_)
    stack.event(id_, "attempt.started")
    agent = stack.agents["m1"]
    agent.kill()
    assert stack.muster("cancel", id_).code == 0
    agent.start()
    stack.event(id_, "execution.cancelled")
    witness.nothing_left()
    assert outcomes(stack, id_) == ["attempt.stopped"]


def test_an_agent_that_ends_in_order_leaves_nothing(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """SIGTERM: its containers are stopped and removed before it goes, and the step runs again when it is back."""
    id_ = stack.submit(shell("it", busybox_image, f"{GATE}; true", stop_grace_period="1s"))
    first = witness.running(execution=id_)
    stack.event(id_, "attempt.started")
    agent = stack.agents["m1"]
    agent.stop()
    assert witness.present(execution=id_) == []
    agent.start()
    second = witness.running(execution=id_, attempt="2")
    assert second != first
    witness.open_gate(second)
    stack.event(id_, "execution.succeeded")
    assert outcomes(stack, id_) == ["attempt.stopped", "attempt.finished", "step.succeeded"]
    witness.nothing_left()
