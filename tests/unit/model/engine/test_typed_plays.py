"""Values on their way from port to port, in plays: cut, completed, and refused with the place."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.ports import fitted
from muster.model.definition.validation import validate
from muster.model.definition.workflow import Input, Port
from tests.fixtures.play import Play
from tests.fixtures.ports import SCALARS, Chance, artifact, said

PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
NAMED = {"type": "object", "properties": {"name": {"type": "string"}, "city": {"default": "Ulm"}}}
LIST = {"type": "array", "items": {"type": "integer"}}


def run(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "image": "busybox:1", **fields}


def given_to(workflow: dict[str, Any], **outputs: Any) -> tuple[Play, dict[str, Any] | None]:
    """The play after its first step has given the outputs, and what the second was started with."""
    assert validate(workflow) == []
    play = Play()
    play.connect("m1")
    play.submit(workflow)
    play.finish(next(iter(play.orders)), **outputs)
    play.round()
    found = [order for _, order in play.orders.values()]
    return play, found[0].inputs if found else None


def test_a_step_is_given_what_it_accepts_and_the_defaults_of_the_rest():
    """Properties that it does not ask for do not reach it."""
    take = run(
        "b",
        inputs={"who": "${{ steps.a.outputs.who }}"},
        accepts={"who": NAMED, "mode": {"type": "string", "default": "fast"}, "note": {"required": False}},
    )
    steps = [run("a", outputs={"who": PERSON}), take]
    _, found = given_to({"name": "w", "steps": steps}, who={"name": "Ada", "age": 3})
    assert found == {"who": {"name": "Ada", "city": "Ulm"}, "mode": "fast", "note": None}


def test_a_step_that_accepts_nothing_in_particular_is_given_what_there_is():
    """Whoever does not say what it takes is not checked."""
    steps = [run("a", outputs={"x": {}}), run("b", inputs={"x": "${{ steps.a.outputs.x }}"})]
    _, found = given_to({"name": "w", "steps": steps}, x=[1, "two", None])
    assert found == {"x": [1, "two", None]}


def test_a_value_that_was_not_known_before_is_refused_before_the_step_starts():
    """The error names the step, the port and the way into the value."""
    take = run("b", inputs={"list": "${{ steps.a.outputs.list }}"}, accepts={"list": LIST})
    play, found = given_to({"name": "w", "steps": [run("a", outputs={"list": {}}), take]}, list=[1, 2, "3"])
    assert found is None
    [failed] = play.events("step.failed")
    error: Any = failed.data
    assert (failed.step, error.error.code) == ("b", "invalid_type")
    assert error.error.message == "step b, inputs.list[2]: it must be an integer, not a string: '3'."
    assert error.error.details == {"expected": "integer", "found": "string", "input": "list"}


def child(**inputs: Any) -> dict[str, Any]:
    return {
        "name": "w",
        "steps": [
            run("a", outputs={"x": {}, "who": PERSON}),
            {"id": "call", "workflow": "inner",
             "inputs": {name: f"${{{{ steps.a.outputs.{name} }}}}" for name in inputs}},
        ],
        "workflows": {
            "inner": {"name": "inner", "inputs": inputs, "steps": [run("i", inputs={"all": "${{ inputs }}"})]}
        },
    }  # fmt: skip


def test_a_child_is_given_what_it_declares():
    """As a step is: cut to its inputs, with their defaults."""
    _, found = given_to(child(who=NAMED), x=1, who={"name": "Ada", "age": 3})
    assert found == {"all": {"who": {"name": "Ada", "city": "Ulm"}}}


def test_a_child_that_cannot_be_given_a_value_fails_as_a_step():
    """The error is the one that a submit of the child would be refused with."""
    play, _ = given_to(child(x=LIST), x=["a"], who={"name": "Ada", "age": 3})
    [failed] = play.events("step.failed")
    error: Any = failed.data
    assert failed.step == "call"
    assert error.error.message == "the input x[0] must be an integer, not a string: 'a'."


def test_a_file_is_nothing_to_go_over():
    """What stands for a file is no mapping, although it has fields."""
    loop = {"id": "each", "for_each": {"in": "${{ inputs.x }}", "steps": [{"id": "a", "log": "hi"}]}}
    play = Play()
    play.submit({"name": "w", "inputs": {"x": {}}, "steps": [loop]}, x=artifact())
    [failed] = play.events("step.failed")
    error: Any = failed.data
    assert error.error.message == (
        "step each, for_each.in: it must be a list or an object, not a file of type audio/wav: 'a.bin'."
    )


def test_a_file_that_is_returned_is_a_value():
    """Its fields are not the outputs of the execution."""
    play = Play()
    play.submit(
        {"name": "w", "inputs": {"x": {}}, "steps": [{"id": "end", "return": "${{ inputs.x }}"}]},
        x=artifact(),
    )
    [ended] = play.events("execution.succeeded")
    found: Any = ended.data
    assert found.outputs == {"value": artifact()}


def as_input(port: Port) -> dict[str, Any]:
    """The port as somebody would write it."""
    found: dict[str, Any] = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(port), Input))
    return found


@given(st.integers(0, 2**32))
def test_what_validation_lets_through_is_not_refused_when_it_runs(seed: int):
    """Whatever a program writes for an output is taken by the step it goes to, if all types are said."""
    chance = Chance(seed, types=SCALARS)
    source = chance.port()
    target = chance.related(source)
    take = run("b", inputs={"x": "${{ steps.a.outputs.x }}"}, accepts={"x": as_input(target)})
    workflow = {"name": "w", "steps": [run("a", outputs={"x": as_input(source)}), take]}
    if validate(workflow) or not said(source):
        return
    value = fitted(chance.value(source), source, "x")
    play, found = given_to(workflow, x=value)
    assert play.events("step.failed") == []
    assert found is not None
