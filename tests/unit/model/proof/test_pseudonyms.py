"""Stand-ins: of the same type and size, equal for equal values, and no more than that."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muster.artifacts.content import described
from muster.model.expressions import template as expressions
from muster.model.plan import artifacts
from muster.model.proof.pseudonyms import Pseudonyms

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """What must stay: types, lengths and signs."""
    if isinstance(value, dict):
        return [shape(part) for part in value.values()]
    if isinstance(value, list):
        return [shape(part) for part in value]
    if isinstance(value, str):
        return len(value), len(value.encode())
    if isinstance(value, bool) or value is None:
        return value
    return type(value), math.copysign(1, value), value == 0


@given(VALUES)
@example(sys.float_info.max)
@example(-1.6e308)
@example(5e-324)
def test_type_and_size_stay(value: Any):
    """A stand-in has the type, the length in characters and in bytes, and the sign of what it stands for."""
    assert shape(Pseudonyms(b"k").value(value)) == shape(value)


@given(VALUES)
@example(sys.float_info.max)
def test_the_size_as_json_stays_about_the_same(value: Any):
    """The JSON of a stand-in is as long, but for quotes that need no escape and digits of long fractions."""
    before, after = msgspec.json.encode(value), msgspec.json.encode(Pseudonyms(b"k").value(value))
    escapes = before.count(b"\\")
    assert len(before) - escapes - 40 <= len(after) <= len(before) + 40
    assert json.loads(after) is not ...


@given(VALUES)
def test_equal_values_have_equal_stand_ins(value: Any):
    """The same value has the same stand-in wherever it stands, and in every fixture of that key."""
    one, other = Pseudonyms(b"k"), Pseudonyms(b"k")
    assert one.value([value, value])[0] == one.value([value, value])[1] == one.value(value)
    assert other.value(value) == Pseudonyms(b"k").value(value)


@given(st.lists(st.text(min_size=2, max_size=9), unique=True, max_size=40))
def test_different_values_have_different_stand_ins(texts: list[str]):
    """No two strings share a stand-in, so that what was unequal stays unequal, in an object's keys too."""
    stand_ins = Pseudonyms(b"k")
    assert len({stand_ins.text(text) for text in texts}) == len(texts)
    assert len(stand_ins.value(dict.fromkeys(texts, 1))) == len(texts)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=8, max_size=40))
def test_nothing_of_a_secret_is_left(secret: str):
    """A string is replaced as a whole, and another key gives another stand-in."""
    found = Pseudonyms(b"k").text(secret)
    if any(ord(sign) < 127 for sign in secret) and secret.strip("0.") not in {"", "1"}:
        assert found != secret
        assert found != Pseudonyms(b"other").text(secret) or secret.isdigit()


def test_short_numbers_are_all_told_apart():
    """Every number of one digit has a stand-in of one digit and no two the same; 0 and 1 stay."""
    stand_ins = Pseudonyms(b"k")
    found = [stand_ins.number(number) for number in range(10)]
    assert sorted(found) == list(range(10))
    assert found[:2] == [0, 1]


@pytest.mark.parametrize(
    "number", [sys.float_info.max, -1.7e308, 1.2e308, 5e-324, 1.5e-323, sys.float_info.min, 9.9e307]
)
def test_a_number_at_the_edge_of_what_there_is_gives_another_such(number: float):
    """Whatever the key: no stand-in of a finite number is infinite, and none of another than 0 is 0."""
    found = [Pseudonyms(b"%d" % key).number(number) for key in range(300)]
    assert all(math.isfinite(each) and each != 0 for each in found)
    assert all(math.copysign(1, each) == math.copysign(1, number) for each in found)
    assert len(set(found)) > 1
    assert [float(Pseudonyms(b"%d" % key).text(repr(number))) for key in range(300)] == found


def test_a_number_and_its_text_stay_together():
    """A number written as a string has the same digits as the number."""
    stand_ins = Pseudonyms(b"k")
    assert stand_ins.text("-4711") == str(stand_ins.number(-4711))
    assert stand_ins.text("2.50") != "2.50"
    assert type(stand_ins.number(3.0)) is float
    assert stand_ins.number(3.0).is_integer()
    assert stand_ins.number(-0.0) == 0


