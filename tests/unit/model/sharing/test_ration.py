"""Limits of steps and functions: n admits exactly n, in loops, after a leader's death, and when decided again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.definition.validation import from_object, validate
from muster.model.plan import outline
from muster.model.plan.lowering import lower, structure
from muster.model.proof.replay import replay
from tests.fixtures.constructs import workflows
from tests.fixtures.controlled import CHILD, ends, go, outcome, played, sound, step
from tests.fixtures.hazards import finish, perform, succeed
from tests.fixtures.play import Play

__all__ = ["sound"]
pytestmark = pytest.mark.usefixtures("sound")


def begun(play: Play, execution: str = "x1") -> list[str]:
    """The steps that began, in order; what handlers ran is left out."""
    found = [
        (r.event.step or "")
        for r in play.log
        if r.event.execution == execution
        and (
            (r.event.kind == "step.scheduled" and r.event.attempt == 1)
            or (r.event.kind == "step.started" and r.event.machine is None)
        )
    ]
    return [path for path in found if "on_failure" not in path and "on_finish" not in path]


def codes(play: Play) -> dict[str, str]:
    """The errors of the steps that failed."""
    return {event.step or "": event.data.error.code for event in play.events("step.failed")}


def loop(members: Any, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A loop."""
    return {"id": "each", "for_each": {"in": members, "steps": list(steps), **fields}}


def test_one_step_more_than_the_limit_fails():
    """The others ran; a retry is not counted again."""
    given: dict[str, Any] = {"inputs": {"l": {"default": [1, 2, 3]}}}
    retried = step("a", retry={"max_attempts": 3, "backoff": {"initial": 0}})
    play = played(loop("${{ inputs.l }}", retried, max_parallel=1), limits={"steps": 3}, **given)
    play.begin(play.refs()[0])
    play.fail(play.refs()[0])
    play.later(10)
    go(play)
    assert begun(play) == ["each", "each/0/a", "each/1/a"]
    assert codes(play) == {"each/2/a": "step_limit", "each": "step_limit"}
    assert outcome(play) == "failed"


def test_members_that_begin_at_once_are_counted_one_by_one():
    """Ten at once, and four may begin."""
    members: dict[str, Any] = {"inputs": {"l": {"default": list(range(10))}}}
    play = go(
        played(loop("${{ inputs.l }}", step("a"), on_failure="continue"), limits={"steps": 5}, **members)
    )
    assert begun(play) == ["each", *(f"each/{n}/a" for n in range(4))]
    assert set(codes(play).values()) == {"step_limit"}


def test_exactly_as_many_as_the_limit():
    """Control steps are counted, names of chains are not, nor what is skipped, nor handlers."""
    steps: list[dict[str, Any]] = [
        {"id": "both", "chain": [step("a"), {"id": "b", "log": "b"}]},
        step("never", **{"if": False}),
        {"id": "child", "workflow": "inner"},
    ]
    more: dict[str, Any] = {
        "workflows": {"inner": CHILD | {"inputs": {}, "outputs": {}}},
        "on_finish": [step("tidy")],
    }
    play = go(played(*steps, limits={"steps": 3}, **more))
    assert outcome(play) == "succeeded"
    play = go(
        played(
            *steps,
            {"id": "last", "log": "x", "needs": ["both", "child"], "if": True},
            limits={"steps": 3},
            **more,
        )
    )
    assert codes(play)["last"] == "step_limit"
    assert ends(play)["on_finish/tidy"] == "succeeded"


def test_a_limit_of_nothing_admits_nothing():
    """Not even a control step."""
    play = go(played({"id": "a", "log": "x", "if": True}, step("b", **{"if": True}), limits={"steps": 0}))
    assert codes(play) == {"a": "step_limit", "b": "step_limit"} or codes(play) == {"a": "step_limit"}


def test_functions_count_under_the_first_pattern_that_fits():
    """By their name, or by the image as it is; null is no limit."""
    called = {"image": "any:1", "if": True}
    steps = [
        {"id": "f1", "function": "app:one", **called},
        {"id": "f2", "function": "app:two", "needs": ["f1"], **called},
        {"id": "f3", "function": "app:free", "needs": ["f1"], **called},
        {"id": "f4", "function": "app:free", "needs": ["f1"], **called},
        step("i1", image="${{ inputs.image }}", needs=["f1"]),
    ]
    limits = {"functions": {"app:free": None, "app:*": 1, "busybox:*": 0}}
    play = played(*steps, limits=limits, inputs={"image": {"default": "busybox:2"}}, on_failure="continue")
    go(play)
    assert codes(play) == {"f2": "function_limit", "i1": "function_limit"}
    counted = {event.step: event.data.counted for event in play.events("step.scheduled")}
    assert counted == {"f1": "app:*", "f3": "app:free", "f4": "app:free"}


def test_what_certainly_exceeds_a_limit_is_found_before():
    """Loops over lists that are written out included; conditions, other lists and an early return make it uncertain."""
    three = [step("a"), loop([1, 2], {"id": "b", "log": "x"})]

    def problems(limits: dict[str, Any], *more: dict[str, Any]) -> list[str]:
        return [
            problem.message for problem in validate({"name": "w", "steps": [*three, *more], "limits": limits})
        ]

    assert problems({"steps": 4}) == []
    assert problems({"steps": 3}) == ["the workflow begins 4 steps or more, and limits.steps admits 3."]
    assert problems({"steps": 4}, step("c", **{"if": "true"})) == []
    assert problems({"steps": 1}, {"id": "r", "return": 1}) == []
    assert problems({"functions": {"busybox:*": 1}}, step("c")) == [
        "the workflow begins 2 of busybox:* or more, and its limit is 1."
    ]
    assert problems({"functions": {"busybox:1": None, "busybox:*": 0}}, step("c")) == []
    assert problems({"steps": -1}) == ["steps is -1, less than 0."]


def test_a_leader_may_die_behind_any_event():
    """As many begin as before."""
    members: dict[str, Any] = {"inputs": {"l": {"default": [1, 2, 3, 4]}}}
    play = go(played(loop("${{ inputs.l }}", step("a"), max_parallel=3), limits={"steps": 3}, **members))
    expected = begun(play)
    accepted = next(r.sequence for r in play.log if r.event.kind == "execution.queued")
    for cut in range(accepted, len(play.log) + 1):
        successor = succeed(play.log[:cut])
        successor.round()
        assert successor.round().events == []
        finish(successor)
        assert begun(successor) == expected
        assert replay(successor.log).differences == []


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(workflows(10), st.integers(0, 12), st.integers(0, 2**32), st.integers(1, 3))
def test_never_more_than_the_limit(definition: dict[str, Any], limit: int, seed: int, leaders: int) -> None:
    """Whatever it is made of, whatever fails, and wherever leaders die; and it can all be decided again."""
    limited = definition | {"limits": {"steps": limit, "functions": {"busybox:*": 2}}}
    if validate(limited):
        return
    play = perform([limited], seed, leaders=leaders)
    assert not play.state.executions
    plan = lower(from_object(limited))
    plans = {path: outline.find(plan, path) for path in begun(play, "x0")}
    counted = [path for path, found in plans.items() if found is None or structure(found.step) is None]
    assert len(counted) <= limit
    if any(
        error.data.error.code == "step_limit"
        for error in play.events("step.failed")
        if error.execution == "x0"
    ):
        assert len(counted) == limit
    assert replay(play.log).differences == []
