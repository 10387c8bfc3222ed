"""Typed ports from the command line: refused before anything runs, or with the values at hand, by real processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.cli import Muster, muster
from tests.acceptance.seen import refused, run, shell, workflow

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "required": False}},
}
PEOPLE = {"type": "array", "items": PERSON}
NAMES = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
ADA = """echo '{"people": [{"name": "Ada"}, {"name": "Bo", "age": 3}]}' > "$MUSTER_OUTPUT" """
REPEAT = """printf '{"seen": %s}' "$(cat "$MUSTER_INPUT")" > "$MUSTER_OUTPUT" """


def test_all_that_does_not_go_together_is_said_at_once(muster: Muster):
    """With file, line and column, and the exit code of a workflow that is not valid."""
    text = """\
name: wrong
inputs: {note: {type: string, required: false}}
steps:
  - {id: make, image: none, outputs: {sound: {type: audio, path: a.wav}}}
  - id: take
    image: none
    inputs: {photo: "${{ steps.make.outputs.sound }}", mode: "${{ inputs.note }}", vidoe: 1}
    accepts: {photo: {type: image}, mode: {type: string}, video: {type: integer, default: 1}}
"""
    done = muster("validate", muster.write("ports.yaml", text), code=2)
    said = " ".join((done.stdout + done.stderr).split())
    assert "ports.yaml:7:14: [InvalidTypeError] the input photo must be an image, and 'steps.make" in said
    assert (
        "ports.yaml:7:56: [InvalidTypeError] the input mode must be a string, and 'inputs.note' may be null."
        in said
    )
    assert (
        "ports.yaml:7:84: [InvalidArgumentError] the step take has no input vidoe. Did you mean video?"
        in said
    )


def test_a_step_sees_what_it_accepts_and_no_more(muster: Muster):
    """What it does not ask for is cut off, and what nobody gave has its default."""
    take = shell("take", REPEAT, inputs={"people": "${{ steps.make.outputs.people }}"}, outputs={"seen": {}})
    take["accepts"] = {"people": NAMES, "mode": {"type": "string", "default": "fast"}}
    found = run(muster, shell("make", ADA, outputs={"people": PEOPLE}), take)
    outputs = {path: step["outputs"] for path, step in found["steps"].items()}
    assert outputs["make"] == {"people": [{"name": "Ada", "age": None}, {"name": "Bo", "age": 3}]}
    assert outputs["take"]["seen"] == {"people": [{"name": "Ada"}, {"name": "Bo"}], "mode": "fast"}


def failed(found: dict[str, Any], path: str) -> dict[str, Any]:
    """The error of a step."""
    error: dict[str, Any] = found["steps"][path]["error"]
    return error


def test_what_a_step_wrote_is_checked_part_by_part(muster: Muster):
    """The attempt fails with the way to the part, and what needs it is skipped."""
    says = """echo '{"people": [{"name": "Ada"}, {"name": 5}]}' > "$MUSTER_OUTPUT" """
    found = run(muster, shell("make", says, outputs={"people": PEOPLE}), code=1)
    error = failed(found, "make")
    assert error["code"] == "invalid_type"
    assert error["message"] == "the output people[1].name must be a string, not an integer: 5."


def test_what_could_not_be_known_before_is_refused_before_the_step_starts(muster: Muster):
    """The error names the step, its port and the part."""
    take = shell(
        "take", "exit 3", inputs={"people": "${{ steps.make.outputs.people }}"}, accepts={"people": NAMES}
    )
    says = """echo '{"people": [{"age": 5}]}' > "$MUSTER_OUTPUT" """
    found = run(muster, shell("make", says, outputs={"people": {}}), take, code=1)
    error = failed(found, "take")
    assert error["code"] == "invalid_type"
    assert error["message"] == "step take, inputs.people[0]: it has no property name, which it must have."


def test_files_are_of_the_kind_that_their_names_say(muster: Muster):
    """A csv goes where a csv is taken; what its name does not say to be an image is none, before anything runs."""
    take = shell(
        "take",
        'cat "$FILE"',
        inputs={"table": "${{ steps.make.outputs.table }}"},
        outputs={"said": {"type": "string", "source": "stdout"}},
    )
    take |= {
        "accepts": {"table": {"type": "csv"}},
        "environment": {"FILE": "${{ steps.make.outputs.table }}"},
    }
    make = shell(
        "make", 'echo a,b > "$MUSTER_OUT/t.csv"', outputs={"table": {"type": "csv", "path": "t.csv"}}
    )
    found = run(muster, make, take)
    assert found["steps"]["take"]["outputs"] == {"said": "a,b"}
    wrong = shell(
        "make", 'echo x > "$MUSTER_OUT/t.qqq"', outputs={"photo": {"type": "image", "path": "t.qqq"}}
    )
    assert refused(muster, wrong) == ["InvalidTypeError"]


def test_inputs_are_checked_before_anything_is_sent(muster: Muster):
    """Part by part, with a suggestion where a name is nearly right."""
    file = workflow(muster, shell("a", "true"), inputs={"people": PEOPLE})
    done = muster("run", file, "--input", f"people={json.dumps([{'name': 'Ada', 'agee': 3}])}", code=None)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "the input people[0] has the property agee, which is not declared. Did you mean age?" in said


def test_explain_says_what_a_step_takes(muster: Muster):
    """Ports in words, as they are written."""
    file = workflow(muster, shell("a", "true", accepts={"people": {**PEOPLE, "default": []}}))
    assert "takes people (array of object)" in " ".join(muster("explain", file).stdout.split())
