"""Attempts: what was ordered and what the agent reported."""

import json

import pytest

from muster.model.errors import OutOfMemoryError
from muster.model.log import catalogue as c
from tests.fixtures.histories import History
from tests.fixtures.views import row

WHERE = {"step": "a", "attempt": 1}


@pytest.fixture
def log() -> History:
    made = History()
    made.queue("x1", ["a"])
    made.connect("gpu-1")
    made.schedule("x1", "a", 1, "gpu-1")
    return made


def test_an_ordered_attempt_has_a_row(tmp_path, log):
    """step.scheduled makes the row: machine, the connection it is meant for, when."""
    found = row(tmp_path, log, "attempts")
    assert (found["status"], found["machine"], found["session"]) == ("scheduled", "gpu-1", 2)
    assert (found["superseded"], found["phase"]) == (None, None)


def test_the_phases_in_their_order(tmp_path, log):
    """Each fact moves status and phase and leaves what it tells."""
    seen = []
    for _ in log.prepare("x1", "a", 1, "gpu-1"):
        found = row(tmp_path, log, "attempts")
        seen.append((found["status"], found["phase"]))
    assert seen == [
        ("accepted", None),
        ("pulling", "pull"),
        ("pulling", "pull"),
        ("starting", "start"),
        ("starting", "start"),
        ("running", "run"),
    ]
    assert (found["image"], found["digest"], found["cached"]) == ("busybox:1", "sha256:1", 0)
    assert (found["image_size"], found["pull_s"], found["start_s"]) == (4096, 0.5, 0.25)
    assert found["container"] == "c-x1-a-1"
    assert found["scheduled_at"] < found["accepted_at"] < found["started_at"]


def test_a_function_is_loaded_between_start_and_run(tmp_path, log):
    """function.loading and function.loaded are the phase load; the status is still starting."""
    log.report("gpu-1", c.FunctionLoading(function="app:f"), "x1", **WHERE)
    loading = row(tmp_path, log, "attempts")
    assert (loading["status"], loading["phase"], loading["function"]) == ("starting", "load", "app:f")
    log.report("gpu-1", c.FunctionLoaded(function="app:f", seconds=2.0), "x1", **WHERE)
    assert row(tmp_path, log, "attempts")["load_s"] == 2.0


def test_a_good_end(tmp_path, log):
    """The container's exit and the attempt's end leave exit code, use of resources and seconds by phase."""
    list(log.prepare("x1", "a", 1, "gpu-1"))
    list(log.finish("x1", "a", 1, "gpu-1"))
    found = row(tmp_path, log, "attempts")
    assert (found["status"], found["exit_code"], found["cpu_s"], found["oom_killed"]) == (
        "finished",
        0,
        0.75,
        0,
    )
    assert json.loads(found["seconds"]) == {"pull": 0.5, "run": 1.5}
    assert found["ended_at"] is not None


def test_a_bad_end(tmp_path, log):
    """A failed attempt says in which phase, with which error, why, and whether trying again can help."""
    error = OutOfMemoryError().info(**WHERE)
    log.report(
        "gpu-1", c.AttemptFailed(error=error, phase="run", retriable=False, exit_code=137), "x1", **WHERE
    )
    found = row(tmp_path, log, "attempts")
    assert (found["status"], found["phase"], found["error_code"]) == ("failed", "run", "out_of_memory")
    assert (found["reason"], found["retriable"], found["exit_code"]) == ("error", 0, 137)


def test_a_stop(tmp_path, log):
    """A stopped attempt says why."""
    log.report("gpu-1", c.AttemptStopped(reason="cancelled"), "x1", **WHERE)
    found = row(tmp_path, log, "attempts")
    assert (found["status"], found["reason"]) == ("stopped", "cancelled")


def test_only_the_last_progress_is_kept(tmp_path, log):
    """Progress overwrites progress."""
    for current in (1.0, 2.0):
        log.report("gpu-1", c.AttemptProgress(phase="pull", current=current, total=4.0), "x1", **WHERE)
    assert json.loads(row(tmp_path, log, "attempts")["progress"])["current"] == 2.0


def test_a_late_fact_does_not_bring_back_a_superseded_attempt(tmp_path, log):
    """After the supersession facts fill their columns; status and superseded stay."""
    log.decide(c.AttemptSuperseded(machine="gpu-1", reason="offline"), "x1", **WHERE)
    list(log.prepare("x1", "a", 1, "gpu-1"))
    list(log.finish("x1", "a", 1, "gpu-1"))
    found = row(tmp_path, log, "attempts")
    assert (found["status"], found["superseded"], found["superseded_reason"]) == ("superseded", 1, "offline")
    assert (found["reported"], found["exit_code"]) == ("finished", 0)


def test_superseding_twice_keeps_the_first_reason(tmp_path, log):
    """An attempt once superseded stays so, for the reason first given."""
    for reason in ("offline", "cancelled"):
        log.decide(c.AttemptSuperseded(machine="gpu-1", reason=reason), "x1", **WHERE)
    assert row(tmp_path, log, "attempts")["superseded_reason"] == "offline"


def test_a_call_into_a_container_that_was_there(tmp_path, log):
    """Which container it was, and that it was warm; one that was started for the attempt is not."""
    log.report("gpu-1", c.AttemptStarted(container="c1", warm=True), "x1", **WHERE)
    found = row(tmp_path, log, "attempts")
    assert (found["container"], found["warm"]) == ("c1", 1)
    log.report("gpu-1", c.AttemptStarted(), "x1", **WHERE)
    found = row(tmp_path, log, "attempts")
    assert (found["container"], found["warm"]) == ("c1", 0)
