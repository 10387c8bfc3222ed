"""What outlasts an execution that was erased: room that its attempts hold until their machine has answered."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.engine.admission import admit
from muster.model.engine.decide import decide
from muster.model.engine.implied import implied
from muster.model.engine.round import Round
from muster.model.log import catalogue as c
from muster.model.log.commands import Clear
from muster.model.log.envelope import Recorded
from muster.model.log.erasure import spans
from muster.model.log.retention import joined
from muster.model.policy import Policy
from muster.model.proof.shadow import Comparison
from tests.fixtures.drawn import workflows
from tests.fixtures.hazards import act, elect, settle
from tests.fixtures.play import Play, workflow
from tests.fixtures.tampered import changed
from tests.unit.model.proof.test_shadow import compare, gone, span_of

REF = c.AttemptRef("x1", "a", 1)
ENDS = ("execution.succeeded", "execution.failed", "execution.cancelled")


def held(*, others: int) -> Play:
    """x1 was cancelled while m1, which ran its step, was silent; m1 beats again, and has not stopped it yet."""
    play = Play()
    elect(play, "s1")
    play.connect("m1", slots=2)
    for number in range(others):
        play.connect(f"m{number + 2}", slots=2)
    play.submit(workflow({"id": "a", "machine": "m1", "resources": {"slots": 2}}))
    play.verdict("m1")
    play.cancel()
    assert play.kinds()[-1] == "execution.cancelled"
    play.verdict("m1", online=True)
    play.orders.clear()
    return play


def beside(play: Play, *executions: str) -> tuple[Comparison, list[Recorded]]:
    """A comparison that knows what is erased, and what is left of the log."""
    comparison, rest = Comparison(), play.log
    comparison.erased.add([span_of(play.log, execution) for execution in executions])
    for execution in executions:
        rest = gone(rest, execution)
    return comparison, rest


def test_room_that_an_erased_execution_holds_is_no_disagreement() -> None:
    """A step that went to another machine, since the first has not given its room back yet, went there rightly."""
    play = held(others=1)
    play.submit(workflow({"id": "a"}), "x2")
    assert play.events("step.scheduled")[-1].machine == "m2"
    comparison, rest = beside(play, "x1")
    assert compare(rest, comparison) == []
    assert comparison.doubtful == 1  # the cancel, between the first and the last event of x1


def test_nothing_is_owed_that_may_have_no_room() -> None:
    """A step that waits for room that only seems free is not owed; once the machine connects anew, it is."""
    play = held(others=0)
    play.submit(workflow({"id": "a"}), "x2")
    comparison, rest = beside(play, "x1")
    assert compare(rest, comparison) == []
    assert comparison.owed(comparison.sequence, play.now + timedelta(seconds=9))[0] == []
    play.connect("m1", slots=2)
    assert comparison.take(play.log[-1]) is None
    found, _ = comparison.owed(comparison.sequence, play.now + timedelta(seconds=9))
    assert [each.difference.now.kind for each in found if each.difference.now] == ["step.scheduled"]


def test_a_machine_that_has_answered_holds_no_room_for_what_is_erased() -> None:
    """A step that went to another machine though this one connected anew, or was never silent, is a disagreement."""
    play = held(others=2)
    play.connect("m1", slots=2)
    play.fact("m1", c.AttemptStopped(reason="asked"), c.AttemptRef("x1", "a", 1))
    play.submit(workflow({"id": "a"}), "x2")
    play.submit(workflow({"id": "a"}), "x3")
    assert [event.machine for event in play.events("step.scheduled")[1:]] == ["m1", "m2"]
    for place, machine in ((-2, "m3"), (-1, "m3")):
        log = [*play.log]
        at = [r.sequence for r in log if r.event.kind == "step.scheduled"][place] - 1
        log[at:] = [*changed(log[at : at + 1], "step.scheduled", machine=machine), *log[at + 1 :]]
        comparison, _ = beside(play, "x1")
        assert compare(gone(log, "x1"), comparison) != []


def clear(play: Play, execution: str) -> list[Recorded]:
    """It is cleared: what is left of the log."""
    places = [recorded.sequence for recorded in play.log if recorded.event.execution == execution]
    erased = c.ExecutionCleared(events=len(places), sequences=joined((each, each) for each in places))
    round_ = Round(play.state, play.now)
    admit(round_, "clear", Clear(id="command-clear", execution=execution), None, erased)
    play.settle(decide(play.state, play.now, round_))
    return [recorded for recorded in play.log if recorded.sequence not in places]


def never_taken_up(play: Play) -> None:
    """m1 was silent when x1 ended; it connected anew, and its start, which it never took up, may still come."""
    play.verdict("m1")
    play.cancel()
    play.connect("m1", slots=2)


def not_stopped_in_time(play: Play) -> None:
    """m1 was never silent, and its container did not end in time."""
    play.fact("m1", c.AttemptAccepted(), REF)
    play.fact("m1", c.AttemptStarted(), REF)
    play.cancel()
    play.later(3600)


@pytest.mark.parametrize("ends", [never_taken_up, not_stopped_in_time])
@pytest.mark.parametrize("others", [0, 1])
def test_the_mark_of_a_clear_names_the_machines_that_had_not_answered(
    ends: Callable[[Play], None], others: int
) -> None:
    """Between the end of x1 and its clear the leader knew its room taken; behind the clear it is free for everybody."""
    play = Play()
    elect(play, "s1")
    for number in range(others + 1):
        play.connect(f"m{number + 1}", slots=2)
    play.submit(workflow({"id": "a", "machine": "m1", "resources": {"slots": 2}}))
    ends(play)
    assert play.kinds()[-1] == "execution.cancelled"
    play.submit(workflow({"id": "a"}), "x2")
    assert len(play.events("step.scheduled")) == 1 + others
    play.later(5)
    rest = clear(play, "x1")
    marker = next(each for each in rest if each.event.kind == "execution.cleared")
    assert marker.event.data.held == ["m1"]
    comparison = Comparison()
    comparison.erased.add(spans(marker))
    for recorded in rest[: rest.index(marker)]:
        assert comparison.take(recorded) is None
    assert comparison.owed(comparison.sequence, play.now)[0] == []
    assert compare(rest[rest.index(marker) :], comparison) == []
    play.submit(workflow({"id": "b", "machine": "m1", "resources": {"slots": 1}}), "x3")
    assert play.events("step.scheduled")[-1].machine == "m1"
    assert compare([each for each in play.log if each.sequence > rest[-1].sequence], comparison) == []


def test_behind_the_mark_of_a_clear_all_room_is_known() -> None:
    """A step that went elsewhere though the machine had its room back with the mark went there wrongly."""
    play = Play()
    elect(play, "s1")
    for number in range(2):
        play.connect(f"m{number + 1}", slots=2)
    play.submit(workflow({"id": "a", "machine": "m1", "resources": {"slots": 2}}))
    never_taken_up(play)
    rest = clear(play, "x1")
    marker = next(each for each in rest if each.event.kind == "execution.cleared")
    play.submit(workflow({"id": "a"}), "x2")
    assert play.events("step.scheduled")[-1].machine == "m1"
    fresh = [each for each in play.log if each.sequence > marker.sequence]
    for log, count in ((rest + fresh, 0), (rest + changed(fresh, "step.scheduled", machine="m2"), 1)):
        comparison = Comparison()
        comparison.erased.add(spans(marker))
        assert len(compare(log, comparison)) == count


def answer(play: Play, chance: random.Random, answered: dict[str, int]) -> None:
    """A machine that connects stops at once what it is asked to stop, and says so; one that is there, at some time."""
    for machine in list(play.state.machines.values()):
        if answered.get(machine.name) == machine.session and chance.random() < 0.7:
            continue
        answered[machine.name] = machine.session
        for ref in implied(play.state, machine).stops:
            play.orders.pop(ref, None)
            play.fact(machine.name, c.AttemptStopped(reason="asked"), ref)


def perform(definitions: list[dict[str, Any]], chance: random.Random) -> Play:
    """Whatever chance brings, with agents that obey."""
    play, answered = Play(Policy(offline_timeout_s=60.0)), dict[str, int]()
    elect(play, "s1")
    for term in range(3):
        for number, definition in enumerate(definitions):
            play.submit(definition, f"x{term}-{number}")
        for _ in range(25):
            act(play, chance)
            answer(play, chance, answered)
    for _ in range(100):
        if play.state.executions:
            settle(play)
            answer(play, chance, answered)
    return play


@settings(max_examples=25, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_whatever_is_erased_nothing_disagrees(definitions: list[dict[str, Any]], seed: int) -> None:
    """Beside executions that ended and were erased, whatever they left on machines, a leader is found to be right."""
    chance = random.Random(seed)
    play = perform(definitions, chance)
    ended = sorted({recorded.event.execution for recorded in play.log if recorded.event.kind in ENDS})
    comparison, rest = beside(play, *chance.sample(ended, min(len(ended), chance.randrange(1, 3))))
    assert compare(rest, comparison) == []
