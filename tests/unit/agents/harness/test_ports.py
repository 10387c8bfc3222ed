"""Type hints as types of inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, TypedDict

import pytest

from muster_agents.harness.muster_function.arguments import hints_of
from muster_agents.harness.muster_function.ports import inputs_of, outputs_of, type_of


class Found(TypedDict):
    """With names."""

    text: str
    score: float


def plain(text: str, times: int = 1, *rest: Any, muster: Any = None, **more: Any) -> str:
    """Of every kind."""
    return text


def found(one: Any) -> Found:
    """Names its outputs."""
    return one


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        *((str, "string"), (int, "integer"), (float, "number"), (bool, "boolean"), (list, "array")),
        *((dict, "object"), (list[int], "array"), (Sequence[str], "array"), (dict[str, int], "object")),
        *((Optional[int], "integer"), (int | str, "any"), (Any, "any")),  # noqa: UP045
        *((None, "any"), (bytes, "any"), ("text", "any")),
    ],
    ids=str,
)
def test_types(hint: Any, expected: str):
    """Simple ones have a name; of the others nothing is said."""
    assert type_of(hint) == expected


def test_inputs():
    """Those that are given by name; one with a default is not required."""
    assert inputs_of(plain, {"muster"}, hints_of(plain)) == {
        "text": {"type": "string", "required": True},
        "times": {"type": "integer", "required": False},
    }
    assert inputs_of(max, (), {}) == {}


def test_outputs():
    """By name where there are names, else one value; of a mapping nothing is known."""
    assert outputs_of(hints_of(plain)) == {"value": {"type": "string", "required": True}}
    assert outputs_of(hints_of(found)) == {
        "text": {"type": "string", "required": True},
        "score": {"type": "number", "required": True},
    }
    assert outputs_of({"return": dict}) == outputs_of({}) == {}
