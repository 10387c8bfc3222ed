"""Transitions: each change of status, once, in order."""

import json

from muster.model.errors import StepTimeoutError
from muster.model.log import catalogue as c
from muster.model.log.transitions import TABLE
from muster_projections.transitions import TRANSITIONS
from tests.fixtures.histories import History
from tests.fixtures.views import fold, rows


def test_every_transition_is_a_row(tmp_path):
    """Number, time, type and both statuses are the event's own; label and step are those of the step."""
    log = History()
    log.queue("x1", ["a"])
    log.move(c.ExecutionStarted, "x1", "start")
    log.move(c.StepStarted, "x1", "step", machine="gpu-1", step="a", attempt=1)
    log.move(c.ExecutionSucceeded, "x1", "finish", outputs={"y": 1})
    found = rows(fold(tmp_path / "view.db", log.events), "transitions")
    shown = [
        tuple(each[name] for name in ("number", "type", "before", "after", "step", "label")) for each in found
    ]
    assert shown == [
        (1, "init", None, "queued", None, "letters"),
        (2, "start", "queued", "starting", None, None),
        (3, "step", "starting", "running", "a", "a"),
        (4, "finish", "running", "succeeded", None, None),
    ]
    assert [each["sequence"] for each in found] == [1, 2, 3, 4]
    assert [each["event_id"] for each in found] == ["x1:1", "x1:2", "x1:3", "x1:4"]
    assert [each["output"] for each in found] == [None, None, None, '{"y":1}']
    assert json.loads(found[2]["metadata"]) == {"machine": "gpu-1", "attempt": 1, "cause": "c"}


def test_a_failure_has_its_error(tmp_path):
    """The transition of type error carries the whole error."""
    log = History()
    log.queue("x1", ["a"])
    log.move(c.ExecutionFailed, "x1", "error", error=StepTimeoutError(phase="run").info(step="a"))
    last = rows(fold(tmp_path / "view.db", log.events), "transitions")[-1]
    assert (last["type"], json.loads(last["error"])["phase"]) == ("error", "run")


def test_the_reason_and_the_origin_stand_in_the_metadata(tmp_path):
    """What is known beside the columns is kept: the reason of a wait, the execution a rerun repeats."""
    log = History()
    log.queue("x1", ["a"], rerun_of="x0")
    log.move(c.ExecutionStarted, "x1", "start")
    log.move(c.ExecutionWaiting, "x1", "wait", reason="input")
    found = rows(fold(tmp_path / "view.db", log.events), "transitions")
    assert json.loads(found[0]["metadata"])["rerun_of"] == "x0"
    assert json.loads(found[2]["metadata"])["reason"] == "input"


def test_the_table_of_transitions_is_covered():
    """Every kind of event that is a transition by the one table makes a row."""
    assert {each.kind for each in TABLE} <= set(TRANSITIONS.handlers)
