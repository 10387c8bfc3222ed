"""Every status and result of the predecessors, as it comes out here: run from the command line by real processes.

Which of their words is which of ours stands in docs/compatibility, in the parts called Statuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster import compatibility
from tests.acceptance.cli import Muster, muster
from tests.acceptance.seen import SAYS, Shown, begun, happened, moments, refused, run, shell, shown

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

DOCS = Path(__file__).resolve().parents[2] / "docs"


def words_of(system: str, *titles: str) -> list[str]:
    """The words in these parts of docs/compatibility, as far as they stand for a status."""
    [found] = [one for one in compatibility.systems(DOCS) if one.name == system]
    return [row.feature for part in found.parts if part.title in titles for row in part.rows]


# ---- pyconduit


def none(muster: Muster) -> None:
    found = begun(muster, shell("nap", "sleep 600"), shell("it", "true", needs=["nap"]), status="running")
    assert found["steps"]["it"]["status"] == "pending"
    muster("cancel", found["execution"], "--wait")


def done(muster: Muster) -> None:
    found = run(muster, shell("it", SAYS % '{"n": 1}', outputs={"n": {"type": "integer"}}))
    assert (found["status"], found["steps"]["it"]["status"]) == ("succeeded", "succeeded")
    assert found["steps"]["it"]["outputs"] == {"n": 1}


def skipped(muster: Muster) -> None:
    found = run(muster, shell("breaks", "exit 1"), shell("it", "true", needs=["breaks"]), code=1)
    assert (found["steps"]["it"]["status"], found["steps"]["it"]["reason"]) == ("skipped", "ending")
    steps = shell("breaks", "exit 1"), shell("it", "true", needs=["breaks"]), shell("other", "true")
    found = run(muster, *steps, on_failure="continue", code=1)
    assert (found["steps"]["it"]["status"], found["steps"]["it"]["reason"]) == ("skipped", "upstream")
    assert found["steps"]["other"]["status"] == "succeeded"


def unhandled_exception(muster: Muster) -> None:
    failed(run(muster, shell("it", "exit 7"), code=1), "ExecutionError")


def duplicate_step_ids(muster: Muster) -> None:
    assert refused(muster, shell("it", "touch ran"), shell("it", "true")) == ["DuplicateStepError"]
    assert not (muster.folder / "ran").exists()


def invalid_type(muster: Muster) -> None:
    step = shell("it", SAYS % '{"n": "three"}', outputs={"n": {"type": "integer"}})
    failed(run(muster, step, code=1), "InvalidTypeError")


def if_condition_failed(muster: Muster) -> None:
    found = run(muster, shell("it", "exit 1", **{"if": "1 > 2"}), shell("after", "true", needs=["it"]))
    assert found["status"] == "succeeded"
    assert (found["steps"]["it"]["status"], found["steps"]["it"]["reason"]) == ("skipped", "condition")
    assert found["steps"]["after"]["status"] == "succeeded"


def killed_manually(muster: Muster) -> None:
    id_ = begun(muster, shell("it", "sleep 600"), status="running")["execution"]
    muster("cancel", id_, "--wait", "--reason", "enough")
    found = shown(muster, id_)
    assert (found["status"], found["steps"]["it"]["status"]) == ("cancelled", "cancelled")


def failed(found: Shown, error: str) -> None:
    """The step called it failed with this error, and the execution with it."""
    step = found["steps"]["it"]
    assert (found["status"], step["status"]) == ("failed", "failed")
    assert step["error"]["name"] == found["error"]["name"] == error
    assert step["error"]["remedy"]


CONDUIT = {
    "NONE": none,
    "DONE": done,
    "SKIPPED": skipped,
    "UNHANDLED_EXCEPTION": unhandled_exception,
    "DUPLICATE_STEP_IDS": duplicate_step_ids,
    "INVALID_TYPE": invalid_type,
    "IF_CONDITION_FAILED": if_condition_failed,
    "KILLED_MANUALLY": killed_manually,
}


@pytest.mark.parametrize("status", CONDUIT)
def test_conduit_status(muster: Muster, status: str):
    """Each status of a step of pyconduit comes out of a run as what the table says."""
    assert status in {word.split()[0] for word in words_of("pyconduit", "Statuses")}
    CONDUIT[status](muster)


# ---- hymir


def test_hymir_job_statuses(muster: Muster):
    """A job that waits, starts, runs, succeeds and fails is seen as such at each point of the log."""
    first = shell("first", "true")
    found = run(muster, first, shell("it", "exit 1", needs=["first"]), code=1)
    seen: dict[str, list[str]] = {"first": [], "it": []}
    executions: list[str] = []
    for then in moments(muster, found["execution"]):
        executions += [then["status"]] if [then["status"]] != executions[-1:] else []
        for path, before in seen.items():
            status = then["steps"][path]["status"]
            seen[path] = before if before[-1:] == [status] else [*before, status]
    way = ["pending", "scheduled", "preparing", "running"]
    assert seen == {"first": [*way, "succeeded"], "it": [*way, "failed"]}
    assert executions == ["queued", "starting", "running", "failed"]


HYMIR = {
    "None": ("true", {}, "succeeded"),
    "Success": (SAYS % '{"value": 5}', {"value": 5}, "succeeded"),
    "Failure": (SAYS % '{"$result": "failure", "value": 5}', {}, "failed"),
    "Retry": (
        'test "$MUSTER_ATTEMPT" -gt 1 || ' + SAYS % '{"$result": "retry", "wait_max": "10ms"}',
        {},
        "succeeded",
    ),
    "CheckLater": (
        'test -n "$MUSTER_CONTEXT" || '
        + SAYS % '{"$result": "check_later", "wait_for": "10ms", "context": 5}',
        {},
        "succeeded",
    ),
    "InvalidJobReturn": (SAYS % '{"$result": "perhaps"}', {}, "failed"),
    "exception": ("exit 1", {}, "failed"),
}


@pytest.mark.parametrize("result", HYMIR)
def test_hymir_result(muster: Muster, result: str):
    """Each result that a job of hymir may return is one that a step may say."""
    script, outputs, status = HYMIR[result]
    declared = {"value": {"type": "integer", "required": False}}
    found = run(muster, shell("it", script, outputs=declared), code=int(status == "failed"))
    step = found["steps"]["it"]
    assert (found["status"], step["status"]) == (status, status)
    if outputs:
        assert step["outputs"] == outputs
    asked = [kind for kind, _ in happened(muster, found["execution"])]
    assert ("step.retrying" in asked) == (result == "Retry")
    assert ("step.waiting" in asked) == (result == "CheckLater")
    if result == "Failure":
        assert step["error"]["details"]["value"] == 5
    if result == "InvalidJobReturn":
        assert step["error"]["name"] == "OutputError"


# ---- Julep

EVERYTHING: list[dict[str, Any]] = [
    {"id": "pick", "if": "1 < 2", "then": [shell("a", "true")]},
    {"id": "ask", "needs": ["pick"], "wait_for_input": {"prompt": "Well?"}},
    {"id": "call", "needs": ["ask"], "workflow": "child"},
]
CHILD = {"child": {"name": "child", "steps": [{"id": "say", "log": "here"}]}}


def answered(muster: Muster) -> Shown:
    """An execution with a branch, a question that somebody answers, and a child."""
    id_ = begun(muster, *EVERYTHING, workflows=CHILD, status="awaiting_input")["execution"]
    muster("resume", id_, "--input", '{"ok": true}')
    muster("watch", id_)
    return shown(muster, id_)


def cancelled(muster: Muster) -> Shown:
    """An execution that somebody cancelled."""
    id_ = begun(muster, {"id": "it", "sleep": "1h"}, status="running")["execution"]
    muster("cancel", id_, "--wait")
    return shown(muster, id_)


def test_julep_statuses(muster: Muster):
    """All seven are seen, each at the point of the log where an execution had it."""
    went_well = answered(muster)
    seen = {then["status"] for then in moments(muster, went_well["execution"])}
    assert seen == {"queued", "starting", "running", "awaiting_input", "succeeded"}
    seen |= {run(muster, {"id": "it", "error": "no"}, code=1)["status"], cancelled(muster)["status"]}
    assert seen == {word for word in words_of("Julep", "Statuses") if " " not in word}


def test_julep_transition_types(muster: Muster):
    """Each type of Julep's stands in the record of an execution, under the name that the table gives it."""
    found = answered(muster)
    assert [(row["type"], row["step"]) for row in found["transitions"]] == [
        ("init", None),
        ("start", None),
        ("step", "pick"),
        ("step", "pick/then/a"),
        ("step", "ask"),
        ("wait", None),
        ("resume", None),
        ("step", "call"),
        ("finish", None),
    ]
    order = happened(muster, found["execution"])
    assert order.index(("step.succeeded", "pick/then/a")) < order.index(("step.succeeded", "pick"))
    [child] = found["children"]
    types = [row["type"] for row in shown(muster, child["execution"])["transitions"]]
    assert (types[0], types[-1]) == ("init", "finish")
    failed_ = run(muster, {"id": "it", "error": "no"}, code=1)
    assert failed_["transitions"][-1]["type"] == "error"
    assert cancelled(muster)["transitions"][-1]["type"] == "cancel"
