"""Every error that a step can end with, provoked for real: in the log, in the view, and told by the command line."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import docker
import msgspec
import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, shell
from tests.fixtures.engine import Registry

Steps = dict[str, Any]
WRITE = "echo '%s' > $MUSTER_OUTPUT"
NUMBER = {"n": {"type": "integer"}}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How an error is provoked, and what is told of it."""

    code: str
    name: str
    step: Callable[[str, Registry], Steps]
    says: str
    remedy: str
    phase: str | None = "run"
    machine: str | None = "m1"
    attempt: int | None = 1
    details: dict[str, Any] = {}
    cause: str | None = None


CASES = {
    "unknown-tag": Case(
        code="image_pull",
        name="ImagePullError",
        step=lambda _, registry: shell("it", f"{registry.address}/muster-test/fresh:none", "true"),
        says="not found",
        remedy="Check the image name and tag",
        phase="pull",
    ),
    "registry-down": Case(
        code="image_pull",
        name="ImagePullError",
        step=lambda _, registry: shell("it", _gone(registry), "true"),
        says="connection refused",
        remedy="that the registry answers",
        phase="pull",
    ),
    "no-such-command": Case(
        code="container_starting",
        name="ContainerStartingError",
        step=lambda image, _: {"id": "it", "image": image, "command": ["/no/such/program"]},
        says="/no/such/program",
        remedy="Check command, entrypoint",
        phase="start",
    ),
    "exit-code": Case(
        code="execution",
        name="ExecutionError",
        step=lambda image, _: shell("it", image, "echo broken >&2; exit 7"),
        says="ended with exit code 7",
        remedy="muster logs",
        details={"exit_code": 7, "tail": ["broken"]},
    ),
    "memory": Case(
        code="out_of_memory",
        name="OutOfMemoryError",
        step=lambda image, _: shell("it", image, "exec tail /dev/zero", resources={"memory": "16Mi"}),
        says="more memory than it may",
        remedy="Raise resources.memory",
        details={"exit_code": 137, "memory": 16 << 20},
    ),
    "timeout": Case(
        code="step_timeout",
        name="StepTimeoutError",
        step=lambda image, _: shell(
            "it", image, "exec sleep 60", timeouts={"run": "500ms"}, stop_grace_period="1s"
        ),
        says="longer than its timeout of 0.5 s",
        remedy="under timeouts of the step",
        details={"limit_s": 0.5},
    ),
    "value-missing": Case(
        code="value_missing",
        name="ValueMissingError",
        step=lambda image, _: shell("it", image, "true", outputs=NUMBER),
        says="the output n is declared and the step did not write it",
        remedy="$MUSTER_OUTPUT",
        details={"output": "n"},
    ),
    "wrong-type": Case(
        code="invalid_type",
        name="InvalidTypeError",
        step=lambda image, _: shell("it", image, WRITE % '{"n": "three"}', outputs=NUMBER),
        says="must be an integer, not a string: 'three'",
        remedy="declared type",
        details={"output": "n", "expected": "integer", "found": "string"},
    ),
    "no-json": Case(
        code="output",
        name="OutputError",
        step=lambda image, _: shell("it", image, WRITE % "three", outputs=NUMBER),
        says="is no JSON",
        remedy="Write a JSON object",
    ),
    "undeclared-output": Case(
        code="output",
        name="OutputError",
        step=lambda image, _: shell("it", image, WRITE % '{"n": 3, "m": 4}', outputs=NUMBER),
        says="wrote the output m, which it does not declare",
        remedy="Declare it under outputs of the step",
        details={"output": "m"},
    ),
    "attempts-used-up": Case(
        code="retriable",
        name="RetriableError",
        step=lambda image, _: shell(
            "it", image, "exit 5", retry={"max_attempts": 2, "backoff": {"initial": "50ms"}}
        ),
        says="all 2 attempts failed in the run phase",
        remedy="retry.max_attempts",
        attempt=2,
        cause="execution",
    ),
    "never-connected": Case(
        code="not_connected",
        name="NotConnectedError",
        step=lambda image, _: shell("it", image, "true", machine="nobody"),
        says="nobody has never connected",
        remedy="start an agent under that name",
        phase=None,
        machine="nobody",
        attempt=None,
    ),
    "machine-died": Case(
        code="machine_offline",
        name="MachineOfflineError",
        step=lambda image, _: shell("it", image, "true", machine="ghost"),
        says="ghost was connected and stopped answering",
        remedy="start the agent there again",
        phase=None,
        machine="ghost",
        attempt=None,
    ),
}


