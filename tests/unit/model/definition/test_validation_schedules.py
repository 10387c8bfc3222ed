"""What is wrong with a schedule in a workflow file, and where."""

from __future__ import annotations

import pytest

from muster.model.definition.validation import load
from muster.model.errors import WorkflowInvalidError

FILE = """\
name: report
inputs: {{n: {{type: integer}}, word: {{type: string, default: a}}}}
steps: [{{id: a, log: x}}]
schedule:
  {0}
  {1}
"""


@pytest.mark.parametrize(
    ("first", "second", "place", "says"),
    [
        ("overlap: skip", "", "4:1", "it says not when it is due. Write five fields"),
        ("every: 1h", "cron: 0 6 * * *", "5:3", "it cannot have both cron and every"),
        ("cron: 0 6 * *", "", "5:3", "cannot be read: wrong number of fields"),
        ("cron: 0 6 * * *", "timezone: Europe/Berln", "6:3", "did you mean Europe/Berlin?"),
        ("every: 1h", "overlap: replace", "6:3", "overlap"),
        ("every: 1h", "catchup: all", "6:3", "catch_up"),
        ("every: 1h", "inputs: {n: five}", "6:12", "the input n must be an integer"),
        ("every: 1h", "inputs: {words: a}", "6:12", "Did you mean word?"),
        ("every: 1h", 'inputs: {word: "${{ inputs.n }}"}', "6:12", "cannot be an expression"),
    ],
)
def test_a_problem_has_its_place(first: str, second: str, place: str, says: str) -> None:
    """Each problem is named with line and column, and with what to do."""
    with pytest.raises(WorkflowInvalidError) as raised:
        load(FILE.format(first, second).encode(), name="f.yaml")
    (problem,) = raised.value.data["problems"]
    assert f"f.yaml:{place}:" in str(problem)
    assert says in str(problem)


def test_what_overlaps_is_said_once() -> None:
    """A workflow with a concurrency of its own has no other overlap."""
    text = FILE.format("every: 1h", "overlap: queue") + "concurrency: {limit: 1}\n"
    with pytest.raises(WorkflowInvalidError, match="says what overlaps"):
        load(text.encode(), name="f.yaml")


def test_inputs_that_are_missing_may_be_given_later() -> None:
    """An input that the schedule does not give is given where it is set."""
    assert load(FILE.format("every: 1h", "").encode(), name="f.yaml").schedule is not None


def test_a_workflow_that_others_run_has_no_schedule() -> None:
    """It would never be looked at."""
    inner = b"""\
name: outer
steps: [{id: a, workflow: inner}]
workflows:
  inner:
    name: inner
    steps: [{id: a, log: x}]
    schedule: {every: 1h}
"""
    with pytest.raises(WorkflowInvalidError, match="would never be looked at"):
        load(inner, name="f.yaml")
