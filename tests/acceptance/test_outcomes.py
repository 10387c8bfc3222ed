"""Every status and result of the predecessors, as it comes out here: run from the command line by real processes.

Which of their words is which of ours stands in docs/compatibility, in the parts called Statuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster import compatibility
from tests.acceptance.cli import Muster, muster
from tests.acceptance.seen import SAYS, Shown, begun, call, happened, moments, refused, run, shell, shown

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(150)]

BLOCKS = """
from muster_function import CheckLater, Failure, Retry

def none(): return None
def success(): return {"value": 5}
def failure(): return Failure(5)
def retry(muster): return {"value": 5} if muster.attempt > 1 else Retry()
def check_later(context=None): return {"value": context} if context else CheckLater("10ms", 5)
def invalid(): return {"$result": "perhaps"}
def exception(): raise RuntimeError("it broke")
def argument(): raise ValueError("no such city")
def assertion(): assert 1 == 2, "one is not two"
def typed(n: int): return n
"""
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
    failed(run(muster, call(muster, "it", "blocks:exception"), code=1), "FunctionExecutionError")
    failed(run(muster, shell("it", "exit 7"), code=1), "ExecutionError")


def block_not_found(muster: Muster) -> None:
    failed(run(muster, call(muster, "it", "blocks:nobody"), code=1), "FunctionNotFoundError")
    failed(run(muster, call(muster, "it", "no_module:it"), code=1), "FunctionNotFoundError")


def invalid_argument(muster: Muster) -> None:
    found = run(muster, call(muster, "it", "blocks:argument"), code=1)
    failed(found, "InvalidArgumentError")
    assert "no such city" in found["error"]["message"]


def forbidden_block(muster: Muster) -> None:
    step = shell("it", "touch ran", tags=["network", "disk"])
    assert refused(muster, step, tags=["network"]) == ["ForbiddenFunctionError"]
    assert not (muster.folder / "ran").exists()
    assert (
        run(muster, shell("it", "true", tags=["network"]), tags=["network", "more"])["steps"]["it"]["status"]
        == "succeeded"
    )


def assertion_error(muster: Muster) -> None:
    found = run(muster, call(muster, "it", "blocks:assertion"), code=1)
    failed(found, "AssertionFailedError")
    assert "one is not two" in found["error"]["message"]


def duplicate_step_ids(muster: Muster) -> None:
    assert refused(muster, shell("it", "touch ran"), shell("it", "true")) == ["DuplicateStepError"]
    assert not (muster.folder / "ran").exists()


def invalid_type(muster: Muster) -> None:
    failed(run(muster, call(muster, "it", "blocks:typed", n="three"), code=1), "InvalidTypeError")
    step = shell("it", SAYS % '{"n": "three"}', outputs={"n": {"type": "integer"}})
    failed(run(muster, step, code=1), "InvalidTypeError")


def step_limit_exceed(muster: Muster) -> None:
    steps = shell("one", "touch ran"), shell("it", "true")
    assert refused(muster, *steps, limits={"steps": 1}) == ["StepLimitError"]
    assert not (muster.folder / "ran").exists()
    one = {"in": "${{ inputs.all }}", "max_parallel": 1, "steps": [shell("a", "true")]}
    more = {"inputs": {"all": {"default": [1, 2]}}, "limits": {"steps": 2}}
    found = run(muster, {"id": "each", "for_each": one}, **more, code=1)
    assert found["steps"]["each/0/a"]["status"] == "succeeded"
    assert found["steps"]["each/1/a"]["error"]["name"] == found["error"]["name"] == "StepLimitError"


def block_limit_exceed(muster: Muster) -> None:
    steps = [call(muster, id_, "blocks:success") for id_ in ("one", "two", "three")]
    assert refused(muster, *steps, limits={"functions": {"blocks:*": 2}}) == ["FunctionLimitError"]
    one = {"in": "${{ inputs.all }}", "max_parallel": 1, "steps": [call(muster, "a", "blocks:success")]}
    more = {"inputs": {"all": {"default": [1, 2]}}, "limits": {"functions": {"blocks:s*": 1}}}
    found = run(muster, {"id": "each", "for_each": one}, **more, code=1)
    assert found["steps"]["each/0/a"]["status"] == "succeeded"
    assert found["steps"]["each/1/a"]["error"]["name"] == found["error"]["name"] == "FunctionLimitError"


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
    "BLOCK_NOT_FOUND": block_not_found,
    "INVALID_ARGUMENT": invalid_argument,
    "DUPLICATE_STEP_IDS": duplicate_step_ids,
    "FORBIDDEN_BLOCK": forbidden_block,
    "ASSERTION_ERROR": assertion_error,
    "INVALID_TYPE": invalid_type,
    "STEP_LIMIT_EXCEED": step_limit_exceed,
    "BLOCK_LIMIT_EXCEED": block_limit_exceed,
    "IF_CONDITION_FAILED": if_condition_failed,
    "KILLED_MANUALLY": killed_manually,
}


@pytest.fixture(scope="module", autouse=True)
def blocks(muster: Muster) -> None:
    """The functions that are called, where steps find them."""
    muster.write("blocks.py", BLOCKS)


def test_no_conduit_status_is_left_out():
    """The thirteen of the release and the one of the branch, as the table has them."""
    rows = [word.split()[0] for word in words_of("pyconduit", "Statuses")]
    assert [word for word in rows if word.isupper()] == list(CONDUIT)
    assert len(CONDUIT) == 14


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
    "None": ("none", "true", "succeeded"),
    "Success": ("success", SAYS % '{"value": 5}', "succeeded"),
    "Failure": ("failure", SAYS % '{"$result": "failure", "value": 5}', "failed"),
    "Retry": (
        "retry",
        'test "$MUSTER_ATTEMPT" -gt 1 || ' + SAYS % '{"$result": "retry", "wait_max": "10ms"}',
        "succeeded",
    ),
    "CheckLater": (
        "check_later",
        'test -n "$MUSTER_CONTEXT" || '
        + SAYS % '{"$result": "check_later", "wait_for": "10ms", "context": 5}',
        "succeeded",
    ),
    "InvalidJobReturn": ("invalid", SAYS % '{"$result": "perhaps"}', "failed"),
    "exception": ("exception", "exit 1", "failed"),
}


@pytest.mark.parametrize("how", ["function", "command"])
@pytest.mark.parametrize("result", HYMIR)
def test_hymir_result(muster: Muster, result: str, how: str):
    """Each result that a job of hymir may return is one that a function may return, and a command may say."""
    function, script, status = HYMIR[result]
    step = call(muster, "it", f"blocks:{function}") if how == "function" else shell("it", script)
    declared = {"outputs": {"value": {"type": "any", "required": False}}}
    found = run(muster, step | declared, code=int(status == "failed"))
    ended = found["steps"]["it"]
    assert (found["status"], ended["status"]) == (status, status)
    kinds = [kind for kind, _ in happened(muster, found["execution"])]
    assert ("step.retrying" in kinds) == (result == "Retry")
    assert ("step.waiting" in kinds) == (result == "CheckLater")
    if result == "Success":
        assert ended["outputs"] == {"value": 5}
    if result == "CheckLater" and how == "function":
        assert ended["outputs"] == {"value": 5}
    if result == "Failure":
        assert ended["error"]["details"]["value"] == 5
    if result == "InvalidJobReturn":
        assert ended["error"]["name"] == "OutputError"
    if result == "exception" and how == "function":
        assert "it broke" in ended["error"]["details"]["traceback"]


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
