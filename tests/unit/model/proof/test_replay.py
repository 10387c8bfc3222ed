"""Recorded decisions are made again, and come out the same."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.errors import FixtureInvalidError
from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER
from muster.model.policy import Policy
from muster.model.proof.replay import Replay, replay
from tests.fixtures.drawn import several, unfold, workflows
from tests.fixtures.hazards import elect, finish
from tests.fixtures.play import Play, diamond, workflow
from tests.fixtures.tampered import changed, ended_diamond, without


@settings(max_examples=200, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_play_replays_to_zero_differences(definitions: list[dict[str, Any]], seed: int) -> None:
    """Whatever happens, and however far behind the leader reads, its decisions come out again."""
    play, chance = Play(Policy(offline_timeout_s=60.0)), random.Random(seed)
    elect(play, "s1")
    play.lagging = chance.random() < 0.7
    unfold(play, definitions, chance, 120, "x")
    play.lagging = False
    play.read()
    finish(play)
    found = replay(play.log)
    assert found.differences == []
    assert found.decisions > 0


@settings(max_examples=200, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_a_log_of_several_leaders_replays(definitions: list[dict[str, Any]], seed: int) -> None:
    """A leader that dies in the middle of a round leaves a log that replays, with what its successors decided."""
    play = several(definitions, random.Random(seed))
    finish(play)
    assert replay(play.log).differences == []


def test_a_decision_that_was_another_is_shown_with_what_it_rests_on() -> None:
    """The difference says what was decided then, what would be now, and the state both rest on."""
    play = ended_diamond()
    (found,) = replay(changed(play.log, "step.scheduled", machine="m2")).differences
    assert found.then is not None
    assert found.now is not None
    assert found.then.data.machine == "m2"
    assert found.now.data.machine == "m1"
    assert [machine["slots"] for machine in found.grounds["machines"]] == ["0/1", "0/1"]
    assert found.sequence == next(r.sequence for r in play.log if r.event.kind == "step.scheduled")


def test_a_decision_that_is_missing_is_found() -> None:
    """What would be decided and is not in the record is a difference where the round is complete."""
    (found,) = replay(without(ended_diamond().log, "step.started")).differences
    assert found.now is not None
    assert found.now.kind == "step.started"


def test_a_decision_that_should_not_be_is_found() -> None:
    """What is in the record and would not be decided is a difference."""
    log = without(ended_diamond().log, "attempt.finished")
    (found,) = replay(log).differences
    assert found.then is not None
    assert found.then.kind == "step.succeeded"
    assert found.now is None


def test_more_than_the_first_difference_is_found_where_asked() -> None:
    """After a difference the state is folded from the record, so that one does not cause the next."""
    play = ended_diamond()
    log = changed(play.log, "step.started", machine="elsewhere")
    log = changed(log, "execution.succeeded", outputs={"x": 1})
    assert len(replay(log, limit=5).differences) == 2


def test_the_policy_of_the_record_is_replayed() -> None:
    """Decisions rest on the policy their leader was elected with, whatever the default is now."""
    play = Play(Policy(placement_timeout_s=5.0))
    elect(play, "s1")
    play.submit(workflow({"id": "a", "machine": "never"}))
    play.later(6.0)
    assert play.kinds()[-1] == "execution.failed"
    assert replay(play.log).differences == []


def test_a_fixture_of_one_execution_replays_beside_others() -> None:
    """Of other executions only what held room is needed to decide the one again."""
    play = Play()
    elect(play, "s1")
    play.connect("m1", slots=2)
    play.connect("m2", slots=2)
    for number in range(4):
        play.submit(diamond(), f"x{number}")
    play.run_all()
    room = {"step.scheduled", "attempt.accepted", "attempt.finished", "attempt.superseded"}
    for number in range(4):
        own = f"x{number}"
        part = [r for r in play.log if r.event.execution in {"-", own} or r.event.kind in room]
        found = replay(part)
        assert found.differences == []
        assert found.decisions == sum(
            r.event.writer == SCHEDULER and r.event.execution == own and not r.event.data.given for r in part
        )


def test_the_end_of_a_record_may_cut_a_round() -> None:
    """A record that ends in the middle of a round is no difference, wherever it ends."""
    play = ended_diamond()
    for end in range(1, len(play.log)):
        assert replay(play.log[:end]).differences == []


@pytest.mark.parametrize("basis", ["", "1/2", "x/y/z"])
def test_a_basis_that_is_none_is_refused(basis: str) -> None:
    """A decision whose basis cannot be read is an error, not a silent pass."""
    play = ended_diamond()
    place = next(place for place, r in enumerate(play.log) if r.event.kind == "step.scheduled")
    event = msgspec.structs.replace(play.log[place].event, basis=basis, line=None)
    fold = Replay()
    with pytest.raises(FixtureInvalidError):
        for recorded in [*play.log[:place], Recorded(place + 1, event)]:
            fold.take(recorded)
        fold.close()
