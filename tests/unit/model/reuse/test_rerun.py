"""Running an execution again: what is taken over, what is run again, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.limits import QUEUED_BYTES_MAX
from muster.model.log import catalogue as c
from muster.model.plan.results import Result
from muster.model.proof.recording import record
from muster.model.proof.redaction import redact
from muster.model.proof.replay import replay
from tests.fixtures.controlled import CHILD, answer, ends, go, outcome, outputs, played, sound, step
from tests.fixtures.hazards import succeed
from tests.fixtures.play import Play

__all__ = ["sound"]
pytestmark = pytest.mark.usefixtures("sound")

A = "${{ steps.a.outputs.n }}"


def begun(play: Play, execution: str = "x2") -> list[str]:
    """The steps that were given to a machine, in order."""
    return [event.step or "" for event in play.events("step.scheduled") if event.execution == execution]


def reused(play: Play, execution: str = "x2") -> list[str]:
    """The paths of what was taken over."""
    (queued,) = (e for e in play.events("execution.queued") if e.execution == execution)
    return [*queued.data.reused]


def chain() -> list[dict[str, Any]]:
    """a, then b, then c; and d beside them."""
    return [step("a"), step("b", inputs={"x": A}), step("c", needs=["b"]), step("d")]


def test_a_failed_run_can_be_run_again_as_a_whole():
    """Everything is run again, with the same inputs, under a new id that says of what it is a rerun."""
    play = go(played(*chain(), inputs={"who": {}}, given={"who": "you"}), failing=("b",))
    assert outcome(play) == "failed"
    play.rerun()
    go(play)
    assert outcome(play, "x2") == "succeeded"
    assert sorted(begun(play)) == ["a", "b", "c", "d"]
    queued = play.events("execution.queued")[-1].data
    assert (queued.rerun_of, queued.inputs, queued.reused) == ("x1", {"who": "you"}, {})


def test_only_what_failed_is_run_again():
    """What succeeded gives what it gave, and starts nothing; what failed, and what needs it, is run."""
    play = go(played(*chain(), on_failure="continue"), failing=("b",))
    play.rerun(only_failed=True)
    go(play)
    assert outcome(play, "x2") == "succeeded"
    assert begun(play) == ["b", "c"]
    assert ends(play, "x2") == {
        "a": "succeeded reused",
        "d": "succeeded reused",
        "b": "succeeded",
        "c": "succeeded",
    }
    assert outputs(play, "a", "x2") == {"n": "a"}
    assert play.kinds("x2", "a") == ["step.succeeded"]


def test_what_was_taken_over_says_where_it_was_made():
    """Execution, step, attempt and time; also in a rerun of a rerun they are of where it was really made."""
    play = go(played(*chain(), on_failure="continue"), failing=("b",))
    play.rerun(only_failed=True)
    go(play, failing=("c",))
    play.rerun("x2", "x3", only_failed=True)
    go(play)
    (made,) = (e for e in play.events("step.succeeded") if (e.execution, e.step) == ("x1", "a"))
    (again,) = (e for e in play.events("step.succeeded") if (e.execution, e.step) == ("x3", "a"))
    source = again.data.source
    assert (source.execution, source.step, source.attempt, source.at) == ("x1", "a", 1, made.time)
    assert begun(play, "x3") == ["c"]
    assert play.events("execution.queued")[-1].data.rerun_of == "x2"


def test_from_a_step_on_runs_it_and_what_needs_it():
    """Also where all of it had succeeded; what failed elsewhere is run again as well."""
    play = go(played(*chain()))
    play.rerun(from_step="b")
    go(play)
    assert begun(play) == ["b", "c"]
    assert outcome(play, "x2") == "succeeded"


def test_a_cancelled_run_can_be_run_again():
    """What it had done is taken over; what was stopped, and what never began, is run."""
    play = played(*chain())
    for ref in play.refs():
        play.begin(ref)
        if ref.step == "a":
            play.finish(ref, n="a")
    play.round()
    play.cancel()
    play.obey()
    play.round()
    assert outcome(play) == "cancelled"
    play.orders.clear()
    play.rerun(only_failed=True)
    go(play)
    assert outcome(play, "x2") == "succeeded"
    assert sorted(begun(play)) == ["b", "c", "d"]


@pytest.mark.parametrize("how", [{"only_failed": True}, {"from_step": "x"}])
def test_a_step_that_its_condition_skipped_is_decided_anew(how: dict[str, Any]):
    """It is skipped again, by its own condition, and what needs it was taken over."""
    never = step("never", **{"if": "steps.a.outputs.n == 'b'"})
    steps = [step("a"), never, step("after", needs=["never"]), step("x")]
    play = go(played(*steps, on_failure="continue"), failing=("x",))
    play.rerun(**how)
    go(play)
    assert ends(play, "x2") == {
        "a": "succeeded reused",
        "never": "skipped condition",
        "after": "succeeded reused",
        "x": "succeeded",
    }


def each(**fields: Any) -> dict[str, Any]:
    """A loop over three members, each of two steps."""
    steps = [step("one"), step("two", inputs={"x": "${{ steps.one.outputs.n }}"})]
    return {
        "id": "each",
        "for_each": {"in": "${{ inputs.all }}", "steps": steps, "on_failure": "continue"},
        **fields,
    }


LISTED: dict[str, Any] = {"inputs": {"all": {"default": [1, 2, 3]}}}


def test_of_a_loop_only_the_members_that_failed_are_run_again():
    """The others give what they gave, step by step, and the loop has the results of all."""
    play = go(played(each(), step("end", needs=["each"]), **LISTED), failing=("each/1/two",))
    play.rerun(only_failed=True)
    go(play)
    assert begun(play) == ["each/1/two", "end"]
    assert [one["two"]["n"] for one in outputs(play, "each", "x2")["items"]] == [
        "each/0/two",
        "each/1/two",
        "each/2/two",
    ]


def test_members_are_run_again_where_the_list_is_another():
    """What was taken over of members holds for the list they were of."""
    listing = step("list")
    loop = {"id": "each", "for_each": {"in": "${{ vars.all }}", "steps": [step("one")]}}
    steps = [listing, {"id": "keep", "set": {"all": "${{ [execution.id, 'b'] }}"}}]
    play = go(played({"chain": [*steps, loop]}), failing=("each/1/one",))
    play.rerun(from_step="each/1/one")
    go(play)
    assert begun(play) == ["each/1/one"], "the variable was taken over, so the list is the same"
    play = go(played({"chain": [*steps, loop]}), failing=("each/1/one",))
    play.rerun(from_step="keep")
    go(play)
    assert begun(play) == ["each/0/one", "each/1/one"]


def test_a_list_that_comes_out_otherwise_is_gone_through_again():
    """The scheduler compares the list itself: it may depend on what no step says, such as the execution's id."""
    loop = {"id": "each", "for_each": {"in": "${{ [execution.id, 'b'] }}", "steps": [step("one")]}}
    play = go(played(loop), failing=("each/1/one",))
    play.rerun(only_failed=True)
    assert reused(play) == ["each/0/one"]
    go(play)
    assert begun(play) == ["each/0/one", "each/1/one"]


