"""hymir's serialized workflows, carried over, and how their jobs are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from muster.importers import imported
from muster.model.definition.validation import validate
from muster.model.errors import WorkflowInvalidError
from tests.unit.agents.harness.conversation import Conversation


def job(name: str, identity: int, **fields: Any) -> dict[str, Any]:
    """A node as hymir 0.1.9 writes it."""
    short = {"n": name, "i": identity, "a": [], "k": {}, ">": None, "<": None, "m": None}
    return {"id": str(identity), "job": short | fields}


WORDS = {
    "directed": True,
    "graph": {},
    "multigraph": False,
    "nodes": [
        job("jobs.fetch", 1, a=["https://example.org"], **{">": "text"}),
        job("jobs.count", 2, k={"kind": "words"}, **{">": "counts", "<": ["text"]}),
        job(
            "jobs.count",
            3,
            k={"kind": "lines"},
            **{">": "counts", "<": ["text"], "m": {"celery": {"queue": "big"}}},
        ),
        job(
            "jobs.report",
            4,
            k={"title": "T"},
            **{"<": [["counts", "numbers"], "title", "job_id", "workflow_state"]},
        ),
    ],
    "links": [
        {"source": "1", "target": "2"},
        {"source": "1", "target": "3"},
        {"source": "2", "target": "4"},
        {"source": "3", "target": "4"},
    ],
}


def test_jobs_edges_and_bindings_are_carried():
    """Names come from the functions, explicit arguments win over bindings, several outputs of one name are a list."""
    found = imported("hymir", WORDS, name="my words", image="jobs:1")
    workflow = found.workflow
    assert validate(workflow) == []
    assert (workflow.name, workflow.inputs["image"].default) == ("my-words", "jobs:1")
    assert [(step.id, step.needs) for step in workflow.steps] == [
        ("fetch", []),
        ("count", ["fetch"]),
        ("count-2", ["fetch"]),
        ("report", ["count", "count-2"]),
    ]
    assert {step.function for step in workflow.steps} == {"jobs:fetch", "jobs:count", "jobs:report"}
    assert workflow.steps[0].inputs == {"0": "https://example.org", "$hymir": {"output": "text"}}
    assert workflow.steps[1].inputs == {
        "kind": "words",
        "text": ["${{ steps.fetch.outputs.text }}"],
        "$hymir": {"bound": ["text"], "output": "counts"},
    }
    assert workflow.steps[3].inputs == {
        "title": "T",
        "numbers": ["${{ steps.count.outputs.counts }}", '${{ steps["count-2"].outputs.counts }}'],
        "$hymir": {"bound": ["numbers"]},
    }
    assert list(workflow.outputs) == ["text", "counts"]


def test_what_is_lost_is_said():
    """Each with its job; the order of several outputs is another, which is said too."""
    found = imported("hymir", WORDS, name="w", image=None)
    assert [str(note) for note in found.notes] == [
        "not carried: job 3 (jobs.count): its meta ['celery']: say with machine and resources where it runs.",
        "not carried: job 4 (jobs.report): its input workflow_state: a container has no workflow_state to look into.",
        "changed: outputs: the values of an output stand in the order of the jobs, not in that of their ends.",
    ]
    assert found.workflow.inputs["image"].default is UNSET


def test_the_callback_is_run_at_the_end():
    """Also where the graph stands beside it; one for anything else is lost."""
    callback = job("jobs.bye", 9, **{"<": ["workflow_id", "workflow"]})["job"]
    data = {"graph": WORDS, "callbacks": {"on_finished": callback, "on_started": callback}}
    found = imported("hymir", data, name="w", image="i")
    assert [(step.id, step.function, step.inputs) for step in found.workflow.on_finish] == [
        ("bye", "jobs:bye", {"$hymir": {}})
    ]
    assert {note.place for note in found.lost} >= {"callback on_finished", "callback on_started"}


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"nodes": 5},
        {"nodes": [5]},
        {"nodes": [{"id": "1", "job": {"x": 1}}]},
        {"nodes": [], "links": [{}]},
    ],
    ids=repr,
)
def test_what_is_no_workflow_is_refused(data: Any):
    """In a sentence that says what to give."""
    with pytest.raises(WorkflowInvalidError):
        imported("hymir", data, name="w", image=None)


def test_an_input_nobody_gives_is_lost():
    """As is one that only a later job gives."""
    nodes = [job("j.a", 1, **{"<": ["late"]}), job("j.b", 2, **{">": "late"})]
    data = {"nodes": nodes, "edges": [{"source": "1", "target": "2"}]}
    (note,) = imported("hymir", data, name="w", image="i").lost
    assert note.message == "its input late, which no job before it gives."


# ---- the call

JOBS = """
import functools

class Success:
    def __init__(self, result=None): self.result = result
class Failure(Success): pass
class Retry:
    wait_min = wait_max = max_retries = None
    def __init__(self, **asked): self.__dict__.update(asked)
class CheckLater:
    def __init__(self, wait_for=None, context=None): self.wait_for, self.context = wait_for, context

def job(f):
    @functools.wraps(f)
    def made(*args, **kwargs): raise RuntimeError("called as a job")
    return made

@job
def total(start, *, numbers: list[int], factor: str): return Success((start + sum(numbers)) * factor)
@job
def nothing(): return None
@job
def fails(): return Failure({"code": 4})
@job
def again(): return Retry(wait_max=5, max_retries=2)
@job
def later(job_state, job_id):
    return CheckLater(wait_for=3, context={"n": job_state.context.get("n", 0) + 1, "id": job_id})
@job
def odd(): return 5
"""


def run(
    folder: Path, job: str, context: Any = None, bound: Any = None, output: str = "", **given: Any
) -> Any:
    """What the harness says of a job, as the agent would ask for it."""
    known = ({"bound": list(bound)} if bound else {}) | ({"output": output} if output else {})
    inputs = given | (bound or {}) | {"$hymir": known}
    with Conversation(folder, JOBS) as talk:
        talk.load(job)
        answer = talk.call(inputs, id_="x1/s/1", context=context, execution="x1", step="s", attempt=1)
        assert talk.end() == 0
    return answer["result"] if "result" in answer else {"error": answer["error"]}


def raised(said: Any) -> str:
    """Why it gave nothing."""
    return str(said["error"]["message"])


def test_a_job_is_called_with_what_it_is_bound_to(tmp_path: Path):
    """A list where it takes one, else the single value; hymir looked at no other hint."""
    first: dict[str, Any] = {"0": 1}
    bound = {"numbers": [1, 2], "factor": [10]}
    said = run(tmp_path, "total", bound=bound, output="sum", **first)
    assert said == {"$returned": {"sum": 40}}
    assert run(tmp_path, "nothing") == {"$returned": {}}
    said = run(tmp_path, "total", bound={"numbers": [1], "factor": [1, 2]}, **first)
    assert "expected a single value for the input factor" in raised(said)


def test_every_result_of_a_job_is_said(tmp_path: Path):
    """Failure keeps its value, Retry its bounds, CheckLater its context; anything else is an error."""
    assert run(tmp_path, "fails")["value"] == {"code": 4}
    assert run(tmp_path, "again") == {"$result": "retry", "wait_max": 5, "max_retries": 2}
    later = {"$result": "check_later", "wait_for": 3, "context": {"n": 8, "id": "s"}}
    assert run(tmp_path, "later", context={"n": 7}) == later
    assert "which is no result" in raised(run(tmp_path, "odd"))
