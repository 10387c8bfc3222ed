"""pyconduit's jobs, carried over, and the program that runs its blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster.importers import Imported, imported
from muster.model.definition.validation import validate
from muster.model.definition.workflow import Limits, Step
from muster.model.errors import WorkflowInvalidError
from muster.model.expressions.template import render
from tests.unit.agents.harness.conversation import Conversation

JOB: dict[str, Any] = {
    "id": "job-1",
    "name": "Greeting Job",
    "tags": ["network"],
    "step_limit": 10,
    "variables": {"count": 1},
    "local_values": {"name": "you", "list": [1, 2]},
    "global_values": {"secret": "x"},
    "steps": [
        {
            "action": "TEXT.JOIN",
            "parameters": {"text": "Hello {< name >}, {# count #}!", "of": "{< list.1 >}"},
            "id": "Hi",
        },
        {"action": "VARIABLE.SET", "parameters": {"name": "count", "value": "{: Hi :}"}},
        {
            "action": "LOGIC.IF",
            "parameters": {"value": "{% steps.Hi.result.0.name %}"},
            "if": ["{# count #}", "{: Hi :}"],
        },
        {"action": "MY.TIDY", "parameters": {"found": "{: 3 :}"}, "forced": True},
        {"action": "VARIABLE.GET", "parameters": {"name": "count"}},
    ],
}


def carried(*steps: dict[str, Any], **fields: Any) -> Imported:
    """A job of these steps."""
    return imported("pyconduit", {"steps": list(steps), **fields}, name="w", image="blocks:1")


def steps_of(found: Imported) -> list[Step]:
    """The steps in the chain."""
    (chain,) = found.workflow.steps
    assert chain.chain is not None
    return chain.chain


def test_a_job_is_a_chain_of_its_steps():
    """Locals are inputs, variables a set step, forced is always; ids are names of Muster."""
    found = imported("pyconduit", JOB, name="x", image="blocks:1")
    assert validate(found.workflow) == []
    assert found.workflow.name == "greeting-job"
    assert {name: one.default for name, one in found.workflow.inputs.items()} == {
        "name": "you",
        "list": [1, 2],
        "image": "blocks:1",
    }
    variables, hi, two, three, four, five = steps_of(found)
    assert variables.set == {"count": 1}
    assert hi.inputs == {
        "action": "TEXT.JOIN",
        "parameters": {"text": "Hello ${{ inputs.name }}, ${{ vars.count }}!", "of": "${{ inputs.list[1] }}"},
        "tags": ["network"],
    }
    assert (two.id, two.set) == ("2", {"count": "${{ steps.hi.outputs.result }}"})
    assert three.inputs["parameters"] == {"value": "${{ steps.hi.outputs.result[0].name }}"}
    assert four.always
    assert five.get == "count"
    assert found.workflow.outputs == {"result": '${{ steps["5"].outputs.value }}'}


def test_what_is_lost_is_said():
    """Hidden values; a step that is renamed, and a limit that is exact, are only changed."""
    found = imported("pyconduit", JOB, name="x", image=None)
    assert [note.place for note in found.lost] == ["global_values"]
    assert [str(note) for note in found.notes if not note.lost] == [
        "changed: step Hi (TEXT.JOIN): it is called hi here.",
        "changed: step_limit: exactly 10 steps of the job begin; pyconduit let one more.",
    ]
    assert found.workflow.tags == ["network"]
    assert found.workflow.limits == Limits(steps=11)  # the first values of its variables are a step, too


@pytest.mark.parametrize(
    ("value", "holds"),
    [(0, False), ("", False), ([], False), ({}, False), (None, False), (1, True), ("x", True)],
)
def test_a_condition_is_what_python_takes_for_true(value: Any, holds: bool):
    """Any value counts, as it did."""
    found = carried({"action": "A.B", "if": "{< v >}"}, local_values={"v": value})
    written = steps_of(found)[0].if_
    assert isinstance(written, list)
    (condition,) = written
    assert isinstance(condition, str)
    assert render(condition, {"inputs": {"v": value}}) is holds


def test_what_a_skipped_step_returned_is_null():
    """As it was None; of one that always runs nothing else is asked."""
    found = carried({"action": "A.B", "id": "a", "if": "{< v >}"}, {"action": "A.C", "parameters": {"x": "{: a :}"}},
                    local_values={"v": 1})  # fmt: skip
    text = steps_of(found)[1].inputs["parameters"]["x"]
    assert render(text, {"steps": {"a": {"status": "skipped"}}}) is None
    assert render(text, {"steps": {"a": {"status": "succeeded", "outputs": {"result": 5}}}}) == 5


LOST = {
    "a later step": "{: late :}",
    "no step": "{: nowhere :}",
    "no variable": "{# nowhere #}",
    "a later variable": "{# later #}",
    "no local": "{< nowhere >}",
    "a slice": "{< list.1:2 >}",
    "from the end": "{< list.-1 >}",
    "hidden": "{< _list >}",
    "nested": "{% steps.{% job.name %}.result %}",
    "how a step was written": "{% steps.first.action %}",
    "success": "{% job.success %}",
    "no value": "{: first :}",
}


@pytest.mark.parametrize("case", LOST)
def test_a_tag_that_has_no_expression_is_named(case: str):
    """Null stands in its place, and the workflow is valid all the same."""
    found = carried(
        {"action": "VARIABLE.SET", "parameters": {"name": "v", "value": 1}, "id": "first"},
        {"action": "A.B", "parameters": {"x": LOST[case]}, "id": "mine"},
        {"action": "VARIABLE.SET", "parameters": {"name": "later", "value": 1}, "id": "late"},
        local_values={"list": [1, 2]},
    )
    (note,) = found.lost
    assert note.place == "step mine (A.B)"
    assert "null stands in its place" in note.message
    assert validate(found.workflow) == []


def test_a_literal_of_muster_stays_text():
    """What looks like an expression here was none there."""
    found = carried({"action": "A.B", "parameters": {"x": "${{ inputs.secret }}", "{# v #}": 1}})
    assert render(steps_of(found)[0].inputs["parameters"]["x"], {}) == "${{ inputs.secret }}"
    assert [note.message for note in found.lost] == [
        "the tag in the key '{# v #}': keys are no expressions here."
    ]


@pytest.mark.parametrize(
    "data", [5, {}, [], {"steps": 5}, [5], [{"parameters": {}}], [{"action": 5}]], ids=repr
)
def test_what_is_no_job_is_refused(data: Any):
    """In a sentence that says what to give."""
    with pytest.raises(WorkflowInvalidError):
        imported("pyconduit", data, name="w", image=None)


FAKE = """
import asyncio
class Status:
    def __init__(self, name, value): self.name, self.value = name, value
