"""What holds for every rerun: of whatever workflow, whatever had failed, wherever a leader dies."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from muster.model.plan.lowering import lower
from muster.model.proof.replay import replay
from tests.fixtures.constructs import workflows
from tests.fixtures.hazards import OUTCOMES, POLICY, answer, asking, elect, finish, succeed
from tests.fixtures.play import Play

pytestmark = pytest.mark.slow


def begun(definition: dict[str, Any]) -> Play:
    """A play of the workflow with one machine that is never missed."""
    play = Play(POLICY)
    elect(play, "s1")
    for machine in ("m1", "m2", "m3"):
        play.connect(machine, slots=20)
    play.submit(definition)
    return play


def fail_some(play: Play, chance: random.Random) -> None:
    """Of the attempts some fail, until everything has ended; who is asked answers."""
    for _ in range(200):
        if not play.state.executions:
            return
        for ref in play.refs():
            play.begin(ref)
            if chance.random() < 0.3:
                play.fail(ref)
            else:
                play.finish(ref, n=ref.step)
        for execution, step in asking(play):
            answer(play, execution.id, {"ok": True}, step=step.path)
        play.later(20.0)


def sound(play: Play, execution: str) -> None:
    """Each step has one outcome, and of what was taken over nothing else is said."""
    (queued,) = (e for e in play.events("execution.queued") if e.execution == execution)
    told: dict[str, list[str]] = {}
    for recorded in play.log:
        if recorded.event.execution == execution and recorded.event.step is not None:
            told.setdefault(recorded.event.step, []).append(recorded.event.kind)
    for step, kinds in told.items():
        assert sum(kind in OUTCOMES for kind in kinds) == 1, (step, kinds)
    for event in (*play.events("step.succeeded"), *play.events("step.skipped")):
        if event.execution == execution and event.data.source is not None:
            assert event.step in queued.data.reused
            assert len(told[event.step or ""]) == 1
    assert replay(play.log).differences == []


def result(play: Play, execution: str) -> tuple[str, Any]:
    """How it ended, and with what."""
    end = [e.event for e in play.log if e.event.execution == execution and "transition" in dir(e.event.data)][
        -1
    ]
    return end.kind, getattr(end.data, "outputs", None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(workflows(), st.integers(0, 2**32))
def test_a_rerun_of_what_failed_ends_as_if_nothing_had(definition: dict[str, Any], seed: int) -> None:
    """It has the outcome and the outputs of a run in which no attempt fails, unless the end depends on who is first:
    a step that returns, an answer or the end of its time, variables that are set and read without a need.
    """
    assume(not any(word in repr(definition) for word in ("'return'", "'timeout'", "vars.v", "'get'")))
    whole = begun(definition)
    finish(whole)
    play = begun(definition)
    fail_some(play, random.Random(seed))
    assume(result(play, "x1")[0] != "execution.succeeded")
    play.rerun(only_failed=True)
    finish(play)
    sound(play, "x2")
    assert result(play, "x2") == result(whole, "x1")


@settings(max_examples=40, deadline=None)
@given(workflows(), st.integers(0, 2**32))
def test_a_leader_may_die_anywhere_in_a_rerun(definition: dict[str, Any], seed: int) -> None:
    """Its successor brings it to an end, from any step on, and takes over what was taken over."""
    chance = random.Random(seed)
    play = begun(definition)
    fail_some(play, chance)
    from_step = chance.choice([*lower(play.events("execution.queued")[0].data.workflow).steps])
    play.rerun(from_step=from_step)
    assume(any(e.execution == "x2" for e in play.events("execution.queued")))
    first = next(r.sequence for r in play.log if r.event.execution == "x2")
    finish(play)
    successor = succeed(play.log[: chance.randint(first, len(play.log))])
    finish(successor)
    sound(successor, "x2")
