"""Errors: every one that is recorded anywhere."""

import json

from muster.model.errors import CommandInvalidError, ExecutionError, ImagePullError, RetriableError
from muster.model.log import catalogue as c
from tests.fixtures.histories import START, History
from tests.fixtures.views import fold, rows


def test_every_error_is_a_row(tmp_path):
    """Whatever event carries it: the errors of attempts, retries, steps, endings, executions and commands."""
    log = History()
    error = ExecutionError(exit_code=1).info(step="a")
    log.report("gpu-1", c.AttemptFailed(error=error, phase="run"), "x1", step="a", attempt=1)
    log.decide(
        c.StepRetrying(error=error, budget="run", used=1, due_at=START),
        "x1",
        step="a",
        attempt=1,
        machine="gpu-1",
    )
    log.decide(c.StepFailed(error=error), "x1", step="a", attempt=2)
    log.decide(c.ExecutionEnding(outcome="failed", error=error), "x1")
    log.queue("x1", ["a"])
    log.move(c.ExecutionFailed, "x1", "error", error=error)
    log.decide(c.CommandRefused(command="c1", verb="submit", error=CommandInvalidError().info()))
    found = rows(fold(tmp_path / "view.db", log.events), "errors")
    assert [each["kind"] for each in found] == [
        "attempt.failed",
        "step.retrying",
        "step.failed",
        "execution.ending",
        "execution.failed",
        "command.refused",
    ]
    first, last = found[0], found[-1]
    assert (first["machine"], first["phase"], first["attempt"], first["step"]) == ("gpu-1", "run", 1, "a")
    assert (first["code"], first["name"]) == ("execution", "ExecutionError")
    assert first["remedy"].startswith("Read the step's logs")
    assert (last["execution"], last["machine"]) == (None, None)


def test_the_cause_is_kept_whole(tmp_path):
    """The error behind an error, and the one behind that, can be read."""
    log = History()
    inner = ExecutionError(cause=ImagePullError(image="x:1"))
    log.decide(c.StepFailed(error=RetriableError(cause=inner).info()), "x1", step="a")
    (found,) = rows(fold(tmp_path / "view.db", log.events), "errors")
    assert found["code"] == "retriable"
    assert json.loads(found["cause"])["cause"]["details"] == {"image": "x:1"}


def test_an_end_without_an_error_is_none(tmp_path):
    """execution.ending of a cancel makes no row."""
    log = History()
    log.decide(c.ExecutionEnding(outcome="cancelled"), "x1")
    assert rows(fold(tmp_path / "view.db", log.events), "errors") == []
