"""Whether a leader answers, by its beats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from muster.model.log.commands import Heartbeat
from muster.model.log.names import SCHEDULER
from muster.scheduler.pulse import Pulse

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def beat(session: int, seconds: float = 0.0, *, leaving: bool = False) -> Heartbeat:
    time = NOW + timedelta(seconds=seconds)
    return Heartbeat(name=SCHEDULER, sequence=1, session=session, interval_s=1.0, time=time, leaving=leaving)


def test_the_leader_answers_while_it_beats() -> None:
    """Its clock is what its newest beat says, until it was silent for too long."""
    pulse = Pulse(3.0, 0.0)
    assert pulse.time(7, 0.0) is None
    pulse.hear(beat(7), 1.0)
    pulse.hear(beat(7, 1.0), 2.0)
    assert pulse.time(7, 4.9) == NOW + timedelta(seconds=1)
    assert pulse.time(7, 5.1) is None
    assert pulse.since_s == 1.0


def test_a_gap_begins_the_beating_anew() -> None:
    """A leader that was away for a while has beaten only since it came back; so has one that was just elected."""
    pulse = Pulse(3.0, 0.0)
    pulse.hear(beat(7), 1.0)
    pulse.hear(beat(7), 6.0)
    assert pulse.since_s == 6.0
    pulse.hear(beat(9), 7.0)
    assert pulse.since_s == 7.0


def test_one_who_was_replaced_is_not_heard() -> None:
    """Neither does it answer for the new leader, nor does its beat break in upon the new one's."""
    pulse = Pulse(3.0, 0.0)
    pulse.hear(beat(7), 1.0)
    assert pulse.time(9, 1.0) is None
    pulse.hear(beat(9), 2.0)
    pulse.hear(beat(7, 60.0), 3.0)
    assert pulse.time(9, 3.0) == NOW
    assert pulse.since_s == 2.0


def test_a_leader_that_said_goodbye_does_not_answer() -> None:
    """Its last beat does not count any more."""
    pulse = Pulse(3.0, 0.0)
    pulse.hear(beat(7), 1.0)
    pulse.hear(beat(7, leaving=True), 1.1)
    assert pulse.time(7, 1.2) is None


def test_after_a_lapse_no_beat_counts() -> None:
    """Who did not listen knows nothing of how long the leader has been beating."""
    pulse = Pulse(3.0, 0.0)
    pulse.hear(beat(7), 1.0)
    pulse.restart(10.0)
    assert pulse.since_s == pulse.heard_s == 10.0
