"""Templates: taken apart, their references found, evaluated, and bounded."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.errors import ExpressionError, MusterError, ValueMissingError
from muster.model.expressions import bounds, evaluation
from muster.model.expressions.template import compile_template, references, render

SCOPE: dict[str, Any] = {
    "inputs": {
        "n": 2,
        "x": 1.5,
        "yes": True,
        "none": None,
        "text": "hé",
        "list": [1, 2, 3],
        "object": {"k": [{"z": 2.0}]},
        "big": 2**63,
    },
    "steps": {"a": {"outputs": {"count": 3, "s": "q"}}, "b-c": {"outputs": {"count": 4}}},
    "execution": {"id": "01JD", "workflow": "w"},
}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        # whole-string expressions keep their type
        ("${{ inputs.n }}", 2),
        ("  ${{ inputs.n }}", "  2"),
        ("${{inputs.x}}", 1.5),
        ("${{ inputs.yes }}", True),
        ("${{ inputs.none }}", None),
        ("${{ inputs.list }}", [1, 2, 3]),
        ("${{ inputs.list[1] }}", 2),
        ("${{ inputs.object.k[0].z }}", 2.0),
        ("${{ inputs }}", SCOPE["inputs"]),
        ("${{ inputs.big }}", 2**63),
        ('${{ steps["b-c"].outputs.count }}', 4),
        ("${{ steps['a']['outputs']['count'] }}", 3),
        ("${{ execution.id }}", "01JD"),
        ("${{ steps.a.outputs.count + inputs.n }}", 5),
        ("${{ inputs.list.map(x, x * 2) }}", [2, 4, 6]),
        ("${{ {'a': {'b': inputs.n}} }}", {"a": {"b": 2}}),
        ("${{ inputs.n > 1 ? 'many' : 'one' }}", "many"),
        ("${{ has(inputs.other) ? inputs.other : 7 }}", 7),
        ("${{ double(inputs.n) * 1.5 }}", 3.0),
        ("${{ '}}' + \"}}\" }}", "}}}}"),
        ("${{ size(inputs.list) // three\n }}", 3),
        ("${{ timestamp('2026-11-21T10:00:00Z') }}", "2026-11-21T10:00:00Z"),
        ("${{ duration('90s') }}", "90s"),
        # functions beside CEL's own
        ("${{ size('äöü') }}", 6),  # bytes, as the library has it
        ("${{ size('äöü'.split('')) }}", 3),
        ("${{ ' A,b '.trim().lowerAscii().split(',').join('-') }}", "a-b"),
        ("${{ 'a.b.c'.replace('.', '/') + 'x'.upperAscii() }}", "a/b/cX"),
        ("${{ 'abc'.substring(1) + 'abc'.substring(0, 1) + 'abc'.charAt(2) }}", "bcac"),
        ("${{ 'abcb'.indexOf('b') + 10 * 'abcb'.lastIndexOf('b') }}", 31),
        ("${{ [3, 1, 2, 1].distinct().sort().reverse().slice(0, 2) }}", [3, 2]),
        ("${{ [inputs.list.sum(), inputs.list.min(), max(inputs.n, 7)] }}", [6, 1, 7]),
        ("${{ [math.abs(-2), math.bitAnd(6, 3), math.bitOr(4, 1), math.bitXor(5, 1)] }}", [2, 2, 5, 4]),
        (
            "${{ [math.floor(1.5), math.ceil(1.5), math.round(2.5), math.trunc(-1.5)] }}",
            [1.0, 2.0, 3.0, -1.0],
        ),
        ("${{ int(math.sqrt(16.0)) + math.bitNot(0) }}", 3),
        ("${{ [9223372036854775806, 1].sum() }}", 9223372036854775807),
        # mixed text is text
        ("n=${{ inputs.n }}, x=${{ inputs.x }}", "n=2, x=1.5"),
        ("${{ inputs.yes }}${{ inputs.none }}", "truenull"),
        ("${{ inputs.text }}!", "hé!"),
        ("${{ inputs.object.k[0].z }}s", "2s"),
        ("o=${{ inputs.object }} l=${{ inputs.list }}", 'o={"k":[{"z":2.0}]} l=[1,2,3]'),
        # what is no expression stays
        ("plain", "plain"),
        ("", ""),
        ("$${{ inputs.n }}", "${{ inputs.n }}"),
        ("a $${{ b }} ${{ inputs.n }}", "a ${{ b }} 2"),
        ("$HOME ${HOME} {{ x }}", "$HOME ${HOME} {{ x }}"),
    ],
)
def test_a_template_becomes_its_value(written: str, value: Any):
    """A whole expression keeps its type, mixed text is text, everything else stays as it is."""
    found = render(written, SCOPE)
    assert found == value
    assert type(found) is type(value)


def test_templates_are_found_in_lists_and_objects():
    """Values of any nesting are evaluated; keys, numbers and booleans are left alone."""
    written = {"${{ inputs.n }}": ["${{ inputs.n }}", 1, True, None, {"a": "x${{ inputs.n }}"}]}
    assert render(written, SCOPE) == {"${{ inputs.n }}": [2, 1, True, None, {"a": "x2"}]}


MISSING = {
    "${{ inputs.m }}": "the input 'm' in the expression 'inputs.m' does not exist.",
    "${{ inputs.m + 1 }}": "the input 'm' in the expression 'inputs.m + 1' does not exist.",
    "${{ steps.z.outputs.x }}": "the step 'z' in the expression 'steps.z.outputs.x' does not exist.",
    "${{ steps.a.outputs.m }}": (
        "the output 'm' of the step 'a' in the expression 'steps.a.outputs.m' does not exist."
    ),
    "${{ inputs.list[3] }}": "3 after inputs.list in the expression 'inputs.list[3]' does not exist.",
    "${{ inputs.object.k[0].y }}": (
        "'y' after inputs.object.k.0 in the expression 'inputs.object.k[0].y' does not exist."
    ),
    "${{ {'a': 1}.b }}": "the expression \"{'a': 1}.b\" asks for 'b', which does not exist.",
}


@pytest.mark.parametrize("written", MISSING)
def test_a_missing_value_is_named(written: str):
    """The error says which input, step, output or key is not there, with and without CEL."""
    with pytest.raises(ValueMissingError) as caught:
        render(written, SCOPE)
    assert caught.value.message == MISSING[written]


FAILING = {
    "${{ 1 + }}": "the expression '1 +' is no CEL at character 4: it ends too early.",
    "${{ }}": "the expression '' is no CEL at character 1: it is empty.",
    "${{ 1 2 }}": "the expression '1 2' is no CEL at character 3: extraneous input '2'.",
    "${{ inputs.n": "the expression that begins with 'inputs.n' has no end.",
    "${{ inputs.n + 1.5 }}": (
        "the expression 'inputs.n + 1.5' failed: "
        "the types do not go together (CEL never converts: use int(), double() or string())."
    ),
    "${{ 1 / 0 }}": "the expression '1 / 0' failed: division by zero in CEL expression.",
    "${{ inputs.list[5 - 1] }}": "the expression 'inputs.list[5 - 1]' failed: the index is outside the list.",
    "${{ 1.0 / 0.0 }}": (
        "the expression '1.0 / 0.0' failed: its result cannot travel as JSON: inf is not a number in JSON."
    ),
    "${{ {1: 2} }}": (
        "the expression '{1: 2}' failed: "
        "its result cannot travel as JSON: the key 1 of an object is not a string."
    ),
    "${{ b'x' }}": (
        "the expression \"b'x'\" failed: its result cannot travel as JSON: bytes is not a type of JSON."
    ),
    "${{ inputs.n.trim() }}": (
        "the expression 'inputs.n.trim()' failed: "
        "trim: the types do not go together (CEL never converts: use int(), double() or string())."
    ),
    "${{ inputs.text.sort() }}": (
        "the expression 'inputs.text.sort()' failed: "
        "sort: the types do not go together (CEL never converts: use int(), double() or string())."
    ),
    "${{ inputs.list.slice(0, 9) }}": (
        "the expression 'inputs.list.slice(0, 9)' failed: slice: the index is outside the list."
    ),
    "${{ inputs.text.split(',', 'a', 1, 2) }}": (
        "the expression \"inputs.text.split(',', 'a', 1, 2)\" failed: "
        "split: the types do not go together (CEL never converts: use int(), double() or string())."
    ),
    "${{ inputs.big + 1 }}": (
        "the expression 'inputs.big + 1' refers to 9223372036854775808, and CEL integers have 64 bits."
    ),
    "${{ [9223372036854775807, 1].sum() }}": (
        "the expression '[9223372036854775807, 1].sum()' failed: "
        "sum: the result is a whole number of more than 64 bits."
    ),
    "${{ [-9223372036854775807, -2].sum() }}": (
        "the expression '[-9223372036854775807, -2].sum()' failed: "
        "sum: the result is a whole number of more than 64 bits."
    ),
    "${{ math.abs(-9223372036854775807 - 1) }}": (
        "the expression 'math.abs(-9223372036854775807 - 1)' failed: "
        "math.abs: the result is a whole number of more than 64 bits."
    ),
}


@pytest.mark.parametrize("written", FAILING)
def test_an_expression_that_fails_says_why(written: str):
    """The error shows the expression and one reason, without the library's noise."""
    with pytest.raises(ExpressionError) as caught:
        render(written, SCOPE)
    assert caught.value.message == FAILING[written]


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("${{ steps.a.outputs.x }}", [("steps", "a", "outputs", "x")]),
        ('${{ steps["a-b"].outputs["x y"] }}', [("steps", "a-b", "outputs", "x y")]),
        (
            "${{ inputs.a + inputs['b'] }} and ${{ execution.id }}",
            [("inputs", "a"), ("inputs", "b"), ("execution", "id")],
        ),
        ("${{ steps.a.outputs.list.size() }}", [("steps", "a", "outputs", "list")]),
        ("${{ steps.a.outputs.list[0].name }}", [("steps", "a", "outputs", "list", 0, "name")]),
        ("${{ steps.a.outputs[inputs.key] }}", [("steps", "a", "outputs"), ("inputs", "key")]),
        ("${{ steps . a /* no comment */ }}", [("steps", "a")]),
        ("${{ 'steps.a.outputs.x' + \"inputs.y\" + r'inputs.z' }}", []),
        ("${{ x.steps.a + {'k': 1}.inputs }}", []),
        ("${{ '''steps.a''' + steps.b.outputs.x }}", [("steps", "b", "outputs", "x")]),
        ("${{ inputs.a // inputs.b\n + inputs.c }}", [("inputs", "a"), ("inputs", "c")]),
        ("${{ '\\'' + inputs.a + '\\\\' + inputs.b }}", [("inputs", "a"), ("inputs", "b")]),
        ("$${{ inputs.a }}", []),
    ],
)
def test_references_are_found_without_evaluating(written: str, paths: list[tuple[str | int, ...]]):
    """Both ways of writing a member count; strings, comments and members of other things do not."""
    assert [(r.root, *r.path) for r in references(compile_template(written))] == paths


