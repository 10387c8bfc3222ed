"""Input that people gave, and executions that others run, in a play under other rules."""

from __future__ import annotations

import pytest

from muster.model.errors import InvalidArgumentError
from muster.model.log.body import AttemptRef
from muster.model.log.commands import Resume
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import rehearse
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


INNER = {
    "name": "inner",
    "steps": [{"id": "work", "image": "i"}, {"id": "ask", "wait_for_input": {}, "needs": ["work"]}],
}


def family(attempts: int) -> ClockedPlay:
    """A step that fails once, or twice, before one that runs a child, in which somebody is asked."""
    play = ClockedPlay()
    play.connect("m1")
    retry = {**RETRY, "max_attempts": attempts}
    steps = [
        {"id": "a", "image": "i", "retry": retry},
        {
            "id": "b",
            "always": True,
            "needs": ["a"],
            "chain": [{"id": "call", "workflow": "inner"}],
            "if": True,
        },
    ]
    play.submit({"name": "w", "on_failure": "continue", "steps": steps, "workflows": {"inner": INNER}})
    for number in range(1, attempts + 1):
        play.begin(AttemptRef("x1", "a", number))
        play.fail(AttemptRef("x1", "a", number))
        play.later(4.1)
    child = next(id_ for id_ in play.state.executions if id_ != "x1")
    play.begin(AttemptRef(child, "work", 1))
    play.later(7)
    play.finish(AttemptRef(child, "work", 1))
    play.later(5)
    play.round(Resume(id="r1", execution=child, step="ask", input={}))
    assert not play.state.executions
    return play


def test_a_child_that_is_called_otherwise_now_goes_as_it_did() -> None:
    """Its id counts its parent's events, which are fewer now: attempts and answers are those of the record."""
    log = family(2).log
    parent, child = rehearse(log, Changes(steps={"a": {"retry": {"max_attempts": 1}}})).executions
    assert parent.deviations == child.deviations == []
    assert parent.changed.steps["a"].attempts == 1
    assert child.changed.outcome == "succeeded"
    assert child.changed.makespan_s == pytest.approx(child.recorded.makespan_s or 0.0, abs=0.1)
    assert child.changed.attempts == 1


def test_steps_in_blocks_are_named_by_their_paths() -> None:
    """Rules reach steps of branches, loops and handlers; one that is not there is refused."""
    play = ClockedPlay()
    play.connect("m1")
    one = {"id": "one", "image": "i", "retry": RETRY}
    steps = [{"id": "each", "for_each": {"in": [1], "steps": [{"id": "pick", "if": True, "then": [one]}]}}]
    play.submit({"name": "w", "steps": steps})
    ref = AttemptRef("x1", "each/0/pick/then/one", 1)
    play.begin(ref)
    play.fail(ref)
    play.later(4.1)
    again = AttemptRef("x1", "each/0/pick/then/one", 2)
    play.begin(again)
    play.finish(again)
    rules = Changes(steps={"each/pick/then/one": {"retry": {"max_attempts": 1}}})
    (execution,) = rehearse(play.log, rules).executions
    assert execution.deviations == []
    assert (execution.unchanged.outcome, execution.changed.outcome) == ("succeeded", "failed")
    assert execution.changed.attempts == 1
    with pytest.raises(InvalidArgumentError, match="there is no step one in"):
        rehearse(play.log, Changes(steps={"one": {}}))
