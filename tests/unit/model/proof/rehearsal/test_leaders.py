"""What a leader that dies, the one that follows it, and machines that nobody heard of do to a play of their record."""

from __future__ import annotations

from datetime import timedelta

from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import rehearse
from tests.fixtures.clocked import ClockedPlay
from tests.fixtures.hazards import succeed
from tests.fixtures.play import workflow

A1, A2 = AttemptRef("x1", "a", 1), AttemptRef("x1", "a", 2)


def followed(play: ClockedPlay, last: str, *, reads_ms: int = 1) -> ClockedPlay:
    """The leader died behind the last event of this kind; the next one is elected, reads the log, and decides."""
    cut = max(recorded.sequence for recorded in play.log if recorded.event.kind == last)
    play = ClockedPlay.following(succeed(play.log[:cut], "s2", policy=play.policy))
    play.now += timedelta(milliseconds=reads_ms)
    play.round()
    return play


def ended(play: ClockedPlay) -> bool:
    """All goes well from here on."""
    for _ in range(5):
        for ref in play.refs():
            play.begin(ref)
            play.finish(ref)
        play.later(30)
    return not play.state.executions


def comes_out_again(play: ClockedPlay) -> bool:
    """Whether it is as recorded, to the millisecond, when it is played again."""
    found = rehearse(play.log, Changes())
    return found.faithful and found.drift_s < 0.0005


def test_a_leader_decides_once_it_has_read_the_log() -> None:
    """What was due at an election is decided when the new leader had read the log, and not before it had."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}, {"id": "b", "needs": ["a"]}))
    play.begin(A1)
    play.finish(A1)
    play = followed(play, "attempt.finished", reads_ms=700)
    assert ended(play)
    assert comes_out_again(play)


def test_what_was_asked_at_a_connection_is_answered_before_what_is_decided_later() -> None:
    """A machine that connects is asked to stop at once: the room it gives back is there for the next decision."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}, {"id": "b", "needs": ["a"]}))
    play.connect("m2", slots=1)
    play.verdict("m1")
    play.begin(A2)
    play.connect("m1", slots=1, attempts=[A1])
    play.fact("m1", c.AttemptStopped(reason="asked"), A1)
    play.finish(A2)
    (b,) = [event for event in play.events("step.scheduled") if event.step == "b"]
    assert b.machine == "m1"
    assert ended(play)
    assert comes_out_again(play)


def test_a_machine_that_is_offline_hears_nothing_at_an_election() -> None:
    """What it had been told before goes on as it went, and is not begun anew by the next leader."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}))
    play.later(1)
    play.verdict("m1")
    play = followed(play, "machine.offline")
    play.fact("m1", c.AttemptAccepted(), A1)
    play.fact("m1", c.AttemptStarted(), A1)
    play.connect("m1", slots=1)
    assert [event.attempt for event in play.events("step.scheduled")] == [1, 2]
    assert ended(play)
    assert comes_out_again(play)


def test_what_the_next_leader_sends_into_a_silence_is_heard_at_its_end() -> None:
    """An order that the dead leader did not send and the next one did goes from when the machine could hear it."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}))
    play = followed(play, "step.scheduled")
    play.verdict("m1")
    play.now += timedelta(seconds=1)
    play.finish(A1)
    play.now += timedelta(seconds=1)
    play.connect("m1", slots=1)
    assert ended(play)
    assert comes_out_again(play)
