"""Files become data with positions, or one sentence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.document import parse
from muster.model.errors import WorkflowInvalidError
from muster.model.limits import FILE_BYTES_MAX

NESTED_2_MB = b"a: " + b"[1, " * 262_144 + b"]" * 1_000_000
ALIAS_BOMB = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(ord("b"), ord("z"))
)

REFUSED = {
    "empty": (b"", "w.yaml:1:1: the file is empty. Write a workflow with a name and steps."),
    "only a comment": (b"# x\n", "w.yaml:1:1: the file is empty. Write a workflow with a name and steps."),
    "a tab": (b"a:\n\tb: 1\n", "w.yaml:2:1: a tab cannot indent in YAML. Indent with spaces."),
    "a tab after spaces": (
        b"a:\n  \tb: 1\n",
        "w.yaml:2:3: a tab cannot indent in YAML. Indent with spaces.",
    ),
    "two colons": (
        b"a: b: c",
        "w.yaml:1:5: a colon makes no sense here. Check the indentation, or put the value in quotes.",
    ),
    "an open quotation": (b'a: 1\nb: "x\n', "w.yaml:2:4: a quotation mark is never closed. Close it."),
    "an open bracket": (
        b"a: [1,\n",
        "w.yaml:2:1: a value is missing here. Complete or remove what was begun.",
    ),
    "an unquoted expression in braces": (
        b"a: {b: ${{ c }} }",
        (
            "w.yaml:1:9: a bracket is not closed, or a comma is missing. "
            "Close it; put expressions inside { } or [ ] in quotes."
        ),
    ),
    "mixed list and object": (
        b"- a\nb: 1",
        "w.yaml:2:1: the indentation does not fit what is above. Align it with its neighbours.",
    ),
    "an at sign": (b"a: @x", "w.yaml:1:4: a value cannot begin with @. Put the value in quotes."),
    "an unknown escape": (
        b'a: "\\z"',
        (
            "w.yaml:1:5: an unknown escape stands in a quoted text. "
            "Write \\\\ for a backslash, or use single quotes."
        ),
    ),
    "a key twice": (
        b"a: 1\nb:\n  c: 2\n  d: 3\n  c: 4\n",
        "w.yaml:5:3: the key 'c' stands here and in line 3. Keep one of the two.",
    ),
    "a key twice, quoted": (
        b"a: 1\n'a': 2\n",
        "w.yaml:2:1: the key 'a' stands here and in line 1. Keep one of the two.",
    ),
    "a list as a key": (
        b"? [a]\n: b\n",
        "w.yaml:1:3: a key must be text, not a list or an object. Quote a text that begins with a bracket.",
    ),
    "an anchor": (
        b"a: &x 1\nb: 2\n",
        (
            "w.yaml:1:4: &x is a YAML anchor or alias, and these are not accepted. "
            "Write the value out, or quote it if the & belongs to it."
        ),
    ),
    "an alias bomb": (
        ALIAS_BOMB,
        (
            "w.yaml:1:4: &a is a YAML anchor or alias, and these are not accepted. "
            "Write the value out, or quote it if the & belongs to it."
        ),
    ),
    "a tag": (
        b"a: !!python/object:os.system x",
        (
            "w.yaml:1:4: 'tag:yaml.org,2002:python/object:os.system' is a YAML tag, and these are not accepted. "
            "Write the value without it; quote it if it begins with !."
        ),
    ),
    "two documents": (
        b"---\na: 1\n---\nb: 2\n",
        "w.yaml:3:1: a second document begins here. Keep one workflow to a file.",
    ),
    "an integer beyond 64 bits": (
        b"a: 9223372036854775808",
        (
            "w.yaml:1:4: '9223372036854775808' is too large for a number. "
            "Put it in quotes if it is meant as text."
        ),
    ),
    "an endless number": (
        b"a: " + b"9" * 5000,
        f"w.yaml:1:4: '{'9' * 56}... is too large for a number. Put it in quotes if it is meant as text.",
    ),
    "a picture": (
        b"\x89PNG\r\n\x1a\n\x00\x00",
        (
            "w.yaml:1:1: byte 0 of the file is not UTF-8. "
            "Save it as text in UTF-8; is this really a workflow file?"
        ),
    ),
    "latin-1": (
        "name: a\ndescription: für alle".encode("latin-1"),
        (
            "w.yaml:2:15: byte 22 of the file is not UTF-8. "
            "Save it as text in UTF-8; is this really a workflow file?"
        ),
    ),
    "control characters": (
        b"a: b\nc: \x00",
        "w.yaml:2:4: the file contains a control character. Is this really a text file?",
    ),
    "2 MB of nested YAML": (
        NESTED_2_MB,
        (
            f"w.yaml:1:1: the file has {len(NESTED_2_MB)} bytes, more than 1048576. "
            "Split the workflow, and keep data out of it."
        ),
    ),
    "deep nesting": (b"[" * 100_000, "w.yaml:1:65: this is nested more than 64 deep. Flatten it."),
    "deep nesting in JSON": (
        b'{"a":' * 1000,
        "w.yaml:1:321: this is nested more than 64 deep. Flatten it.",
    ),
    "too many values": (
        b"[" + b"1," * 200_000 + b"1]",
        "w.yaml:1:400000: the file has more than 200000 keys and values. Split the workflow.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_document_is_refused_in_one_sentence(case: str):
    """The sentence says file, line, column, what is wrong and what to do."""
    text, sentence = REFUSED[case]
    with pytest.raises(WorkflowInvalidError) as caught:
        parse(text, name="w.yaml")
    assert str(caught.value) == sentence
    assert len(caught.value.problems) == 1


def refused(text: bytes) -> WorkflowInvalidError | None:
    """The only error that may come."""
    try:
        parse(text, name="w.yaml")
    except WorkflowInvalidError as error:
        return error
    return None


def test_every_part_has_the_position_of_its_key():
    """A member stands where its key is, an item where it begins; both count from one."""
    document = parse(b"name: a\nsteps:\n  - id: x\n    needs: [y, z]\n", name="w.yaml")
    assert document.data == {"name": "a", "steps": [{"id": "x", "needs": ["y", "z"]}]}
    assert document.positions == {
        (): (1, 1),
        ("name",): (1, 1),
        ("steps",): (2, 1),
        ("steps", 0): (3, 5),
        ("steps", 0, "id"): (3, 5),
        ("steps", 0, "needs"): (4, 5),
        ("steps", 0, "needs", 0): (4, 13),
        ("steps", 0, "needs", 1): (4, 16),
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),  # a boolean in YAML 1.1
        ("no", "no"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("010", 10),  # eight in YAML 1.1
        ("0o17", 15),
        ("0x1F", 31),
        ("+5", 5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("1:30", "1:30"),  # 90 in YAML 1.1
        ("2026-11-21", "2026-11-21"),
        (".inf", ".inf"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("5m", "5m"),
        ("<<", "<<"),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(written: str, value: object):
    """Only numbers, true, false and null are anything but text."""
    found = parse(f"a: {written}\n".encode(), name="w.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_always_text():
    """A key that looks like a number or a boolean is the text that was written, as in JSON."""
    assert parse(b"8080: a\ntrue: b\nnull: c\n", name="w.yaml").data == {
        "8080": "a",
        "true": "b",
        "null": "c",
    }


def test_a_byte_order_mark_is_no_content():
    """What some editors put at the beginning of a file is skipped."""
    assert parse(b"\xef\xbb\xbfa: 1", name="w.yaml").data == {"a": 1}


def test_json_is_read_as_json_reads_it():
    """Escapes, surrogate pairs, tabs and exponents of JSON mean what they mean in JSON."""
    text = b'{\n\t"a": "\\ud83d\\ude00\\/\\\\ud83d",\n\t"b": [1e3, -0.5, true, null],\n\t"c": {}}'
    document = parse(text, name="w.json")
    assert document.data == msgspec.json.decode(text)
    assert document.positions["b", 1] == (3, 13)


NOT_PRINTABLE = tuple(map(chr, (0x7F, *range(0x80, 0xA0), 0xFEFF, 0xFFFE, 0xFFFF)))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz-_ :#'\"", max_size=8), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abc", min_size=1), JSON_VALUES, min_size=1))
def test_any_json_object_survives(value: dict[str, object]):
    """Reading JSON as YAML gives what a JSON parser gives, or one sentence for what YAML cannot hold."""
    text = msgspec.json.encode(value)
    problem = refused(text)
    if problem is None:
        assert parse(text, name="w.json").data == value
    else:
        assert any(character in text.decode() for character in NOT_PRINTABLE), str(problem)


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_a_json_string_may_hold_what_ends_a_line_in_yaml(character: str):
    """In JSON these are characters like any other."""
    assert parse(f'{{"a": "x{character}y"}}'.encode(), name="w.json").data == {"a": f"x{character}y"}


@given(st.binary(max_size=300) | st.text(" \t\n:-[]{}&*!|>'\"%@`#?,abc1.~\\", max_size=120).map(str.encode))
def test_any_bytes_are_read_or_refused(text: bytes):
    """Whatever the bytes are, the only error is WorkflowInvalidError, in one line that begins with the place."""
    error = refused(text)
    if error is not None:
        assert "\n" not in str(error)
        assert str(error).startswith("w.yaml:")
        assert error.problems[0].line >= 1


def test_the_limit_is_inclusive():
    """A file of exactly the allowed size is read."""
    text = b"a: b #" + b"x" * (FILE_BYTES_MAX - 6)
    assert parse(text, name="w.yaml").data == {"a": "b"}