def test_a_reference_tells_step_and_output():
    """Step and output are named where they are literal."""
    full, whole = references(compile_template("${{ steps.a.outputs.x.y + steps[inputs.s] }}"))[:2]
    assert (full.name, full.output) == ("a", "x")
    assert (whole.name, whole.output) == (None, None)


def test_only_what_is_referenced_reaches_cel():
    """Ten thousand steps in the scope do not slow an expression that refers to one of them."""
    scope = {"steps": {f"s{n}": {"outputs": {"x": "y" * 100}} for n in range(10_000)}}
    start = time.process_time()
    for _ in range(100):
        assert render("${{ steps.s7.outputs.x + 'z' }}", scope) == "y" * 100 + "z"
    assert time.process_time() - start < 1


def map_chain(body: str, times: int) -> str:
    return "inputs.list" + f".map(x, {body})" * times


BEYOND = {
    "'" + "x" * 2040 + "'+'yyyyyyyy'": "is longer than 2048 bytes.",
    "+".join(["'é'"] * 450): "is longer than 2048 bytes.",
    "[1].map(a, [2].map(b, [3].map(c, c)))": "has more than one macro inside another.",
    "[[1]].all(a, a.exists(b, [b].filter(c, c > 0) == []))": "has more than one macro inside another.",
    map_chain("x", 9): "has 9 macros, more than 8.",
    map_chain("[x, x, x, x, x, x, x, x]", 8): "could take too long, whatever the values are.",
    "inputs.text.matches(inputs.text)": "has a regular expression that is not a literal string.",
    "inputs.text.matches('a' + 'b')": "has a regular expression that is not a literal string.",
    "inputs.text.matches('(a{100}){100}')": "has a regular expression that repeats more than 1000 times.",
    "inputs.text.matches('" + "a" * 201 + "')": "has a regular expression longer than 200 characters.",
}


