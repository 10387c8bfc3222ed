"""What is given from Python, made plain JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from muster import Input, set_, step, workflow, workflow_of
from muster.client.definition import plain
from muster.client.submission import values
from muster.model.errors import InvalidTypeError

AROUND: dict[str, Callable[[float], Any]] = {
    "itself": lambda x: x,
    "in a list": lambda x: [None, x],
    "in a tuple": lambda x: {"a": (x,)},
    "in a set": lambda x: {1: {x}},
}
WORKFLOWS = {
    "set": workflow("w", set_("a", {"x": math.nan})),
    "inputs of a step": workflow("w", step("a", "b", inputs={"x": [math.nan]})),
    "a default": workflow("w", step("a", "b"), inputs={"x": Input(default=math.nan)}),
}


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("around", AROUND)
def test_what_is_no_number_in_json_is_refused(number: str, around: str):
    """It would arrive as null, without a word."""
    value = AROUND[around](float(number))
    with pytest.raises(TypeError, match=f"{number} is not a number in JSON"):
        plain(value)
    with pytest.raises(InvalidTypeError, match=f"The inputs are not JSON values: {number} is not a number"):
        values("inputs", {"n": value})


@pytest.mark.parametrize("place", WORKFLOWS)
def test_a_workflow_holds_no_such_number(place: str):
    """Wherever a value stands in it."""
    with pytest.raises(TypeError, match="nan is not a number in JSON"):
        workflow_of(WORKFLOWS[place])


def test_nothing_and_the_word_stay_what_they_are():
    """Null is a value, and a text that speaks of it is a text."""
    assert plain({"a": None, "b": "null", "c": [1.5, None]}) == {"a": None, "b": "null", "c": [1.5, None]}
