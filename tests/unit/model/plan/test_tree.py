"""What a definition means."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.validation import validate
from muster.model.definition.workflow import Workflow
from muster.model.errors import (
    ExpressionError,
    InvalidArgumentError,
    InvalidTypeError,
    MusterError,
    ValueMissingError,
)
from muster.model.log.commands import AttemptOrder, AttemptResources, AttemptTimeouts
from muster.model.plan.lowering import lower as plan
from muster.model.plan.tree import Plan, needed, order, outputs


def planned(*steps: dict[str, Any], **rest: Any) -> Plan:
    written = [{"image": "busybox:1"} | step for step in steps]
    return plan(msgspec.convert({"name": "w", "steps": written} | rest, Workflow))


def ordered(step: dict[str, Any], **inputs: Any) -> AttemptOrder:
    found = planned({"id": "a"} | step, inputs={name: {} for name in inputs})
    return order(
        found.steps["a"], execution="x1", attempt=2, workflow="w", scope={"inputs": inputs, "steps": {}}
    )


def test_needs_are_explicit_and_referenced_in_definition_order():
    """Every field with expressions counts; a step is needed once, however often it is named."""
    ref = "${{ steps.%s.outputs.x }}"
    found = planned(
        {"id": "e", "command": ["echo", ref % "d", ref % "a"], "needs": ["b"]},
        {"id": "a", "outputs": {"x": {}}},
        {"id": "b"},
        {"id": "c", "inputs": {"deep": [{"x": ref % "a"}]}, "needs": ["a"]},
        {"id": "d", "image": ref % "a", "environment": {"X": ref % "c"}, "outputs": {"x": {}}},
        outputs={"x": ref % "c"},
    )
    assert {name: step.needs for name, step in found.steps.items()} == {
        "e": ("a", "b", "d"),
        "a": (),
        "b": (),
        "c": ("a",),
        "d": ("a", "c"),
    }
    assert {name: step.dependents for name, step in found.steps.items()} == {
        "e": (),
        "a": ("e", "c", "d"),
        "b": ("e",),
        "c": ("d",),
        "d": ("e",),
    }
    assert needed(found.steps["e"]) == ("a", "d")
    assert found.sources == ("c",)
    assert [step.index for step in found.steps.values()] == [0, 1, 2, 3, 4]
    assert {step.primitive for step in found.steps.values()} == {"run"}


def test_quantities_are_numbers():
    """Durations are seconds, sizes bytes, and every phase has its number of attempts."""
    step = planned(
        {
            "id": "a",
            "resources": {"cpus": 2, "memory": "64Mi", "gpus": 1, "slots": 3},
            "timeouts": {"pull": "10m", "run": 5},
            "stop_grace_period": "500ms",
            "retry": {"max_attempts": 3, "phases": {"pull": 5}, "backoff": {"initial": "2s", "max": "1m"}},
            "machine": {"name": "gpu-1", "labels": {"gpu": "true", "arch": "arm64"}},
        }
    ).steps["a"]
    assert step.resources == AttemptResources(cpus=2.0, memory=64 * 2**20, gpus=1, slots=3)
    assert step.timeouts == AttemptTimeouts(pull=600.0, start=60.0, load=300.0, run=5.0, grace=0.5)
    assert step.retry.max_attempts == {"pull": 5, "start": 3, "load": 3, "run": 3}
    assert (step.retry.initial, step.retry.factor, step.retry.max, step.retry.jitter) == (
        2.0,
        2.0,
        60.0,
        True,
    )
    assert step.machine == "gpu-1"
    assert step.labels == (("arch", "arm64"), ("gpu", "true"))
    assert planned({"id": "a", "machine": "m1"}).steps["a"].machine == "m1"


@pytest.mark.parametrize(
    ("written", "inputs", "command"),
    [
        (None, {}, None),
        ("echo $HOME", {}, ["/bin/sh", "-c", "echo $HOME"]),
        ("echo ${{ inputs.n }}", {"n": 5}, ["/bin/sh", "-c", "echo 5"]),
        (["echo", "a b"], {}, ["echo", "a b"]),
        (["echo", "${{ inputs.n }}", "${{ inputs.b }}"], {"n": 1.5, "b": True}, ["echo", "1.5", "true"]),
        (["echo", "${{ inputs.o }}"], {"o": {"a": [1]}}, ["echo", '{"a":[1]}']),
        ("${{ inputs.args }}", {"args": ["ls", "-l", 5]}, ["ls", "-l", "5"]),
        ("${{ inputs.script }}", {"script": "exit 1"}, ["/bin/sh", "-c", "exit 1"]),
    ],
)
def test_a_command_is_arguments(written: Any, inputs: dict[str, Any], command: list[str] | None):
    """A string goes to a shell, a list stays one, and values of any type become text."""
    assert ordered({"command": written}, **inputs).container.command == command


@pytest.mark.parametrize(
    ("written", "entrypoint"),
    [
        ("python -m app", ["python", "-m", "app"]),
        ("sh -c 'a b'", ["sh", "-c", "a b"]),
        (["a b"], ["a b"]),
        ("${{ inputs.program }}", ["my program"]),
    ],
)
def test_an_entrypoint_is_split_as_a_shell_would(written: Any, entrypoint: list[str]):
    """As in a Compose file; a value never becomes two arguments."""
    assert ordered({"entrypoint": written}, program="my program").container.entrypoint == entrypoint


def test_the_environment_is_text_and_null_is_left_out():
    """Numbers, booleans and objects are written as JSON; a variable that is null does not exist."""
    environment = {
        "A": 1,
        "B": True,
        "C": None,
        "D": "${{ inputs.o }}",
        "E": "${{ inputs.none }}",
        "F": "",
        "G": 2.0,
    }
    found = ordered({"environment": environment}, o={"a": 1}, none=None).container.environment
    assert found == {"A": "1", "B": "true", "D": '{"a":1}', "F": "", "G": "2"}


def test_an_order_carries_what_the_agent_needs():
    """Execution, attempt, image, inputs, declared outputs: nothing of it needs the definition any more."""
    found = ordered(
        {
            "image": "${{ inputs.image }}",
            "inputs": {"a": {"b": "${{ inputs.n }}"}},
            "outputs": {"x": {}},
            "user": "1000",
        },
        image="busybox:2",
        n=5,
    )
    assert (found.execution, found.step, found.attempt, found.workflow) == ("x1", "a", 2, "w")
    assert (found.container.image, found.container.user) == ("busybox:2", "1000")
    assert found.inputs == {"a": {"b": 5}}
    assert list(found.outputs) == ["x"]


ARGUMENT = "Pass it under inputs instead: the container reads them from the JSON file $MUSTER_INPUT."
DECLARE = "Declare the output in the step that should produce it, and check that the step writes it."
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[MusterError], str]] = {
    "a missing value": (
        {"environment": {"A": "${{ inputs.none.x }}"}},
        {"none": None},
        ValueMissingError,
        f"step a, environment.A: 'x' after inputs.none in the expression 'inputs.none.x' does not exist. {DECLARE}",
    ),
    "a failing expression": (
        {"inputs": {"n": "${{ inputs.n / 0 }}"}},
        {"n": 1},
        ExpressionError,
        (
            "step a, inputs.n: the expression 'inputs.n / 0' failed: division by zero in CEL expression. "
            "Correct the expression; the language is CEL (https://cel.dev)."
        ),
    ),
    "an image that is no text": (
        {"image": "${{ inputs.n }}"},
        {"n": 5},
        InvalidTypeError,
        (
            "step a, image: it must be a string, not an integer: 5. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    "an empty image": (
        {"image": "${{ inputs.s }}"},
        {"s": ""},
        InvalidArgumentError,
        "step a, image: it is empty. Correct the value; the message names it.",
    ),
    "null as an argument": (
        {"command": ["echo", "${{ inputs.n }}"]},
        {"n": None},
        InvalidTypeError,
        (
            "step a, command[1]: it must be a value, not null. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    "a number as a command": (
        {"command": "${{ inputs.n }}"},
        {"n": 5},
        InvalidTypeError,
        (
            "step a, command: it must be a list or a string, not an integer: 5. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    "a variable longer than Linux takes": (
        {"environment": {"TEXT": "${{ inputs.s }}"}},
        {"s": "x" * (128 * 1024 - 5)},
        InvalidArgumentError,
        f"step a, environment.TEXT: 131073 bytes, more than the 131072 Linux takes. {ARGUMENT}",
    ),
    "an argument longer than Linux takes": (
        {"command": ["echo", "${{ inputs.s }}"]},
        {"s": "é" * 65_536},
        InvalidArgumentError,
        f"step a, command[1]: 131073 bytes, more than the 131072 Linux takes. {ARGUMENT}",
    ),
    "a script longer than Linux takes": (
        {"command": "echo ${{ inputs.s }}"},
        {"s": "x" * 131_072},
        InvalidArgumentError,
        f"step a, command: 131078 bytes, more than the 131072 Linux takes. {ARGUMENT}",
    ),
    "too much together": (
        {"environment": {f"V{n}": "${{ inputs.s }}" for n in range(11)}},
        {"s": "x" * 100_000},
        InvalidArgumentError,
        f"step a, command and environment together: 1100045 bytes, more than the 1048576 Linux takes. {ARGUMENT}",
    ),
    "a NUL": (
        {"environment": {"A": "${{ inputs.s }}"}},
        {"s": "a\0b"},
        InvalidArgumentError,
        "step a, environment.A: it contains a NUL character. No program can be given one; encode the value.",
    ),
    "too large inputs": (
        {"inputs": {"a": "${{ inputs.s }}", "b": "${{ inputs.s }}"}},
        {"s": "x" * 600_000},
        InvalidArgumentError,
        (
            "step a, inputs: 1200015 bytes as JSON, more than 1048576. "
            "Put large data where the step can read it, and pass its address."
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_order_that_cannot_be_is_refused_with_its_place(case: str):
    """The error names step and field, and its data say the step."""
    step, inputs, kind, sentence = REFUSED[case]
    with pytest.raises(kind) as caught:
        ordered(step, **inputs)
    assert str(caught.value) == sentence
    assert caught.value.info().step == "a"


def test_the_longest_variable_linux_takes_is_taken():
    """128 KiB with name, equals sign and the final NUL."""
    ordered({"environment": {"TEXT": "${{ inputs.s }}"}}, s="x" * (128 * 1024 - 6))


def test_workflow_outputs_are_evaluated():
    """They may come from steps, inputs and the execution; an error names the output."""
    found = planned(
        {"id": "a", "outputs": {"n": {}}},
        outputs={"n": "${{ steps.a.outputs.n }}", "t": "run ${{ execution.id }}", "c": 3},
    )
    scope = {
        "steps": {"a": {"outputs": {"n": [1]}}},
        "inputs": {},
        "execution": {"id": "x1", "workflow": "w"},
    }
    assert outputs(found, scope) == {"n": [1], "t": "run x1", "c": 3}
    with pytest.raises(ValueMissingError, match="the output n of the workflow: the step 'a'"):
        outputs(found, scope | {"steps": {}})
    with pytest.raises(InvalidArgumentError, match="the outputs of the workflow are"):
        outputs(found, scope | {"steps": {"a": {"outputs": {"n": "x" * 2**20}}}})


@given(st.data())
def test_every_step_comes_after_what_it_needs(data: st.DataObject):
    """Whatever the shape and the order of definition, needs and dependents mirror each other, and an order exists."""
    count = data.draw(st.integers(1, 12))
    steps = []
    for at in range(count):
        earlier = data.draw(st.sets(st.integers(0, at - 1))) if at else set()
        explicit = data.draw(st.sets(st.sampled_from(sorted(earlier)))) if earlier else set()
        arguments = [f"${{{{ steps.s{one}.outputs.x + 1 }}}}" for one in earlier - explicit]
        needs = [f"s{one}" for one in explicit]
        steps.append({"id": f"s{at}", "needs": needs, "command": ["echo", *arguments], "outputs": {"x": {}}})
    found = planned(*data.draw(st.permutations(steps)))
    assert validate(found.workflow) == []
    done: set[str] = set()
    while ready := [n for n, s in found.steps.items() if n not in done and done.issuperset(s.needs)]:
        done.update(ready)
    assert done == set(found.steps)
    index = {name: step.index for name, step in found.steps.items()}
    for name, step in found.steps.items():
        assert list(step.needs) == sorted(step.needs, key=index.__getitem__)
        assert all(name in found.steps[other].dependents for other in step.needs)
        assert all(name in found.steps[other].needs for other in step.dependents)


@pytest.mark.slow
def test_ten_thousand_steps_are_planned_in_no_time():
    """Planning a chain and a fan-in of 10,000 steps is linear: else it takes minutes."""
    ids = [f"s{at}" for at in range(10_000)]
    chain: list[dict[str, Any]] = [{"id": ids[0], "outputs": {"x": {}}}]
    for before, step in pairwise(ids):
        chain.append(
            {"id": step, "command": f"echo ${{{{ steps.{before}.outputs.x }}}}", "outputs": {"x": {}}}
        )
    chain.append({"id": "all", "needs": ids})
    workflow = msgspec.convert({"name": "w", "steps": [{"image": "b"} | step for step in chain]}, Workflow)
    start = time.process_time()
    found = plan(workflow)
    assert time.process_time() - start < 20
    assert len(found.steps["all"].needs) == 10_000


def test_params_are_evaluated_as_inputs_are():
    """Values keep their types, however deep; steps that are referred to come first; the isolation is handed on."""
    step = {"function": "f", "params": {"n": "${{ inputs.n }}", "deep": [{"t": "n is ${{ inputs.n }}"}]}}
    container = ordered(step | {"isolation": "execution"}, n=5).container
    assert container.params == {"n": 5, "deep": [{"t": "n is 5"}]}
    assert (container.function, container.isolation) == ("f", "execution")
    assert ordered({}).container.params == {}
    asks = {"id": "b", "function": "f", "params": {"x": "${{ steps.a.outputs.x }}"}}
    assert planned({"id": "a", "outputs": {"x": {}}}, asks).steps["b"].needs == ("a",)


def test_params_that_cannot_be_loaded():
    """A file is there for one call only, and what is too large for the log is refused by the name of the field."""
    file = {"$artifact": "sha256:" + 64 * "0", "size": 1, "execution": "x0"}
    with pytest.raises(InvalidArgumentError, match=r"params.deep.0: it is a file") as caught:
        ordered({"function": "f", "params": {"deep": ["${{ inputs.f }}"]}}, f=file)
    assert "under inputs" in caught.value.advice
    with pytest.raises(InvalidArgumentError, match=r"step a, params: \d+ bytes"):
        ordered({"function": "f", "params": {"x": "${{ inputs.x }}"}}, x="x" * 2**20)
