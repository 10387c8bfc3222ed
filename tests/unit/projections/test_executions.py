"""Executions: events in, one row out."""

import json

from muster.model.errors import ExecutionError
from muster.model.log import catalogue as c
from tests.fixtures.histories import History
from tests.fixtures.views import fold, row, rows


def _running(**data) -> History:
    log = History()
    log.queue("x1", ["a", "b"], **data)
    log.move(c.ExecutionStarted, "x1", "start")
    return log


def test_an_accepted_execution_has_a_row(tmp_path):
    """From execution.queued on there is a row with what was submitted, and nothing that is not known yet."""
    log = History()
    log.queue("x1", ["a", "b"], labels={"team": "a"}, metadata={"k": [1]}, rerun_of="x0")
    found = row(tmp_path, log, "executions")
    assert found == {
        "id": "x1",
        "workflow": "letters",
        "status": "queued",
        "ending": None,
        "inputs": '{"x":1}',
        "outputs": None,
        "error_code": None,
        "error": None,
        "reason": None,
        "concurrency_key": None,
        "priority": 0,
        "timeout_s": None,
        "tags": "[]",
        "labels": '{"team":"a"}',
        "metadata": '{"k":[1]}',
        "digest": "d1",
        "rerun_of": "x0",
        "parent": None,
        "parent_step": None,
        "schedule": None,
        "due_at": None,
        "steps": 2,
        "transitions": 1,
        "created_at": "2026-03-01T12:00:00.000000Z",
        "started_at": None,
        "ended_at": None,
        "updated_at": "2026-03-01T12:00:00.000000Z",
        "sequence": 1,
    }


def test_success_is_recorded_with_the_outputs(tmp_path):
    """A finished execution has its outputs, its three times and the number of its transitions."""
    log = _running()
    log.move(c.StepStarted, "x1", "step", machine="gpu-1", step="a", attempt=1)
    log.move(c.ExecutionSucceeded, "x1", "finish", outputs={"y": 2})
    found = row(tmp_path, log, "executions")
    assert (found["status"], found["outputs"], found["transitions"]) == ("succeeded", '{"y":2}', 4)
    assert found["created_at"] < found["started_at"] < found["ended_at"] == found["updated_at"]
    assert found["sequence"] == 4


def test_failure_is_known_from_the_ending_on(tmp_path):
    """execution.ending tells outcome and error before the status changes."""
    log = _running()
    error = ExecutionError(exit_code=3).info(step="a")
    log.decide(c.ExecutionEnding(outcome="failed", error=error), "x1")
    ending = row(tmp_path, log, "executions")
    assert (ending["status"], ending["ending"], ending["error_code"]) == ("starting", "failed", "execution")
    assert ending["ended_at"] is None
    log.move(c.ExecutionFailed, "x1", "error", error=error)
    failed = row(tmp_path, log, "executions")
    assert (failed["status"], failed["ending"]) == ("failed", "failed")
    assert json.loads(failed["error"])["step"] == "a"


def test_a_cancel_keeps_its_reason(tmp_path):
    """The reason given with the ending stays where the cancellation itself says none."""
    log = _running()
    log.decide(c.ExecutionEnding(outcome="cancelled", reason="enough"), "x1")
    log.move(c.ExecutionCancelled, "x1", "cancel")
    found = row(tmp_path, log, "executions")
    assert (found["status"], found["reason"]) == ("cancelled", "enough")


def test_waiting_has_a_reason_and_resuming_ends_it(tmp_path):
    """While it waits the row says for what; afterwards it does not."""
    log = _running()
    log.move(c.ExecutionWaiting, "x1", "wait", reason="input")
    waiting = row(tmp_path, log, "executions")
    assert (waiting["status"], waiting["reason"]) == ("awaiting_input", "input")
    log.move(c.ExecutionResumed, "x1", "resume")
    resumed = row(tmp_path, log, "executions")
    assert (resumed["status"], resumed["reason"]) == ("running", None)


def test_decisions_about_steps_touch_the_execution(tmp_path):
    """The row's sequence and time are those of the last decision about it or its steps, not of an agent's fact."""
    log = _running()
    log.connect("gpu-1")
    scheduled = log.schedule("x1", "a", 1, "gpu-1")
    log.report("gpu-1", c.AttemptAccepted(), "x1", step="a", attempt=1)
    assert row(tmp_path, log, "executions")["sequence"] == scheduled.sequence


def test_a_cleared_execution_is_forgotten(tmp_path):
    """execution.cleared takes the execution's rows from every table, and no other execution's."""
    log = _running()
    log.queue("x2", ["a"])
    log.connect("gpu-1")
    for execution in ("x1", "x2"):
        log.schedule(execution, "a", 1, "gpu-1")
        list(log.prepare(execution, "a", 1, "gpu-1"))
        log.decide(c.StepFailed(error=ExecutionError().info()), execution, step="a", attempt=1)
    log.decide(c.ExecutionCleared(), "x1")
    for name, cuts in (("once.db", []), ("apart.db", range(1, log.sequence))):
        view = fold(tmp_path / name, log.events, cuts=cuts)
        assert {found["id"] for found in rows(view, "executions")} == {"x2"}
        for table in ("transitions", "steps", "attempts", "lifecycle", "errors"):
            assert {found["execution"] for found in rows(view, table)} == {"x2"}