def test_from_a_member_of_a_loop_on():
    """The member's step, the loop and what needs the loop: the other members are taken over."""
    play = go(played(each(), step("end", needs=["each"]), **LISTED))
    play.rerun(from_step="each/2/two")
    go(play)
    assert begun(play) == ["each/2/two", "end"]


def test_in_a_branch_only_what_failed_is_run_again():
    """The branch is chosen anew, and is entered."""
    pick = {"id": "pick", "if": "true", "then": [step("a"), step("b", needs=["a"])]}
    play = go(played(pick), failing=("pick/then/b",))
    play.rerun(only_failed=True)
    go(play)
    assert begun(play) == ["pick/then/b"]
    assert outcome(play, "x2") == "succeeded"


def test_variables_are_set_again():
    """A set step that is taken over sets what it set, also inside of a block that succeeded as a whole."""
    keep = {"id": "keep", "set": {"v": "${{ steps.a.outputs.n }}"}}
    pick = {"id": "pick", "if": "true", "then": [{"id": "deep", "set": {"w": 2}}, step("b")]}
    said = {"id": "say", "log": "${{ vars.v }} and ${{ vars.w }}", "needs": ["x"]}
    play = go(played({"chain": [step("a"), keep, pick, step("x"), said]}), failing=("x",))
    play.rerun(only_failed=True)
    go(play)
    assert begun(play) == ["x"]
    assert outputs(play, "say", "x2") == {"message": "a and 2"}
    assert ends(play, "x2")["pick/then/deep"] == "succeeded reused"


def test_an_answer_is_taken_over_and_its_token_is_not():
    """Nobody is asked again; a rerun as a whole asks again, under another token."""
    ask = {"id": "ask", "wait_for_input": {"prompt": "Publish?"}}
    play = go(played(ask, step("x", needs=["ask"])), failing=("x",))
    answer(play, {"ok": True})
    go(play, failing=("x",))
    assert outcome(play) == "failed"
    play.rerun(only_failed=True)
    go(play)
    assert outputs(play, "ask", "x2") == {"ok": True}
    assert begun(play) == ["x"]
    play.rerun("x1", "x3")
    first, again = play.events("step.waiting")
    assert again.execution == "x3"
    assert first.data.token != again.data.token