class Step: pass
class Conduit:
    def __init__(self, tags): self.tags = tags
    def create_step(self, action, parameters, id):
        self.made = (next(iter([] if action == "NO.BLOCK" else [action])), parameters, id)
    async def run(self):
        action, parameters, _ = self.made
        self.step = Step()
        failed = action != "TEXT.JOIN"
        self.step.status = Status("ASSERTION_ERROR", 106) if failed else Status("DONE", 0)
        self.step.return_value = "0" if failed else [self.tags, parameters]
    def get_step(self, id): return self.step
"""


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("TEXT.JOIN", {"$returned": {"result": [["t"], {"a": 1}]}}),
        ("LOGIC.ASSERT", {"$result": "failure", "reason": "ASSERTION_ERROR: 0"}),
        ("NO.BLOCK", {"$result": "failure", "reason": "BLOCK_NOT_FOUND: no block is called NO.BLOCK"}),
    ],
)
def test_a_block_is_run_by_pyconduit_itself(action: str, said: Any, tmp_path: Path):
    """What it returned is the result; a status other than DONE is a failure that names it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "pyconduit.py").write_text(FAKE)
    with Conversation(tmp_path, "from muster_function.pyconduit import run") as talk:
        talk.load("run")
        answer = talk.call({"action": action, "parameters": {"a": 1}, "tags": ["t"]})
        assert talk.end() == 0
    assert answer["result"] == said
