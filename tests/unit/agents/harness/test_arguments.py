"""Inputs become the arguments of a function, checked against its simple type hints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Optional, Union

import pytest

from muster_agents.harness.muster_function.arguments import Takes, bind, misfit
from muster_agents.harness.muster_function.raising import Wrong


def plain(a: int, b: str = "b", *rest: Any, c: bool = False, **more: Any) -> None:
    """Of every kind."""


def placed(a: int, b: int = 2, /, c: int = 3) -> None:
    """By position only."""


def offered(context: Any, muster: Any, text: str) -> None:
    """Wants what the harness offers."""


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (plain, {"a": 1}, ([], {"a": 1})),
        (plain, {"a": 1, "c": True, "d": 5}, ([], {"a": 1, "c": True, "d": 5})),
        (plain, {"1": "x", "0": 1, "2": 9, "10": 11}, ([1, "x", 9, 11], {})),
        (placed, {"a": 1, "c": 4}, ([1, 2], {"c": 4})),
        (offered, {"text": "x"}, ([], {"context": None, "muster": "call", "text": "x"})),
        (offered, {"text": "x", "context": 5}, ([], {"context": 5, "muster": "call", "text": "x"})),
        (max, {"0": 1, "1": 2}, ([1, 2], {})),
    ],
)
def test_binding(function: Any, inputs: dict[str, Any], expected: Any):
    """By name, by position where the name is a number, and what is offered only where it was not given."""
    assert bind(Takes(function), inputs, {"context": None, "muster": "call"}) == expected


@pytest.mark.parametrize(
    ("function", "inputs", "words"),
    [
        (plain, {}, "the argument a is missing"),
        (plain, {"0": 1, "a": 1}, "given twice"),
        (plain, {"a": "1"}, "the argument a must be int, not str: '1'"),
        (placed, {"a": 1, "d": 1}, "no argument d"),
        (placed, {"0": 1, "1": 2, "2": 3, "3": 4}, "too many"),
    ],
)
def test_what_does_not_bind(function: Any, inputs: dict[str, Any], words: str):
    """The argument is named."""
    with pytest.raises(Wrong, match=words) as caught:
        bind(Takes(function), inputs, {})
    assert caught.value.report["where"] == "bind"


@pytest.mark.parametrize(
    ("value", "hint", "place"),
    [
        (1, int, None),
        (True, int, "it"),
        (1, float, None),
        (1.5, int, "it"),
        ("a", str, None),
        (None, Optional[str], None),  # noqa: UP045 - as people write it who have Python 3.8
        (None, str, "it"),
        (1, Union[str, int], None),  # noqa: UP007 - as above
        (1, str | int, None),
        (1.5, str | int, "it"),
        ("fast", Literal["fast", "slow"], None),
        ("quick", Literal["fast", "slow"], "it"),
        (True, Literal[1], "it"),
        ([1, 2], list[int], None),
        ([1, [2]], list[int], "it[1]"),
        ([[1], ["2"]], list[list[int]], "it[1][0]"),
        ({"a": 1}, dict[str, int], None),
        ({"a": "1"}, dict[str, int], "it['a']"),
        ([1], Sequence[int], None),
        ("abc", Sequence[str], "it"),
        ({}, Mapping[str, Any], None),
        ([], dict, "it"),
        (object(), bytes, None),
        (5, "a name nobody knows", None),
    ],
)
def test_simple_hints_are_checked(value: Any, hint: Any, place: str | None):
    """Nothing is converted; true is no number; what is no type of JSON is not checked."""
    found = misfit(value, hint, "it")
    assert (None if found is None else found[0]) == place


def test_names_that_only_a_type_checker_knows():
    """Where hints cannot be worked out nothing is checked."""

    def hinted(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert bind(Takes(hinted), {"a": 5}, {}) == ([], {"a": 5})
