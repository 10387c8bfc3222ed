"""The container engine is killed with -9 and comes back: nothing hangs, nothing is left, every step has its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.docker.called import call, place
from tests.acceptance.docker.stack import Part, Stack, kind, until
from tests.fixtures.broker import Broker
from tests.fixtures.python_image import make_python_image
from tests.fixtures.second_engine import SecondEngine, second_engine

__all__ = ["second_engine"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]
PATIENCE_S = 100.0  # an engine that comes back gives containers ten seconds to end before it answers
ENDS = ("attempt.finished", "attempt.failed", "attempt.stopped", "step.succeeded", "step.failed")


@pytest.fixture(scope="module")
def image(second_engine: SecondEngine) -> str:
    """An image with Python, in that engine."""
    with closing(second_engine.client()) as client:
        return make_python_image(client)


@pytest.fixture(scope="module")
def stack(
    second_engine: SecondEngine, module_broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A whole Muster, whose machine has this engine."""
    with Stack(tmp_path_factory.mktemp("stack"), module_broker) as started:
        started.environment["DOCKER_HOST"] = second_engine.host
        yield started


@pytest.fixture
def m1(stack: Stack, second_engine: SecondEngine, image: str) -> Iterator[Part]:
    """The machine; when it has ended nothing of it is in the engine."""
    second_engine.start()
    agent = stack.agents.get("m1") or stack.quick_agent("m1", runtime="docker", slots=4)
    yield agent.start()
    second_engine.start()
    agent.stop()
    until("nothing is left", lambda: containers(second_engine) == {}, PATIENCE_S)


def containers(engine: SecondEngine) -> dict[str, str]:
    """What is in the engine: ids and states."""
    with closing(engine.client()) as client:
        return {str(one["Id"]): str(one["State"]) for one in client.api.containers(all=True)}


def open_gate(engine: SecondEngine, container: str) -> None:
    """Calls in it go on."""
    with closing(engine.client()) as client:
        found = client.containers.get(container)
        found.exec_run(["python3", "-c", "open('/tmp/go', 'w')"], detach=True)


def under_way(stack: Stack, engine: SecondEngine, step: dict[str, Any]) -> tuple[str, str]:
    """A call that waits at the gate: its execution and its container."""
    execution = stack.client.submit({"name": "acceptance", "steps": [step]})
    container = place(stack, execution)

    def called() -> bool:
        with closing(engine.client()) as client:
            return b"in call" in client.containers.get(container).logs()

    until("it is called", called, PATIENCE_S)
    return execution, container


def outcomes(stack: Stack, execution: str) -> list[str]:
    """How attempts and step ended, as it stands in the log."""
    return [kind(event) for event in stack.events(execution, *ENDS)]


def test_in_mid_call_the_step_fails_as_its_policy_says(
    stack: Stack, second_engine: SecondEngine, m1: Part, image: str
) -> None:
    """One attempt is allowed: it fails once the engine is back and says that the container is dead."""
    execution, container = under_way(stack, second_engine, call(image, "hostile:Counted"))
    second_engine.kill()
    second_engine.start()
    assert stack.client.wait(execution, timeout=PATIENCE_S)
    assert outcomes(stack, execution) == ["attempt.failed", "step.failed"]
    error = stack.client.step(execution, "it").error
    assert error is not None
    assert (error.code, error.phase) == ("function_crashed", "run")
    until("its container is removed", lambda: container not in containers(second_engine), PATIENCE_S)


def test_in_mid_call_the_step_is_tried_again(
    stack: Stack, second_engine: SecondEngine, m1: Part, image: str
) -> None:
    """Two attempts are allowed: the second has another container in the engine that came back."""
    step = call(image, "hostile:Counted", retry={"max_attempts": 2, "backoff": {"initial": "10ms"}})
    execution, container = under_way(stack, second_engine, step)
    second_engine.kill()
    second_engine.start()

    def others() -> list[str]:
        started = stack.events(execution, "attempt.started")
        return [found for event in started if (found := str(event["data"]["container"])) != container]

    other = until("another attempt", others, PATIENCE_S)[0]
    open_gate(second_engine, other)
    assert stack.client.wait(execution, timeout=PATIENCE_S)
    assert outcomes(stack, execution) == ["attempt.failed", "attempt.finished", "step.succeeded"]
    assert stack.client.step(execution, "it").outputs == {"loads": 1, "calls": 1}
    until("its container is removed", lambda: container not in containers(second_engine), PATIENCE_S)


def test_while_containers_are_warm(stack: Stack, second_engine: SecondEngine, m1: Part, image: str) -> None:
    """What was warm is dead and removed; the next call has another container."""
    step = call(image, "hostile:act", {"what": "well"})
    first = stack.client.run({"name": "acceptance", "steps": [step]}, timeout=PATIENCE_S)
    container = place(stack, first.execution)
    second_engine.kill()
    second_engine.start()
    until("it is removed", lambda: container not in containers(second_engine), PATIENCE_S)
    second = stack.client.run({"name": "acceptance", "steps": [step]}, timeout=PATIENCE_S)
    assert second.succeeded, second
    assert place(stack, second.execution) != container


def test_a_call_that_comes_while_it_is_away(
    stack: Stack, second_engine: SecondEngine, m1: Part, image: str
) -> None:
    """It does not wait for ever: it fails with what is wrong, or goes on when the engine is back."""
    step = call(
        image, "hostile:act", {"what": "well"}, environment={"CASE": "away"}, timeouts={"pull": "20s"}
    )
    second_engine.kill()
    execution = stack.client.submit({"name": "acceptance", "steps": [step]})
    assert stack.client.wait(execution, timeout=PATIENCE_S)
    error = stack.client.step(execution, "it").error
    assert error is not None
    assert error.code in {"image_pull", "container_starting"}
    assert "the container engine does not answer" in error.message


def test_the_agent_and_the_engine_are_killed_together(
    stack: Stack, second_engine: SecondEngine, m1: Part, image: str
) -> None:
    """As when the machine loses its power: the attempt fails or is lost, once, and nothing is left."""
    step = call(image, "hostile:Counted", environment={"CASE": "both"})
    execution, container = under_way(stack, second_engine, step)
    m1.kill()
    second_engine.kill()
    second_engine.start()
    m1.start()
    until("its container is removed", lambda: container not in containers(second_engine), PATIENCE_S)
    until("it was answered for", lambda: "attempt.failed" in outcomes(stack, execution), PATIENCE_S)
    if "step.failed" not in outcomes(stack, execution):
        assert stack.client.cancel(execution)
    assert stack.client.wait(execution, timeout=PATIENCE_S)
