"""Input that people gave, and executions that others run, in a play under other rules."""

from __future__ import annotations

import pytest

from muster.model.body import AttemptRef
from muster.model.commands import Resume
from muster.model.rehearsal.changes import Changes
from muster.model.rehearsal.rehearse import rehearse
from tests.fixtures.clocked import ClockedPlay

SLOW = Changes(steps={"a": {"retry": {"backoff": {"initial": "50s", "max": "50s"}}}})
RETRY = {"max_attempts": 2, "backoff": {"initial": "4s", "factor": 1, "jitter": False}}


def asked(**wait: str) -> ClockedPlay:
    """A step that is tried twice, four seconds apart; then a question, which is answered after ten."""
    play = ClockedPlay()
    play.connect("m1")
    first = {"id": "a", "image": "i", "retry": RETRY}
    play.submit({"name": "w", "steps": [first, {"id": "ask", "wait_for_input": {**wait}, "needs": ["a"]}]})
    play.begin(AttemptRef("x1", "a", 1))
    play.fail(AttemptRef("x1", "a", 1))
    play.later(4.1)
    play.begin(AttemptRef("x1", "a", 2))
    play.finish(AttemptRef("x1", "a", 2))
    play.later(10)
    play.round(Resume(id="r1", execution="x1", step="ask", input={"ok": True}))
    assert not play.state.executions
    return play


def test_an_answer_comes_as_long_after_its_question() -> None:
    """Where the question comes later, the answer does too, and it is not lost."""
    found = rehearse(asked().log, SLOW)
    (execution,) = found.executions
    assert execution.deviations == []
    assert execution.changed.outcome == "succeeded"
    assert execution.unchanged.makespan_s is not None
    assert execution.changed.makespan_s == pytest.approx(execution.unchanged.makespan_s + 46, abs=0.1)
    assert any("as long after it was asked for" in one.text for one in found.assumed)


def test_a_question_that_was_never_asked_is_never_answered() -> None:
    """What nobody was asked in the record nobody answers now, and that is said."""
    play = ClockedPlay()
    play.connect("m1")
    retry = {**RETRY, "max_attempts": 1}
    steps = [
        {"id": "a", "image": "i", "retry": retry},
        {"id": "ask", "wait_for_input": {"timeout": "30s"}, "needs": ["a"]},
    ]
    play.submit({"name": "w", "steps": steps})
    play.begin(AttemptRef("x1", "a", 1))
    play.fail(AttemptRef("x1", "a", 1))
    found = rehearse(play.log, Changes(steps={"a": {"retry": {"max_attempts": 2}}}), "succeed")
    (execution,) = found.executions
    assert execution.changed.steps["ask"].outcome == "failed"
    assert any("step ask, which nobody is asked" in one.text for one in found.assumed)


def test_what_a_step_runs_is_decided_and_not_given() -> None:
    """The child comes when its parent's step does, once, also where that is later."""
    play = ClockedPlay()
    play.connect("m1")
    inner = {"name": "inner", "steps": [{"id": "say", "log": "x"}]}
    steps = [{"id": "a", "image": "i", "retry": RETRY}, {"id": "call", "workflow": "inner", "needs": ["a"]}]
    play.submit({"name": "w", "steps": steps, "workflows": {"inner": inner}})
    play.begin(AttemptRef("x1", "a", 1))
    play.fail(AttemptRef("x1", "a", 1))
    play.later(4.1)
    play.begin(AttemptRef("x1", "a", 2))
    play.finish(AttemptRef("x1", "a", 2))
    parent, child = rehearse(play.log, SLOW).executions
    assert parent.deviations == child.deviations == []
    assert (parent.changed.outcome, child.changed.outcome) == ("succeeded", "succeeded")
    assert (child.changed.queued_at - child.unchanged.queued_at).total_seconds() == pytest.approx(46, abs=0.1)
