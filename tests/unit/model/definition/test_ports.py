# ruff: noqa: E501 - a sentence is compared as a whole
"""What goes with what, and which values fit: ports, arrays and objects of them, and files."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.ports import fitted, mismatch, short, words
from muster.model.definition.workflow import VALUE_TYPES, Port
from muster.model.errors import InvalidTypeError
from tests.fixtures.ports import MEDIA, SCALARS, Chance, artifact, said

TYPES: Final = VALUE_TYPES


def port(**fields: Any) -> Port:
    return msgspec.convert(fields, Port)


# ---- types


def test_every_type_goes_with_itself_any_and_what_contains_it():
    """A number takes integers, a file every kind of file, any takes and gives everything; nothing else goes together."""
    wider = {("integer", "number")} | {(kind, "file") for kind in MEDIA}
    for source in TYPES:
        for target in TYPES:
            expected = source == target or "any" in (source, target) or (source, target) in wider
            assert (mismatch(Port(type=source), Port(type=target)) is None) is expected, (source, target)


PERSON = port(type="object", properties={"name": {"type": "string"}, "age": {"type": "integer"}})
REFUSED: dict[str, tuple[Port, Port, tuple[str, str, str]]] = {
    "another type": (port(type="image"), port(type="audio"), ("", "an audio file", "an image")),
    "a wider type": (port(type="number"), port(type="integer"), ("", "an integer", "a number")),
    "members of another type": (
        port(type="array", items="integer"),
        port(type="array", items="string"),
        ("[]", "a string", "an integer"),
    ),
    "an array in an array": (
        port(type="array", items={"type": "array", "items": PERSON}),
        port(type="array", items={"type": "array", "items": "image"}),
        ("[][]", "an image", "an object"),
    ),
    "a property of another type": (
        PERSON,
        port(type="object", properties={"age": {"type": "string"}}),
        (".age", "a string", "an integer"),
    ),
    "a property that is not there": (
        port(type="array", items=PERSON),
        port(type="array", items={"type": "object", "properties": {"first name": {}}}),
        ('[]["first name"]', "anything", ""),
    ),
    "what may be null": (port(type="string", required=False), port(type="string"), ("", "a string", "null")),
    "what is null": (port(type="any", default=None), port(type="any"), ("", "", "")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_named(case: str):
    """With the way to the part that is meant, what it should be, and what it is."""
    source, target, expected = REFUSED[case]
    found = mismatch(source, target)
    assert (("", "", "") if found is None else (found.path, words(found.wanted), found.found)) == expected


ACCEPTED = {
    "fewer properties": (PERSON, port(type="object", properties={"name": {"type": "string"}})),
    "a property with a default": (
        PERSON,
        port(type="object", properties={"city": {"type": "string", "default": "Ulm"}}),
    ),
    "a property nobody needs": (
        PERSON,
        port(type="object", properties={"city": {"type": "string", "required": False}}),
    ),
    "members that are not said": (port(type="array"), port(type="array", items="string")),
    "properties that are not said": (port(type="object"), PERSON),
    "null where it is taken": (
        port(type="string", required=False),
        port(type="string", required=False, default="x"),
    ),
    "null where anything is taken": (port(type="string", required=False), port()),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_goes_together_is_not_refused(case: str):
    """What is left out by one, or not said, is no reason."""
    assert mismatch(*ACCEPTED[case]) is None


def test_null_goes_where_null_is_taken():
    """A source that is null and nothing else."""
    assert mismatch(None, port(type="string", required=False)) is None
    assert mismatch(None, port()) is None
    found = mismatch(None, port(type="string"))
    assert found is not None
    assert found.found == "null"


# ---- values


def test_a_value_gets_the_defaults_of_what_is_left_out():
    """At any depth, in the order in which properties are declared."""
    person = {
        "name": {"type": "string"},
        "age": {"type": "integer", "required": False},
        "home": {"type": "object", "properties": {"city": {"default": "Ulm"}}, "default": {}},
    }
    people = port(type="array", items={"type": "object", "properties": person})
    found = fitted([{"name": "Ada"}, {"age": 3, "name": "Bo", "home": {"city": "Rom"}}], people, "x")
    assert found == [
        {"name": "Ada", "age": None, "home": {"city": "Ulm"}},
        {"name": "Bo", "age": 3, "home": {"city": "Rom"}},
    ]
    assert list(found[1]) == ["name", "age", "home"]


MISFITS: dict[str, tuple[Any, Port, str]] = {
    "another type": ("5", port(type="integer"), "the input x must be an integer, not a string: '5'."),
    "true is no number": (True, port(type="number"), "the input x must be a number, not a boolean: True."),
    "a fraction": (2.0, port(type="integer"), "the input x must be an integer, not a number: 2.0."),
    "null": (None, port(type="string"), "the input x must be a string, not null."),
    "a member": (
        [1, 2, "3"],
        port(type="array", items="integer"),
        "the input x[2] must be an integer, not a string: '3'.",
    ),
    "far inside": (
        {"people": [{"name": "a"}, {"name": 5}]},
        port(
            type="object",
            properties={
                "people": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                }
            },
        ),
        "the input x.people[1].name must be a string, not an integer: 5.",
    ),
    "a missing property": ([{"name": "a"}], port(type="array", items=PERSON), "the input x[0] has no property age, which it must have."),
    "an unknown property": ({"name": "a", "age": 3, "nmae": "b"}, PERSON, "the input x has the property nmae, which is not declared."),
    "text for a file": ("a.png", port(type="image"), "the input x must be an image, not a string: 'a.png'."),
    "another kind of file": (artifact(), port(type="image"), "the input x must be an image, not a file of type audio/wav: 'a.bin'."),
    "a file of no known kind": (
        artifact(None),
        port(type="pdf"),
        "the input x must be a pdf file, not a file of unknown type: 'a.bin'.",
    ),
    "a file for an object": (artifact(), port(type="object"), "the input x must be an object, not a file of type audio/wav: 'a.bin'."),
    "a file without content": (
        {"$artifact": "sha256:1", "size": 1},
        port(type="file"),
        "the input x must be a file, not an artifact that lacks its hash, size or execution: 'sha256:1'.",
    ),
    "a file of a wrong size": (
        artifact(size=-1),
        port(type="audio"),
        "the input x must be an audio file, not an artifact that lacks its hash, size or execution: 'a.bin'.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_a_value_that_does_not_fit_is_named_with_the_way_to_it(case: str):
    """What people and programs write is taken exactly."""
    value, declared, sentence = MISFITS[case]
    with pytest.raises(InvalidTypeError) as caught:
        fitted(value, declared, "the input x", input="x")
    assert caught.value.message == sentence
    assert caught.value.input == "x"


def test_an_unknown_property_is_most_often_a_slip():
    """The remedy asks whether the nearest one was meant."""
    with pytest.raises(InvalidTypeError, match=r"Did you mean name\?"):
        fitted({"nmae": "b"}, port(type="object", properties={"name": {"required": False}}), "x")


def test_what_flows_between_ports_is_cut_to_what_is_asked_for():
    """The step sees the properties it accepts, and no others."""
    person = {"name": "Ada", "age": 36}
    asked = port(type="array", items={"type": "object", "properties": {"name": {"type": "string"}}})
    assert fitted([person], asked, "x", exact=False) == [{"name": "Ada"}]


@pytest.mark.parametrize("kind", MEDIA)
def test_a_file_is_of_the_kind_its_media_type_says(kind: Any):
    """And each kind is a file, whatever the case of its media type and whatever parameters it has."""
    value = artifact(MEDIA[kind].upper())
    name: Any
    for name in MEDIA:
        if name in (kind, "file"):
            assert fitted(value, Port(type=name), "x") == value
        else:
            with pytest.raises(InvalidTypeError):
                fitted(value, Port(type=name), "x")


def test_ports_are_said_in_words():
    """As people say them, and as they are written."""
    nested = port(type="array", items={"type": "array", "items": "csv"})
    assert words(nested) == "an array of arrays of csv files"
    assert short(nested) == "array of array of csv"
    assert words(port(type="array")) == "an array"
    assert words(port(type="array", items="any")) == "an array of values"
    assert words(None) == "null"


# ---- laws

SEEDS: Final = st.integers(0, 2**32)


@given(SEEDS)
def test_a_port_goes_with_itself(seed: int):
    """Whatever it is."""
    one = Chance(seed).port()
    assert mismatch(one, one) is None


@given(SEEDS)
def test_going_together_is_transitive(seed: int):
    """Where everything is said and nothing may be left out."""
    chance = Chance(seed, open_=False, types=SCALARS)
    first = chance.port()
    second = chance.related(first)
    third = chance.related(second)
    if all(map(said, (first, second, third))) and not (mismatch(first, second) or mismatch(second, third)):
        assert mismatch(first, third) is None


@given(SEEDS)
def test_what_goes_together_is_not_refused_when_the_value_is_there(seed: int):
    """Whatever a program writes for the one port is taken by the other, unless something of the first is not said."""
    chance = Chance(seed, types=SCALARS)
    source = chance.port()
    target = chance.related(source)
    value = fitted(chance.value(source), source, "the output x")
    if mismatch(source, target) is None:
        fitted(value, target, "the input x", exact=False)


@given(SEEDS)
def test_what_has_passed_a_port_passes_it_again(seed: int):
    """A value that was taken, with its defaults, is one that the port takes, unchanged."""
    chance = Chance(seed)
    one = chance.port()
    value = fitted(chance.value(one), one, "x")
    assert fitted(value, one, "x") == value
    assert fitted(value, one, "x", exact=False) == value


def test_the_laws_are_tried_on_ports_that_go_together():
    """Of the pairs that the laws draw, many go together and many do not; otherwise they would say nothing."""
    found = Counter[bool]()
    for seed in range(300):
        chance = Chance(seed, types=SCALARS)
        source = chance.port()
        found[mismatch(source, chance.related(source)) is None] += 1
    assert min(found.values()) > 50
