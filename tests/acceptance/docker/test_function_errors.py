"""Every error a call can end with, provoked in a real container, and what ``muster run`` and ``muster show`` say of it.

With the function's own traceback and its last lines where there are any, as whoever wrote the function needs them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.acceptance.docker.called import call, logged
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack

SOON = {"initial": "10ms"}
READ = "Read the traceback"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How it is provoked, and what is told: ``traced`` is of the function's own traceback, ``logs`` of its logs."""

    name: str
    code: str
    function: str
    says: str
    remedy: str
    inputs: dict[str, Any] = {}
    more: dict[str, Any] = {}
    phase: str = "run"
    attempts: int = 1
    traced: tuple[str, ...] = ()
    logs: str = ""
    cause: str = ""


CASES = {
    "module": Case(
        name="FunctionNotFoundError",
        code="function_not_found",
        function="nowhere:f",
        says="nowhere:f: there is no module nowhere",
        remedy="Check module and callable",
        phase="load",
        more={"retry": {"max_attempts": 3, "backoff": SOON}},
    ),
    "callable": Case(
        name="FunctionNotFoundError",
        code="function_not_found",
        function="outcomes:shot",
        says="Did you mean shout?",
        remedy="Check module and callable",
        phase="load",
    ),
    "load": Case(
        name="FunctionLoadError",
        code="function_load",
        function="outcomes:Heavy",
        says="MemoryError: 80 GB",
        remedy=READ,
        phase="load",
        traced=("/app/outcomes.py", "in load", 'raise MemoryError("80 GB")'),
        logs='raise MemoryError("80 GB")',
    ),
    "import": Case(
        name="FunctionLoadError",
        code="function_load",
        function="broken:f",
        says="",
        remedy=READ,
        phase="load",
        traced=("/app/broken.py",),
    ),
    "argument": Case(
        name="InvalidArgumentError",
        code="invalid_argument",
        function="outcomes:shout",
        inputs={"txt": "hi"},
        says="there is no argument txt. Did you mean text?",
        remedy="It takes text, times.",
    ),
    "value": Case(
        name="InvalidArgumentError",
        code="invalid_argument",
        function="outcomes:refuses",
        says="ValueError: the text is empty",
        remedy=READ,
        traced=("in refuses", 'raise ValueError("the text is empty")'),
    ),
    "argument's type": Case(
        name="InvalidTypeError",
        code="invalid_type",
        function="outcomes:double",
        inputs={"n": "two"},
        says="the argument n must be int, not str: 'two'",
        remedy="Give a value of the declared type",
    ),
    "type": Case(
        name="InvalidTypeError",
        code="invalid_type",
        function="outcomes:adds",
        says="TypeError: unsupported operand",
        remedy=READ,
        traced=("in adds",),
    ),
    "assertion": Case(
        name="AssertionFailedError",
        code="assertion_failed",
        function="outcomes:asserts",
        says="AssertionError: two is not one",
        remedy=READ,
        traced=("in asserts",),
    ),
    "exception": Case(
        name="FunctionExecutionError",
        code="function_execution",
        function="outcomes:looks_up",
        says="KeyError: 'nobody'",
        remedy=READ,
        traced=("in looks_up", 'return {}["nobody"]'),
        logs="KeyError: 'nobody'",
    ),
    "crash": Case(
        name="FunctionCrashedError",
        code="function_crashed",
        function="outcomes:crashes",
        says="its process ended with exit code 7 before it had answered",
        remedy="See its last lines",
        traced=("about to crash",),
        logs="about to crash",
    ),
    "fault": Case(
        name="FunctionCrashedError",
        code="function_crashed",
        function="hostile:act",
        inputs={"what": "faults"},
        says="exit code 139",
        remedy="See its last lines",
        traced=("Fatal Python error: Segmentation fault", 'File "/app/hostile.py"', "in faults"),
        logs="before the fault",
    ),
    "memory": Case(
        name="OutOfMemoryError",
        code="out_of_memory",
        function="hostile:act",
        inputs={"what": "eats_memory"},
        more={"resources": {"memory": "64Mi"}},
        says="more memory than it may",
        remedy="Raise resources.memory",
    ),
    "output": Case(
        name="OutputError",
        code="output",
        function="outcomes:a_set",
        says="Object of type set is not JSON serializable",
        remedy="Return text, numbers, booleans, null",
    ),
    "large output": Case(
        name="OutputError",
        code="output",
        function="hostile:act",
        inputs={"what": "answers_much"},
        says="larger than 1048576 bytes: give a file",
        remedy="",
    ),
    "load timeout": Case(
        name="StepTimeoutError",
        code="step_timeout",
        function="outcomes:Slow",
        more={"timeouts": {"load": "500ms"}, "stop_grace_period": "1s"},
        says="The load phase took longer than its timeout of 0.5 s",
        remedy="under timeouts of the step",
        phase="load",
    ),
    "run timeout": Case(
        name="StepTimeoutError",
        code="step_timeout",
        function="hostile:act",
        inputs={"what": "sleeps"},
        more={"timeouts": {"run": "500ms"}, "stop_grace_period": "1s"},
        says="The run phase took longer than its timeout of 0.5 s",
        remedy="under timeouts of the step",
    ),
    "retries": Case(
        name="RetriableError",
        code="retriable",
        function="outcomes:own",
        more={"retry": {"max_attempts": 2, "backoff": SOON}},
        says="all 2 attempts failed in the run phase",
        remedy="retry.max_attempts",
        attempts=2,
        cause="FunctionExecutionError (function_execution): phase run, step it, attempt 2, machine m1",
        traced=("outcomes.Overloaded: come back", "in own"),
    ),
    "image": Case(
        name="ImagePullError",
        code="image_pull",
        function="outcomes:double",
        more={"image": "127.0.0.1:1/nobody/here:1"},
        says="connection refused",
        remedy="that the registry answers",
        phase="pull",
    ),
    "start": Case(
        name="ContainerStartingError",
        code="container_starting",
        function="outcomes:double",
        more={"user": "nobody-knows"},
        says="nobody-knows",
        remedy="Check command, entrypoint, user",
        phase="start",
    ),
}


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    """A machine with containers."""
    stack.agent("m1", "--slots", "4", "--functions-max", "16")


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_shown_with_its_place_its_remedy_and_where_it_came_from(
    stack: Stack, m1: None, python_image: str, name: str
) -> None:
    """While it runs and afterwards the same is told; the logs have what the function printed."""
    case = CASES[name]
    execution, ran = stack.run(call(python_image, case.function, case.inputs) | case.more)
    assert ran.code == 1, ran
    found = stack.client.step(execution, "it")
    assert found.error is not None
    assert (found.error.name, found.error.code, found.error.phase) == (case.name, case.code, case.phase)
    assert found.attempt == case.attempts
    shown = stack.muster("show", execution).out
    where = f"phase {case.phase}, step it, attempt {case.attempts}, machine m1"
    for text in (ran.out, shown):
        flat = " ".join(text.split())
        assert f"{case.name} ({case.code}): {where}" in flat
        assert case.says in flat
        assert case.remedy in flat
        assert case.cause in flat
        for line in case.traced:
            assert line in flat
    assert ran.out.count("Traceback (most recent call last)") <= 1, "what stands there is not said again"
    if case.logs:
        logged(stack, execution, case.logs)