@pytest.mark.parametrize("source", BEYOND)
def test_expressions_beyond_their_bounds_are_refused_before_they_run(source: str):
    """CEL cannot be interrupted, so what could run long is never started."""
    with pytest.raises(ExpressionError) as caught:
        bounds.check(source)
    assert caught.value.message.endswith(BEYOND[source])


@pytest.mark.parametrize(
    ("source", "inputs"),
    [
        ("inputs.a.map(x, x + 1)", {"a": list(range(20_000))}),
        ("inputs.a.map(x, inputs.a.map(y, x + y))", {"a": list(range(500))}),
        ("inputs.a.all(x, inputs.a.exists(y, x == y))", {"a": list(range(5_000))}),
        ("inputs.s" + " + inputs.s" * 150, {"s": "x" * 1_000_000}),
        ("inputs.a.exists(x, inputs.s.contains('b'))", {"a": list(range(1_000)), "s": "a" * 1_000_000}),
        ("inputs.s.matches('(a?){30}a{30}')", {"s": "a" * 1_000_000}),
    ],
)
def test_expressions_that_would_run_long_on_these_values_are_refused(source: str, inputs: dict[str, Any]):
    """The same expression is fine on small values."""
    with pytest.raises(ExpressionError, match="could take too long on values of this size"):
        render("${{ " + source + " }}", {"inputs": inputs})
    small = {name: value[:3] for name, value in inputs.items()}
    render("${{ " + source + " }}", {"inputs": small})


NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_a_whole_expression_keeps_value_and_type(value: Any):
    """What goes in comes out, of the same type, whether it is looked up or goes through CEL."""
    scope = {"inputs": {"v": value, "yes": True}}
    for written in ("${{ inputs.v }}", "${{ inputs['v'] }}", "${{ inputs.yes ? inputs.v : inputs.v }}"):
        found = render(written, scope)
        assert found == value
        assert type(found) is type(value)


NAMES = [
    "inputs",
    "steps",
    "a",
    "x",
    "true",
    "null",
    "map",
    "filter",
    "exists",
    "all",
    "has",
    "size",
    "matches",
]
SIGNS = [*".[](){},+-*/?:<!\n\\é\"'", "==", "&&", "||", "//", "}}", "${{", "$${{", "in"]
WORDS = st.sampled_from([*NAMES, *SIGNS, "1", "2.5", "'s'", "r'\\'", "'''", "int", "string", "timestamp"])


@given(
    st.lists(WORDS, max_size=15).map(" ".join)
    | st.lists(WORDS, max_size=15).map("".join)
    | st.text(max_size=40)
)
def test_any_text_is_rendered_or_a_muster_error(text: str):
    """Whatever stands in a template, nothing but Muster's own errors is raised."""
    for written in (text, "${{ " + text + " }}"):
        with suppress(MusterError):
            render(written, SCOPE)


@given(st.text().filter(lambda text: "${{" not in text))
def test_text_without_expressions_stays(text: str):
    """Nothing but ${{ has a meaning."""
    assert render(text, {}) == text
    assert render("$${{" + text, {}) == "${{" + text


def test_a_panic_of_the_library_is_an_expression_error(monkeypatch: pytest.MonkeyPatch):
    """What the library's own language raises past Exception does not end the process; what Python raises does."""

    class Broken:
        def __init__(self, kind: type[BaseException]) -> None:
            self.kind = kind

        def execute(self, scope: dict[str, Any]) -> Any:
            raise self.kind

    panic = type("PanicException", (BaseException,), {})
    monkeypatch.setattr(evaluation, "program", lambda source: Broken(panic))
    with pytest.raises(ExpressionError, match="the CEL library gave up on it"):
        render("${{ 1 + 2 }}", {})
    monkeypatch.setattr(evaluation, "program", lambda source: Broken(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        render("${{ 1 + 2 }}", {})