def _gone(registry: Registry) -> str:
    """An image of a registry that was there and does not answer any more."""
    image = registry.publish(f"muster-test/gone:{uuid.uuid4().hex}", size=1024)
    registry.stop()
    return image


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    """The machine the steps run on, and one that died before they came."""
    stack.quick_agent("ghost", runtime="noop", interval_s=0.3).kill()
    stack.agent("m1", "--slots", "4")
    offline = stack.client.events(machine="ghost", kind="machine.offline", follow=True)
    next(offline)


@pytest.fixture
def running_registry(registry: Registry) -> Registry:
    """The registry, whatever the test before did to it."""
    return registry.start()


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_recorded_and_told_with_its_place_and_its_remedy(
    name: str, stack: Stack, m1: None, busybox_image: str, running_registry: Registry
) -> None:
    """The log, the view and the command line agree on code, phase, step, machine, attempt and remedy."""
    case = CASES[name]
    id_, ran = stack.run(case.step(busybox_image, running_registry))
    assert ran.code == 1, ran

    for event in stack.events(id_, "step.failed", "execution.failed"):
        _fits(case, event["data"]["error"])
    assert len(stack.events(id_, "step.failed", "execution.failed")) == 2

    rows = {row.kind: row for row in stack.errors(id_)}
    for kind in ("step.failed", "execution.failed"):
        _fits(case, msgspec.to_builtins(rows[kind]))

    shown = stack.muster("show", id_)
    assert shown.code == 0
    for text in (ran.out, shown.out):
        _told(case, text)


def _fits(case: Case, error: dict[str, Any]) -> None:
    expected = {"phase": case.phase, "machine": case.machine, "attempt": case.attempt}
    assert {key: error.get(key) for key in expected} == expected
    assert (error["code"], error["name"], error["step"]) == (case.code, case.name, "it")
    assert case.says in error["message"]
    assert case.remedy in error["remedy"]
    assert case.details.items() <= error.get("details", {}).items()
    assert (error.get("cause") or {}).get("code") == case.cause


def _told(case: Case, text: str) -> None:
    where = {"phase": case.phase, "step": "it", "attempt": case.attempt, "machine": case.machine}
    places = ", ".join(f"{what} {value}" for what, value in where.items() if value is not None)
    assert f"{case.name} ({case.code}): {places}" in text
    assert case.says in text
    remedy = next(line for line in text.splitlines() if "What to do:" in line)
    assert case.remedy in remedy
    if case.cause is not None:
        assert f"Caused by ExecutionError ({case.cause}): phase run, step it, attempt 2, machine m1" in text


def test_a_container_without_memory_is_told_by_the_engine(
    stack: Stack, m1: None, busybox_image: str, docker_engine: docker.DockerClient
) -> None:
    """The limit is the kernel's: what asks for more is killed, what asks for less is not."""
    step = shell(
        "it",
        busybox_image,
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true",
        resources={"memory": "24Mi"},
        outputs={"limit": {"type": "integer", "source": "stdout"}},
    )
    id_, ran = stack.run(step)
    assert ran.code == 0, ran
    assert stack.event(id_, "step.succeeded")["data"]["outputs"] == {"limit": 24 << 20}
    assert not stack.event(id_, "container.exited")["data"].get("oom_killed")
