"""What a step wrote and printed, against what it declares."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.workflow import Output
from muster.model.errors import InvalidTypeError, MusterError, OutputError, ValueMissingError
from muster.model.plan.outputs import collect


def declared(**outputs: Any) -> dict[str, Output]:
    return msgspec.convert(outputs, dict[str, Output])


COUNT = declared(count={"type": "integer"})
TEXT = declared(text={"type": "string", "source": "stdout"})
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "required": False}},
}
PEOPLE = declared(people={"type": "array", "items": PERSON})
DATA = declared(data={"type": "object", "source": "stdout"})


def test_file_and_stdout_come_together_in_declared_order():
    """Each output comes from its source; what is absent has its default, or is null where it is not required."""
    outputs = declared(
        z={"source": "stdout", "type": "string"},
        a={"type": "integer"},
        d={"default": 3},
        n={"required": False},
    )
    found = collect(outputs, b'{"a": 1}', b"printed\n")
    assert list(found.items()) == [("z", "printed"), ("a", 1), ("d", 3), ("n", None)]


@pytest.mark.parametrize(
    ("printed", "value"),
    [(b"x\n", "x"), (b"x\n\n", "x\n"), (b"x\r\n", "x"), (b"x", "x"), (b"", ""), (b"\n", "")],
)
def test_one_line_end_is_not_part_of_a_printed_string(printed: bytes, value: str):
    """One line end is what echo adds; the rest is what was meant."""
    assert collect(TEXT, None, printed) == {"text": value}


@pytest.mark.parametrize(("printed", "value"), [(b"5\n", 5), (b' {"a": [1]} \n', {"a": [1]}), (b'"x"', "x")])
def test_what_is_printed_is_json_unless_the_type_is_string(printed: bytes, value: Any):
    """Any other type is read as JSON."""
    assert collect(declared(x={"source": "stdout"}), None, printed) == {"x": value}


WRITE = "Write a JSON object with the declared outputs to the file named by $MUSTER_OUTPUT."
TYPE = "Give a value of the declared type; the message names it."
REFUSED: dict[str, tuple[dict[str, Output], bytes | None, bytes | None, type[MusterError], str]] = {
    "not written": (
        COUNT,
        None,
        None,
        ValueMissingError,
        (
            "the output count is declared and the step did not write it. "
            'Write {"count": ...} to the file named by $MUSTER_OUTPUT, or give the output a default.'
        ),
    ),
    "an empty file": (
        COUNT,
        b" \n",
        None,
        ValueMissingError,
        (
            "the output count is declared and the step did not write it. "
            'Write {"count": ...} to the file named by $MUSTER_OUTPUT, or give the output a default.'
        ),
    ),
    "no JSON": (
        COUNT,
        b"count=5",
        None,
        OutputError,
        f"the file at $MUSTER_OUTPUT is no JSON: JSON is malformed: invalid character (byte 0). {WRITE}",
    ),
    "not a number of JSON": (
        COUNT,
        b'{"count": NaN}',
        None,
        OutputError,
        f"the file at $MUSTER_OUTPUT is no JSON: JSON is malformed: invalid character (byte 10). {WRITE}",
    ),
    "no object": (
        COUNT,
        b"[1]",
        None,
        OutputError,
        f"the file at $MUSTER_OUTPUT holds an array, not an object. {WRITE}",
    ),
    "too deep": (
        COUNT,
        b"[" * 100_000,
        None,
        OutputError,
        f"the file at $MUSTER_OUTPUT is no JSON: it is nested too deep. {WRITE}",
    ),
    "a wrong type": (
        COUNT,
        b'{"count": "5"}',
        None,
        InvalidTypeError,
        f"the output count must be an integer, not a string: '5'. {TYPE}",
    ),
    "undeclared": (
        COUNT,
        b'{"count": 5, "counts": 6}',
        None,
        OutputError,
        (
            "the step wrote the output counts, which it does not declare. "
            "Did you mean count? Declare it under outputs of the step, or do not write it."
        ),
    ),
    "the wrong source": (
        TEXT,
        b'{"text": "x"}',
        b"x",
        OutputError,
        (
            "the step wrote the output text, which it declares with source: stdout. "
            "Declare it with source: file, or do not write it to $MUSTER_OUTPUT."
        ),
    ),
    "too large": (
        COUNT,
        b" " * 2**20 + b"{}",
        None,
        OutputError,
        (
            "the file at $MUSTER_OUTPUT has 1048578 bytes, more than 1048576. "
            "Write large data to a file below /muster/out, and declare it as an output with its path."
        ),
    ),
    "printed nothing": (
        DATA,
        None,
        b"\n",
        ValueMissingError,
        (
            "the output data is what the step prints, and it printed nothing. "
            "Print it, or give the output a default."
        ),
    ),
    "a part of another type": (
        PEOPLE,
        b'{"people": [{"name": "Ada"}, {"name": 5}]}',
        None,
        InvalidTypeError,
        (
            "the output people[1].name must be a string, not an integer: 5. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    "a part that is not declared": (
        PEOPLE,
        b'{"people": [{"nmae": "Ada", "name": "Ada"}]}',
        None,
        InvalidTypeError,
        "the output people[0] has the property nmae, which is not declared. Did you mean name?",
    ),
    "text where a file belongs": (
        declared(photo={"type": "image"}),
        b'{"photo": "a.png"}',
        None,
        InvalidTypeError,
        (
            "the output photo must be an image, not a string: 'a.png'. "
            "Give a value of the declared type; the message names it."
        ),
    ),
    "printed no JSON": (
        DATA,
        None,
        b"hello\n",
        OutputError,
        (
            "the output data is what the step printed, read as JSON, and it is none: "
            "JSON is malformed: invalid character (byte 0). "
            "Print JSON and nothing else, or declare the output with type: string."
        ),
    ),
    "printed bytes": (
        TEXT,
        None,
        b"ab\xff",
        OutputError,
        (
            "the output text is what the step printed, and byte 2 of it is not UTF-8. "
            "Print text in UTF-8, or encode it, for instance with base64."
        ),
    ),
    "printed too much": (
        TEXT,
        None,
        b"x" * (2**20 + 1),
        OutputError,
        (
            "the output text is what the step printed, 1048577 bytes, more than 1048576. "
            "Write large data to a file below /muster/out, and declare it as an output with its path."
        ),
    ),
}


def test_parts_that_are_left_out_get_their_defaults():
    """What others refer to is there, as it is for whole outputs."""
    assert collect(PEOPLE, b'{"people": [{"name": "Ada"}]}', None) == {
        "people": [{"name": "Ada", "age": None}]
    }


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_outputs_are_refused_with_their_name(case: str):
    """The error names the output, what is wrong with it and what to do."""
    outputs, document, stdout, kind, sentence = REFUSED[case]
    with pytest.raises(kind) as caught:
        collect(outputs, document, stdout)
    assert str(caught.value) == sentence


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_outputs_or_a_muster_error(document: bytes, stdout: bytes):
    """Whatever a step writes or prints, nothing but Muster's own errors is raised."""
    try:
        found = collect(
            declared(a={}, b={"source": "stdout"}, c={"source": "stdout", "type": "string"}), document, stdout
        )
    except MusterError:
        return
    assert set(found) == {"a", "b", "c"}