def test_large_integers_stay_integers_of_64_bits():
    """The stand-in of an integer that CEL can compute with is one that it can compute with."""
    assert all(Pseudonyms(b"%d" % key).number(2**63 - 1) < 2**63 for key in range(50))
    assert Pseudonyms(b"k").text("9" * 5000) != "9" * 5000


def test_names_that_are_clear_stay():
    """A clear word is its own stand-in, as a key and as a value, and nobody else's."""
    stand_ins = Pseudonyms(b"k", ["name"])
    assert stand_ins.value({"name": ["name", "eman"]})["name"][0] == "name"
    assert len(stand_ins.text("eman")) == 4


@pytest.mark.parametrize("sign", [",", " ", "", "\n", "/"])
def test_a_single_sign_is_syntax(sign: str):
    """What a text is split at is no secret."""
    assert Pseudonyms(b"k").text(sign) == sign


def test_shapes_stay():
    """An image keeps the form of an image, a digest that of a digest."""
    stand_ins = Pseudonyms(b"k")
    image = stand_ins.shaped("registry.acme.example:5000/Team/app:1.20-rc")
    assert [sign for sign in image if not sign.isalnum()] == list(".." "://:.-")  # fmt: skip
    assert "acme" not in image
    digest = stand_ins.digest("sha256:0123456789abcdef")
    assert digest.startswith("sha256:")
    assert set(digest[7:]) <= set("0123456789abcdef")
    assert stand_ins.digest("0123456789abcdef") == digest[7:]


# ---- expressions


def evaluated(template: str, **inputs: Any) -> tuple[Any, Any]:
    """What a template gives with the inputs, as a stand-in, and what its stand-in gives with stand-ins."""
    stand_ins = Pseudonyms(b"k", inputs)
    plain = expressions.render(template, {"inputs": inputs})
    now = {name: stand_ins.value(value) for name, value in inputs.items()}
    return stand_ins.value(plain), expressions.render(stand_ins.template(template), {"inputs": now})


@pytest.mark.parametrize(
    "template",
    [
        "${{ inputs.text }}",
        "${{ inputs.text == 'hunter22' }}",
        '${{ inputs.text != "hunter" && inputs.text in ["a", "hunter22"] }}',
        "${{ inputs.text == r'hunter22' ? 'yes, it is' : 'no' }}",
        "${{ size(inputs.text) == 8 }}",
        "${{ size(inputs.list) > 2 ? inputs.list[1] : null }}",
        '${{ inputs.object["inner key"] }}',
        "${{ inputs.list.exists(x, x == inputs.text) }}",
        "${{ duration('90s') == duration('1m30s') }}",
    ],
)
def test_what_only_passes_on_or_compares_comes_out_the_same(template: str):
    """Passing a value on, asking whether two are equal, and how long they are, give the same with stand-ins."""
    values = {"text": "hunter22", "list": ["q", "hunter22", "zz"], "object": {"inner key": "deep"}}
    then, now = evaluated(template, **values)
    assert now == then


def test_the_strings_of_an_expression_have_stand_ins_and_its_comments_go():
    """No literal and no comment of an expression is left; its names and numbers are."""
    template = "run --pw ${{ inputs.a == 'literal secret' // comment secret\n ? 17 : inputs.b }} tail secret"
    found = Pseudonyms(b"k", ["a", "b"]).template(template)
    assert "secret" not in found
    for part in ("inputs.a ==", "17", "inputs.b"):
        assert part in found
    assert len(expressions.compile_template(found).expressions) == 1


def test_an_escaped_opening_stays_none():
    """What stands for a literal ``${{`` does not become an expression."""
    found = Pseudonyms(b"k", ["a"]).template("$${{ not one }} ${{ inputs.a }}")
    assert [each.source for each in expressions.compile_template(found).expressions] == ["inputs.a"]


def test_an_artifact_stays_one():
    """The stand-in of a file is a file of the same kind and execution; neither its hash nor its name is kept."""
    value = described("salary.csv", "ab" * 32, 1234, "x1").value()
    found = artifacts.of(Pseudonyms(b"key").value({"f": [value]})[Pseudonyms(b"key").text("f")][0])
    assert found is not None
    assert (found.media_type, found.execution) == ("text/csv", "x1")
    assert found.address != value["$artifact"]
    assert len(str(found.size)) == 4
    assert found.name != "salary.csv"
