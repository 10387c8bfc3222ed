"""Expressions written in Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.terms import Term, cel, inputs, item, source, steps
from muster.model.errors import ExpressionError
from muster.model.expressions.template import render

WRITTEN: list[tuple[Any, str]] = [
    (inputs.name, "inputs.name"),
    (inputs["first-name"], 'inputs["first-name"]'),
    (inputs["in"], 'inputs["in"]'),
    (item[0].name, "item[0].name"),
    (steps.a.outputs[inputs.key], "steps.a.outputs[inputs.key]"),
    (inputs.a + inputs.b * 2, "inputs.a + inputs.b * 2"),
    ((inputs.a + inputs.b) * 2, "(inputs.a + inputs.b) * 2"),
    (inputs.a - (inputs.b - 1), "inputs.a - (inputs.b - 1)"),
    (1 - inputs.a - 2, "1 - inputs.a - 2"),
    (-1 + inputs.a * -1, "(-1) + inputs.a * (-1)"),
    ((inputs.a + 1)["x"], "(inputs.a + 1).x"),
    ((inputs.a > 1) & ~(inputs.b == "x") | inputs.c, 'inputs.a > 1 && !(inputs.b == "x") || inputs.c'),
    (inputs.c != None, "inputs.c != null"),  # noqa: E711
    ((inputs.a | inputs.b) & inputs.c, "(inputs.a || inputs.b) && inputs.c"),
    ((inputs.a < 1) == (inputs.b >= 2), "(inputs.a < 1) == (inputs.b >= 2)"),
    (1 <= inputs.a,  # noqa: SIM300
     "inputs.a >= 1"),
    (cel("size({}) > {}", inputs.a, 3) & True, "(size(inputs.a) > 3) && true"),
    (cel("{} in {}", inputs.a, ["x", inputs.b, {"k": None}]), 'inputs.a in ["x", inputs.b, {"k": null}]'),
    (inputs.a == 'a "quoted"\n\\ text', 'inputs.a == "a \\"quoted\\"\\n\\\\ text"'),
]  # fmt: skip


@pytest.mark.parametrize(("term", "text"), WRITTEN, ids=[text for _, text in WRITTEN])
def test_a_term_is_the_text_one_would_write(term: Term, text: str):
    """With brackets only where they are needed."""
    assert source(term) == text
    assert str(term) == f"${{{{ {text} }}}}"
    assert f"{term}!" == f"${{{{ {text} }}}}!"


SOME: Any = inputs.a


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bool(SOME),
        lambda: SOME and SOME,
        lambda: not SOME,
        lambda: 1 < SOME < 3,
        lambda: "x" in SOME,
        lambda: list(SOME),
        lambda: SOME & 1,
        lambda: 1 | SOME,
        lambda: {SOME: 1},
        lambda: SOME / 2,
        lambda: SOME % 2,
    ],
    ids=[
        "bool",
        "and",
        "not",
        "chained",
        "in",
        "list",
        "one side",
        "other side",
        "key",
        "division",
        "remainder",
    ],
)
def test_what_python_would_answer_wrongly_is_refused(ask: Any):
    """A value that is not known yet is neither true nor false, and has no members to look through."""
    with pytest.raises(TypeError):
        ask()


def test_what_is_no_value_is_refused():
    """As is an expression with more places than values."""
    with pytest.raises(ExpressionError, match="cannot be written"):
        SOME + object()
    with pytest.raises(ExpressionError, match="cannot be written"):
        inputs.a + float("nan")
    with pytest.raises(ExpressionError, match="1 places and is given 2 values"):
        cel("{}", 1, 2)
    assert not hasattr(inputs, "_repr_html_")
    assert source(inputs["_x"]) == "inputs._x"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(-1e9, 1e9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_any_value_is_itself_in_an_expression(value: Any):
    """What Python writes, CEL reads as the same."""
    assert render(str(cel("{}", [value])), {}) == [value]


NUMBERS = st.integers(-5, 5) | st.sampled_from([inputs.a, inputs.b])
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(st.sampled_from(["+", "-", "*"]), inner, inner),
    max_leaves=6,
)


@given(SUMS)
def test_an_expression_gives_what_python_would(drawn: Any):
    """Operators bind as they do in Python."""
    term, number = built(drawn)
    if isinstance(term, Term):
        assert render(str(term), {"inputs": {"a": 3, "b": -2}}) == number
    else:
        assert term == number


def built(drawn: Any) -> tuple[Any, int]:
    """The term and what it is for a = 3 and b = -2."""
    if isinstance(drawn, Term):
        return drawn, 3 if source(drawn) == "inputs.a" else -2
    if isinstance(drawn, int):
        return drawn, drawn
    operator, (left, first), (right, second) = drawn[0], built(drawn[1]), built(drawn[2])
    if operator == "+":
        return left + right, first + second
    if operator == "-":
        return left - right, first - second
    return left * right, first * second
