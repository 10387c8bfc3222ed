"""What an execution is given, against what its workflow declares."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from muster.model.definition.workflow import Workflow
from muster.model.errors import InputMissingError, InvalidArgumentError, InvalidTypeError, MusterError
from muster.model.plan.inputs import accept

STEPS = [{"id": "a", "image": "b"}]


def workflow(**inputs: Any) -> Workflow:
    return msgspec.convert({"name": "w", "inputs": inputs, "steps": STEPS}, Workflow)


WORKFLOW = workflow(
    text={"type": "string"},
    language={"type": "string", "default": "en"},
    limit={"type": "integer", "required": False},
)


def test_defaults_are_filled_in_and_the_order_is_the_declared_one():
    """What was not given has its default, or is null where it is not required."""
    found = accept(WORKFLOW, {"limit": 3, "text": "x"})
    assert list(found.items()) == [("text", "x"), ("language", "en"), ("limit", 3)]
    assert accept(WORKFLOW, {"text": "x"})["limit"] is None
    assert accept(WORKFLOW, {"text": "x", "limit": None})["limit"] is None


REFUSED: list[tuple[dict[str, Any], type[MusterError], str]] = [
    (
        {},
        InputMissingError,
        "The input text is required and was not given. Give it with --input NAME=VALUE, or declare a default.",
    ),
    (
        {"text": 5},
        InvalidTypeError,
        (
            "the input text must be a string, not an integer: 5. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    (
        {"text": None},
        InvalidTypeError,
        (
            "the input text must be a string, not null. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    (
        {"text": "x", "limit": True},
        InvalidTypeError,
        (
            "the input limit must be an integer, not a boolean: True. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    (
        {"text": "x", "lang": "de"},
        InvalidArgumentError,
        "the workflow w has no input lang. Did you mean language?",
    ),
    (
        {"text": "x", "zzz": "de"},
        InvalidArgumentError,
        "the workflow w has no input zzz. It has text, language, limit.",
    ),
    (
        {"text": "x" * 2**20},
        InvalidArgumentError,
        (
            "the inputs are 1048616 bytes as JSON, more than 1048576. "
            "Put large data where the steps can read it, and give its address as the input."
        ),
    ),
]


@pytest.mark.parametrize(("given", "kind", "sentence"), REFUSED)
def test_wrong_inputs_are_refused_with_their_name(
    given: dict[str, Any], kind: type[MusterError], sentence: str
):
    """The error names the input, what was expected and what was found."""
    with pytest.raises(kind) as caught:
        accept(WORKFLOW, given)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: 2}, {"a": {1, 2}}, "\ud800", b"x", object()]
)
def test_what_json_cannot_hold_is_refused(value: Any):
    """A value that the log could not keep never gets in."""
    with pytest.raises(InvalidArgumentError, match="the input x cannot travel as JSON"):
        accept(workflow(x={}), {"x": value})


def test_deep_values_are_refused():
    """A value nested deeper than readers can follow never gets in, and one just as deep as allowed does."""
    value: Any = 1
    for _ in range(64):
        value = [value]
    assert accept(workflow(x={}), {"x": value}) == {"x": value}
    with pytest.raises(InvalidArgumentError, match="nested more than 64 deep"):
        accept(workflow(x={}), {"x": [value]})


def test_parts_are_checked_and_completed_in_defaults_too():
    """However deep, with the way to the part in the error."""
    person = {"type": "object", "properties": {"name": {"type": "string"}, "city": {"default": "Ulm"}}}
    people = workflow(people={"type": "array", "items": person, "default": [{"name": "Ada"}]})
    assert accept(people, {}) == {"people": [{"name": "Ada", "city": "Ulm"}]}
    assert accept(people, {"people": []}) == {"people": []}
    with pytest.raises(InvalidTypeError, match=r"the input people\[0\].name must be a string, not null"):
        accept(people, {"people": [{"name": None}]})


def test_an_integer_is_a_number():
    """A number takes integers; an integer takes no fractions."""
    assert accept(workflow(x={"type": "number"}), {"x": 2}) == {"x": 2}
    with pytest.raises(InvalidTypeError):
        accept(workflow(x={"type": "integer"}), {"x": 2.0})