def test_a_child_that_failed_is_run_anew_and_one_that_succeeded_is_not():
    """The step runs a new child from its beginning; a child that succeeded gave the outputs of its step."""
    good = {"id": "good", "workflow": "inner", "inputs": {"x": 1}}
    bad = {"id": "bad", "workflow": "inner", "inputs": {"x": 2}, "needs": ["good"]}
    play = played(good, bad, workflows={"inner": CHILD})
    go(play)
    assert outcome(play) == "succeeded"
    play.rerun(from_step="bad")
    go(play)
    children = [
        e for e in play.events("execution.queued") if e.data.parent and e.data.parent.execution == "x2"
    ]
    assert [child.data.parent.step for child in children] == ["bad"]
    assert outputs(play, "good", "x2") == {"y": 1}


def test_a_child_can_be_run_again_by_itself():
    """It is an execution as any other, without a parent then."""
    call = {"id": "call", "workflow": "inner", "inputs": {"x": 1}}
    play = go(played(call, workflows={"inner": CHILD}))
    (child,) = (e.execution for e in play.events("execution.queued") if e.data.parent)
    play.rerun(child, "x2", from_step="a")
    go(play)
    assert outcome(play, "x2") == "succeeded"
    assert play.events("execution.queued")[-1].data.parent is None


def test_what_returned_returns_again():
    """A return is never taken over: it would end what is still to be run."""
    out = {"id": "out", "return": {"all": "${{ steps.b.outputs.n }}"}}
    play = go(played({"chain": [step("a"), step("b"), out]}))
    play.rerun(from_step="b")
    go(play)
    assert begun(play) == ["b"]
    assert ends(play, "x2")["out"] == "succeeded"
    assert outcome(play, "x2") == "succeeded"


def test_handlers_are_run_as_they_are_needed():
    """What was run where a step failed, or at the end, is not taken over."""
    bad = step("bad", on_failure=[step("mend")])
    play = go(played(step("a"), bad, on_finish=[step("tidy")]), failing=("bad",))
    play.rerun(only_failed=True)
    go(play)
    assert begun(play) == ["bad", "on_finish/tidy"]


def test_a_step_that_asked_to_be_skipped_is_taken_over():
    """It is skipped again without being run, and says why."""
    play = played(step("s", gives_result=True), step("x"))
    (ref,) = (ref for ref in play.refs() if ref.step == "s")
    play.begin(ref)
    machine, _ = play.orders.pop(ref)
    play.fact(machine, c.AttemptFinished(result=Result(kind="skip", reason="nothing new")), ref)
    go(play, failing=("x",))
    play.rerun(only_failed=True)
    go(play)
    (again,) = (e for e in play.events("step.skipped") if e.execution == "x2")
    assert (again.data.reason, again.data.message, again.data.source.execution) == (
        "asked",
        "nothing new",
        "x1",
    )
    assert begun(play) == ["x"]


def test_what_is_too_large_is_run_again_and_said():
    """Together they must fit one event: what does not fit is run again, with what needs it."""
    large = "x" * (QUEUED_BYTES_MAX // 8)
    steps = [step(f"s{number}") for number in range(9)]
    play = played(*steps, step("end", needs=["s8"]), step("bad"), on_failure="continue")
    for ref in play.refs():
        play.begin(ref)
        play.fail(ref) if ref.step == "bad" else play.finish(ref, n=large)
    play.round()
    go(play)
    play.rerun(only_failed=True)
    queued = play.events("execution.queued")[-1].data
    assert queued.too_large == ["s7", "s8"]
    go(play)
    assert sorted(begun(play)) == ["bad", "end", "s7", "s8"]


def test_a_leader_may_die_behind_any_event_of_a_rerun():
    """Its successor starts nothing of what was taken over, and comes to the same end."""
    play = go(played(each(), step("end", needs=["each"]), **LISTED), failing=("each/1/two",))
    play.rerun(only_failed=True)
    first = next(r.sequence for r in play.log if r.event.execution == "x2")
    go(play)
    expected = ends(play, "x2")
    for cut in range(first, len(play.log) + 1):
        successor = succeed(play.log[:cut])
        go(successor)
        assert ends(successor, "x2") == expected, cut
        assert begun(successor) == ["each/1/two", "end"], cut


def test_a_redacted_rerun_replays_as_well():
    """What was taken over has stand-ins, and the list of the loop is still the same list."""
    play = go(played(each(), step("end", needs=["each"]), **LISTED), failing=("each/1/two",))
    play.rerun(only_failed=True)
    go(play)
    made = redact(record(play.log, "x2"), b"key")
    assert made.remarks == []
    assert replay(made.records).differences == []
    assert "each/0/one" not in repr(
        [r.event.data for r in made.records if r.event.kind == "execution.succeeded"]
    )
