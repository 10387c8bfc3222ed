"""Deciding beside a leader: what is compared, what is in doubt, and what is owed."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, Recorded, decode, encode
from muster.model.log.erasure import Span, spans
from muster.model.log.names import SCHEDULER
from muster.model.log.retention import Moved
from muster.model.policy import Policy
from muster.model.proof.record import copied
from muster.model.proof.replay import replay
from muster.model.proof.shadow import Comparison, Disagreement
from tests.fixtures.drawn import several, workflows
from tests.fixtures.hazards import elect, finish
from tests.fixtures.play import START, Play, diamond, workflow
from tests.fixtures.tampered import changed, ended_diamond, without


def compare(log: list[Recorded], comparison: Comparison | None = None) -> list[Disagreement]:
    """Every disagreement in the log; its last round counts as complete as it is."""
    comparison = comparison or Comparison()
    found = [comparison.take(recorded) for recorded in log]
    found.append(comparison.look())
    return [each for each in found if each is not None]


def ended(definitions: list[dict[str, Any]], chance: random.Random) -> list[Recorded]:
    """The log of several leaders, after which the world was kind."""
    play = several(definitions, chance)
    finish(play)
    return play.log


@settings(max_examples=100, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_looking_ahead_changes_nothing(definitions: list[dict[str, Any]], seed: int) -> None:
    """However often it looks at a round that is not complete, or works out what is owed, nothing disagrees."""
    chance = random.Random(seed)
    comparison, found = Comparison(), []
    for recorded in ended(definitions, chance):
        found.append(comparison.take(recorded))
        if chance.random() < 0.2:
            found.append(comparison.look())
        if chance.random() < 0.1:
            comparison.owed(recorded.sequence, recorded.event.time + timedelta(days=chance.randrange(2)))
    assert [each for each in found if each is not None] == []
    assert comparison.doubtful == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_exactly_what_was_planted_is_found(definitions: list[dict[str, Any]], seed: int) -> None:
    """Of each round that was changed the first change is found, and nothing else: no disagreement causes another."""
    chance = random.Random(seed)
    log = ended(definitions, chance)
    decided = [r for r in log if r.event.kind in {"step.scheduled", "execution.succeeded", "step.failed"}]
    planted: dict[str, int] = {}
    for recorded in sorted(chance.sample(decided, min(3, len(decided))), key=lambda each: each.sequence):
        event = msgspec.structs.replace(recorded.event, cause="planted", line=None)
        log[log.index(recorded)] = Recorded(recorded.sequence, decode(encode(event)))
        planted.setdefault(str(event.basis), recorded.sequence)
    assert {each.difference.sequence for each in compare(log)} == {*planted.values()}
    assert len(compare(log)) == len(planted)


def test_the_difference_is_the_one_of_a_replay() -> None:
    """What is shown is what ``muster replay`` shows: both decisions and the state before the round."""
    log = changed(ended_diamond().log, "step.scheduled", machine="m2")
    (theirs,) = replay(log).differences
    mine, *_ = compare(log)
    assert msgspec.to_builtins(mine.difference) == msgspec.to_builtins(theirs)
    assert mine.kind == "decided"
    assert mine.leader == "s1"


def test_a_missing_decision_is_known_as_lacking() -> None:
    """What every later round will lack too has a key; a decision that only says something else has none."""
    lacking, *_ = compare(without(ended_diamond().log, "step.started"))
    assert lacking.key == ("step.started", "x1", "a", 1)
    (other,) = compare(changed(ended_diamond().log, "execution.succeeded", outputs={"x": 1}))
    assert other.key is None


def test_what_the_newest_round_may_still_get_is_not_missed() -> None:
    """A round that is still being written is no disagreement, but what is in it and should not be is one."""
    log = ended_diamond().log
    first = next(place for place, r in enumerate(log) if r.event.kind == "execution.started")
    comparison = Comparison()
    assert compare(log[: first + 1], comparison) == []
    found, due = comparison.owed(comparison.sequence, START)
    assert [each.difference.now.kind for each in found if each.difference.now] == ["step.scheduled"]
    assert found[0].kind == "owed"
    assert found[0].difference.grounds["machines"][0]["slots"] == "0/1"
    assert due is not None
    assert comparison.take(log[first + 1]) is None


def test_timers_are_owed_when_they_are_due() -> None:
    """What only a timer asks for is owed as of when it is due, and not before."""
    play = Play(Policy(placement_timeout_s=5.0))
    elect(play, "s1")
    play.submit(workflow({"id": "a", "machine": "never"}))
    comparison = Comparison()
    assert compare(play.log, comparison) == []
    found, due = comparison.owed(comparison.sequence, play.now + timedelta(seconds=4))
    assert found == []
    assert due == play.now + timedelta(seconds=5)
    found, _ = comparison.owed(comparison.sequence, play.now + timedelta(seconds=5))
    assert [each.difference.now.kind for each in found if each.difference.now] == [
        "step.failed",
        "execution.ending",
        "execution.failed",
    ]


def test_a_copy_shares_definitions_and_nothing_that_changes() -> None:
    """Folding into a copy leaves the record as it is; what never changes is not copied."""
    play = Play()
    elect(play, "s1")
    play.connect("m1", slots=2)
    play.submit(diamond())
    comparison = Comparison()
    compare(play.log, comparison)
    comparison.record.fold_facts(comparison.sequence)
    comparison.record.close()
    state, other = comparison.record.state, copied(comparison.record).state
    step, twin = state.executions["x1"].steps["a"], other.executions["x1"].steps["a"]
    assert twin.attempt is other.machines["m1"].held[c.AttemptRef("x1", "a", 1)]
    assert twin.attempt is not step.attempt
    assert twin.plan is step.plan
    other.end(other.executions["x1"])
    other.machines["m1"].release(c.AttemptRef("x1", "a", 1))
    assert "x1" in state.executions
    assert state.machines["m1"].slots_used == 1


# ---- what is gone


def two_in_one_slot() -> Play:
    """One machine with one slot; x1 takes it, and x2 waits for it; then x3 comes alone."""
    play = Play()
    elect(play, "s1")
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}), "x1")
    play.submit(workflow({"id": "a"}), "x2")
    play.run_all()
    play.submit(workflow({"id": "a"}), "x3")
    play.run_all()
    return play


def span_of(log: list[Recorded], execution: str) -> Span:
    places = [recorded.sequence for recorded in log if recorded.event.execution == execution]
    return Span(places[0], places[-1], execution)


def gone(log: list[Recorded], execution: str) -> list[Recorded]:
    return [recorded for recorded in log if recorded.event.execution != execution]


def test_rounds_beside_an_erased_execution_are_in_doubt() -> None:
    """Why a step waited cannot be seen any more where the other that had the room is gone: that is not compared."""
    log = two_in_one_slot().log
    rest = gone(log, "x1")
    assert compare(rest) != []
    comparison = Comparison()
    comparison.erased.add([span_of(log, "x1")])
    assert compare(rest, comparison) == []
    assert comparison.doubtful > 0
    assert comparison.rounds > 0
    assert not comparison.torn


def test_what_is_behind_an_erased_execution_is_compared() -> None:
    """Doubt ends with the last event that is gone."""
    log = two_in_one_slot().log
    rest = changed(gone(log, "x1"), "execution.succeeded", outputs={"x": 1})  # of x2
    rest = [*rest[:-1], changed(rest[-1:], "execution.succeeded", outputs={"x": 1})[0]]  # of x3
    comparison = Comparison()
    comparison.erased.add([span_of(log, "x1")])
    assert [each.difference.then.execution for each in compare(rest, comparison) if each.difference.then] == [
        "x2",
        "x3",
    ]


def pulled() -> Play:
    """Two machines that are alike, of which the second has pulled an image for x2."""
    play = Play()
    elect(play, "s1")
    for machine in ("m1", "m2"):
        play.connect(machine, slots=2)
    for number, image in ((1, "other:1"), (2, "wanted:1")):
        play.submit(workflow({"id": "a", "machine": f"m{number}", "image": image}), f"x{number}")
        play.fact(f"m{number}", c.ImagePulled(image=image, digest="d"), c.AttemptRef(f"x{number}", "a", 1))
        play.run_all()
    return play


def without_x2(log: list[Recorded]) -> list[Disagreement]:
    """What disagrees where x2 is gone."""
    comparison = Comparison()
    comparison.erased.add([span_of(log, "x2")])
    return compare(gone(log, "x2"), comparison)


def test_a_leader_may_know_of_an_image_whose_pull_is_gone() -> None:
    """Between machines that are alike, what a leader may have known from an erased execution is no disagreement."""
    play = pulled()
    play.submit(workflow({"id": "a", "image": "wanted:1"}), "x3")
    play.run_all()
    assert play.events("step.scheduled")[-1].machine == "m2"
    assert compare(play.log) == []
    assert [each.difference.sequence for each in compare(gone(play.log, "x2"))] != []
    assert without_x2(play.log) == []


def test_a_leader_may_know_of_a_load_that_is_gone() -> None:
    """A call that went to a machine where an erased execution may have loaded the function is no disagreement."""
    play = Play()
    elect(play, "s1")
    for machine in ("m1", "m2"):
        play.connect(machine, slots=4, functions=[])
    calls = {"id": "a", "image": "fn:1", "function": "g"}
    play.submit(workflow({**calls, "machine": "m2"}), "x2")
    loaded = c.FunctionLoaded(function="g", image="fn:1", container="c1", concurrency=2)
    play.fact("m2", loaded, c.AttemptRef("x2", "a", 1))
    play.run_all()
    for number in (3, 4):
        play.submit(workflow(calls, {**calls, "id": "b"}, {**calls, "id": "c"}), f"x{number}")
        assert [event.machine for event in play.events("step.scheduled")[-3:]] == ["m2", "m2", "m1"]
        play.run_all()
    assert compare(play.log) == []
    assert [each.difference.sequence for each in compare(gone(play.log, "x2"))] != []
    assert without_x2(play.log) == []


def test_what_no_image_explains_is_a_disagreement() -> None:
    """A step that went to a busier machine went there for another reason; so did one where nobody pulls images."""
    play = pulled()
    play.submit(workflow({"id": "a", "image": "wanted:1", "machine": "m2"}), "x3")
    play.submit(workflow({"id": "a", "image": "wanted:1"}), "x4")
    assert play.events("step.scheduled")[-1].machine == "m1"
    log = [*play.log[:-1], *changed(play.log[-1:], "step.scheduled", machine="m2")]
    (found,) = without_x2(log)
    assert found.difference.then is not None
    assert found.difference.then.execution == "x4"

    play = pulled()
    play.submit(workflow({"id": "a", "image": "wanted:1"}), "x3")
    nobody_pulls = [recorded for recorded in play.log if recorded.event.kind != "image.pulled"]
    assert [each.difference.then.machine for each in without_x2(nobody_pulls) if each.difference.then] == [
        "m2"
    ]


def test_an_execution_that_was_erased_under_the_reader_tears_the_record() -> None:
    """Of one whose beginning was read and whose end is gone nobody will read an end: the record is torn."""
    log = two_in_one_slot().log
    span = span_of(log, "x1")
    torn = [r for r in log if r.event.execution != "x1" or r.sequence < span.first + 3]
    for known in (span, Span(span.first, span.last)):  # by its name, or by its place alone
        comparison = Comparison()
        assert compare(torn, comparison) != []
        comparison.erased.add([known])
        assert comparison.torn
    whole = Comparison()
    compare(log, whole)
    whole.erased.add([span])
    assert not whole.torn


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (c.ExecutionCleared(events=3, sequences=[(4, 5), (9, 9)]), [Span(4, 9, "x1")]),
        (c.ExecutionCleared(), [Span(1, 20, "x1")]),
        (
            c.LogArchived(place="p", objects=[Moved(sha256="s", bytes=1, events=2, first=3, last=8)]),
            [Span(3, 8)],
        ),
        (c.MachineDraining(), []),
    ],
)
def test_the_log_says_what_is_gone_from_it(data: Any, expected: list[Span]) -> None:
    """A mark of clearing or archiving names the span; an old one that does not may be of anything before it."""
    event = Event(id="e", writer=SCHEDULER, time=START, data=data, execution="x1")
    assert spans(Recorded(20, event)) == expected


def test_what_rests_on_the_time_before_the_start_is_not_compared() -> None:
    """Below the start everything is folded as it stands; what rests on it alone is compared."""
    log = changed(two_in_one_slot().log, "execution.succeeded", outputs={"x": 1})
    place = next(r.sequence for r in log if r.event.kind == "execution.succeeded")
    comparison = Comparison(place + 1)
    assert compare(log, comparison) == []
    assert comparison.rounds > 0
    assert comparison.doubtful == 0
