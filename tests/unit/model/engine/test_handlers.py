"""What is run after a failure and at the end, and what a child execution does to its parent."""

from __future__ import annotations

import pytest

from muster.model.engine.decide import decide
from muster.model.engine.evolve import evolve
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from tests.fixtures.controlled import CHILD, ends, go, outcome, outputs, played, step

pytestmark = pytest.mark.usefixtures("sound")


def test_always_runs_after_a_failure():
    """Whatever became of what it needs; what needs a failed step does not run."""
    play = go(played(step("a"), step("b", needs=["a"]), step("c", needs=["a"], always=True)), failing=("a",))
    assert ends(play) == {"a": "failed", "b": "skipped ending", "c": "succeeded"}
    assert outcome(play) == "failed"


def test_on_failure_continue_runs_what_does_not_need_it():
    """The execution fails in the end all the same."""
    play = go(
        played(step("a"), step("b", needs=["a"]), step("c", needs=["b"]), step("d"), on_failure="continue"),
        failing=("a",),
    )
    assert ends(play) == {"a": "failed", "d": "succeeded", "b": "skipped upstream", "c": "skipped upstream"}
    assert outcome(play) == "failed"


def test_on_failure_cancel_stops_what_runs():
    """Nothing is let end."""
    play = played(step("a"), step("b"), on_failure="cancel")
    a, b = play.refs()
    for ref in (a, b):
        play.begin(ref)
    play.fail(a)
    play.round()
    assert b in play.stops
    play.stopped(b)
    play.round()
    assert ends(play) == {"a": "failed", "b": "cancelled"}
    assert outcome(play) == "failed"


def test_a_step_is_rescued_and_fails_all_the_same():
    """What is run for it sees its error."""
    rescue = [{"id": "tell", "log": "${{ error.name }} in ${{ error.step }}"}]
    play = go(played(step("a", on_failure=rescue)), failing=("a",))
    assert outputs(play, "a/on_failure/tell") == {"message": "ExecutionError in a"}
    assert outcome(play) == "failed"


@pytest.mark.parametrize("failing", [(), ("a",)])
def test_on_finish_runs_however_it_ends(failing: tuple[str, ...]):
    """Its own failure changes nothing."""
    play = go(
        played(
            step("a"),
            on_finish=[step("tidy"), {"id": "bad", "error": "oh"}],
            outputs={"n": "${{ steps.a.outputs.n }}"},
        ),
        failing=failing,
    )
    assert ends(play)["on_finish/tidy"] == "succeeded"
    assert ends(play)["on_finish/bad"] == "failed"
    assert outcome(play) == ("failed" if failing else "succeeded")


def test_on_finish_runs_after_a_cancel():
    """Once nothing else is live."""
    play = played(step("a"), on_finish=[step("tidy")])
    (a,) = play.refs()
    play.begin(a)
    play.cancel()
    assert [ref.step for ref in play.refs()] == ["a"]
    play.stopped(a)
    play.round()
    assert [ref.step for ref in play.refs()] == ["on_finish/tidy"]
    assert outcome(go(play)) == "cancelled"


def test_a_workflow_step_runs_a_child_and_has_its_outputs():
    """Both say who the other is."""
    play = go(played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD}))
    (begun,) = (e for e in play.events("step.started") if e.step == "call")
    child = begun.data.child
    queued = next(e for e in play.events("execution.queued") if e.execution == child)
    assert (queued.data.parent.execution, queued.data.parent.step) == ("x1", "call")
    assert outputs(play, "call") == {"y": 7}
    assert outcome(play) == outcome(play, child) == "succeeded"


def test_a_child_that_fails_fails_its_step():
    """With the child's error."""
    play = go(
        played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD}),
        failing=("a",),
    )
    assert ends(play) == {"call": "failed"}


def test_cancelling_travels_to_the_child():
    """The parent ends when the child has."""
    play = played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD})
    (ref,) = play.refs()
    play.begin(ref)
    play.cancel()
    assert ref in play.stops
    play.stopped(ref)
    play.round()
    assert [outcome(play, x) for x in ("x1", ref.execution)] == ["cancelled", "cancelled"]


def test_a_child_whose_end_nobody_can_tell_is_not_begun_again():
    """It was cleared, and the log does not hold what its step made of its end: the step fails, and says why."""
    play = go(played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD}))
    begun = next(recorded for recorded in play.log if recorded.event.kind == "step.started")
    child, state = begun.event.data.child, State(play.policy)
    for recorded in play.log[: begun.sequence]:
        evolve(state, recorded.event, recorded.sequence)
    round_ = Round(state, play.now)
    round_.write(c.ExecutionCleared(events=9), "command-9", execution=child, event_id=f"{child}:cleared")
    state.revisit()
    decide(state, play.now, round_)
    assert [event for event in round_.events[1:] if event.execution == child] == []
    failed = next(event for event in round_.events if event.kind == "step.failed")
    assert f"{child} was cleared" in failed.data.error.message
    assert state.executions == {}
