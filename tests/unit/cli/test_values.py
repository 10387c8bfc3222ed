from __future__ import annotations

from pathlib import Path

import pytest

from muster.cli.values import inputs_of, pairs_of, text_of
from muster.model.definition.workflow import Input, Port, Step, Workflow
from muster.model.errors import InvalidArgumentError, InvalidTypeError

WORKFLOW = Workflow(
    name="w",
    inputs={
        "text": Input(type="string"),
        "count": Input(type="integer"),
        "free": Input(),
        "many": Input(type="array"),
    },
    steps=[Step(id="s", image="i")],
)


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("text=5", "5"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("count=5", 5),
        ('many=["a"]', ["a"]),
        ("free=5", 5),
        ("free=five", "five"),
        ("undeclared=true", True),
    ],
)
def test_a_value_has_the_type_its_input_declares(pair: str, value: object):
    """Text stays text where the input is a string; elsewhere it is read as JSON, and any falls back to text."""
    assert inputs_of(WORKFLOW, [pair], []) == {pair.partition("=")[0]: value}


def test_a_file_is_the_value(tmp_path: Path):
    """`K=@FILE` takes the file's content."""
    (tmp_path / "book.txt").write_text("once\nupon")
    assert inputs_of(WORKFLOW, [f"text=@{tmp_path}/book.txt"], []) == {"text": "once\nupon"}


@pytest.mark.parametrize("text", ['{"text": "a", "count": 1}', "text: a\ncount: 1\n"])
def test_inputs_come_from_files_and_pairs_win(tmp_path: Path, text: str):
    """Inputs are read from JSON or YAML, and a pair for the same name counts more."""
    path = tmp_path / "inputs"
    path.write_text(text)
    assert inputs_of(WORKFLOW, ["count=2"], [path]) == {"text": "a", "count": 2}


@pytest.mark.parametrize(
    ("pair", "error"),
    [("text", InvalidArgumentError), ("=5", InvalidArgumentError), ("count=five", InvalidTypeError)],
)
def test_a_bad_pair_is_refused(pair: str, error: type[Exception]):
    """A pair without a name or a value, or with a value that does not fit, says how to write it."""
    with pytest.raises(error, match="--input"):
        inputs_of(WORKFLOW, [pair], [])


@pytest.mark.parametrize("text", ["[1]", "a: [", "5"])
def test_a_file_that_holds_no_object_is_refused(tmp_path: Path, text: str):
    """A file of inputs must hold an object."""
    path = tmp_path / "inputs"
    path.write_text(text)
    with pytest.raises(InvalidArgumentError):
        inputs_of(WORKFLOW, [], [path])


def test_labels_are_pairs():
    """Labels are text, and one without a value is refused."""
    assert pairs_of("label", ["a=1", "b="]) == {"a": "1", "b": ""}
    with pytest.raises(InvalidArgumentError, match="label"):
        pairs_of("label", ["a"])


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path):
    """Text in another encoding is refused with file and byte, however it is given, and the remedy converts it."""
    path = tmp_path / "latin.txt"
    path.write_bytes("text: caf\xe9".encode("latin1"))
    for read in (
        lambda: text_of(path),
        lambda: inputs_of(WORKFLOW, [f"text=@{path}"], []),
        lambda: inputs_of(WORKFLOW, [], [path]),
    ):
        with pytest.raises(InvalidArgumentError, match=r"latin\.txt is not UTF-8: its byte 10 is 0xe9\."):
            read()


def test_files_wherever_one_is_declared(tmp_path: Path):
    """``@FILE`` is a file in lists and objects too where a file is declared, and text where none is."""
    inputs = {
        "clips": Input(type="array", items="video"),
        "page": Input(type="object", properties={"cover": Port(type="image"), "by": Port(type="string")}),
        "note": Input(type="string"),
    }
    workflow = Workflow(name="w", steps=[], inputs=inputs)
    given = tmp_path / "given.yaml"
    given.write_text('clips: ["@a.mp4", "@b.mp4"]\npage: {cover: "@c.png", by: "@me"}\nnote: "@all"\n')
    found = inputs_of(workflow, [], [given])
    assert found == {
        "clips": [Path("a.mp4"), Path("b.mp4")],
        "page": {"cover": Path("c.png"), "by": "@me"},
        "note": "@all",
    }
    assert inputs_of(workflow, ['clips=["@a.mp4"]'], []) == {"clips": [Path("a.mp4")]}
