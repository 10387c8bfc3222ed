"""When a leader can be said to owe a decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import SCHEDULER
from muster.scheduler.demand import Demand
from muster.scheduler.options import ShadowOptions

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPTIONS = ShadowOptions(quiet_s=1.0, patience_s=10.0)


def at(sequence: int, writer: str = "m1", body: Body | None = None) -> list[Recorded]:
    """One event, as it is read."""
    event = Event(id=str(sequence), writer=writer, time=NOW, data=body or c.AttemptAccepted())
    return [Recorded(sequence, event)]


def decided(sequence: int) -> list[Recorded]:
    return at(sequence, SCHEDULER, c.ExecutionEnding(outcome="failed"))


def test_nothing_is_due_before_the_patience_is_over() -> None:
    """What came less than the patience ago is not asked for; what came before that is, as of that long ago."""
    demand = Demand(OPTIONS, 0.0)
    demand.arrive(at(1), 5.0)
    demand.arrive(at(2), 12.0)
    demand.reach(2, 2, 9.0)
    assert demand.due(NOW, 0.0) is None
    demand.reach(2, 2, 16.0)
    assert demand.due(NOW, 0.0) == (1, NOW - timedelta(seconds=10))
    demand.reach(2, 2, 23.0)
    assert demand.due(NOW, 0.0) == (2, NOW - timedelta(seconds=10))


def test_a_decision_begins_the_patience_anew() -> None:
    """Whoever decided lately has looked at everything before."""
    demand = Demand(OPTIONS, 0.0)
    demand.arrive(at(1), 1.0)
    demand.arrive(decided(2), 8.0)
    demand.reach(2, 2, 17.0)
    assert demand.due(NOW, 0.0) is None
    assert demand.quiet
    demand.reach(2, 2, 18.5)
    assert demand.due(NOW, 0.0) is not None


def test_silence_counts_only_as_far_as_the_log_is_read() -> None:
    """While the end of the log is not reached, what the leader decided may stand in what is not read."""
    demand = Demand(OPTIONS, 0.0)
    demand.arrive(at(1), 1.0)
    demand.reach(5, 1, 30.0)
    demand.reach(9, 1, 40.0)
    assert not demand.quiet
    assert demand.due(NOW, 0.0) is None
    demand.arrive(at(5), 41.0)
    demand.reach(9, 5, 42.0)  # what stood there at 30.0 is read, and was no decision
    assert demand.quiet
    assert demand.due(NOW, 0.0) == (1, NOW - timedelta(seconds=10))


def test_a_leader_that_began_to_beat_lately_is_given_time() -> None:
    """One that woke up has the whole patience from then on."""
    demand = Demand(OPTIONS, 0.0)
    demand.reach(0, 0, 30.0)
    assert demand.due(NOW, 25.0) is None
    demand.reach(0, 0, 35.5)
    assert demand.due(NOW, 25.0) is not None


def test_what_is_settled_is_not_asked_again() -> None:
    """Until something more is old enough, or a timer is due."""
    demand = Demand(OPTIONS, 0.0)
    demand.arrive(at(1), 1.0)
    demand.reach(1, 1, 20.0)
    demand.settle(1, NOW)
    assert demand.due(NOW, 0.0) is None
    assert demand.due(NOW + timedelta(seconds=10), 0.0) == (1, NOW)
    demand.arrive(at(2), 21.0)
    demand.reach(2, 2, 32.0)
    assert demand.due(NOW, 0.0) == (2, NOW - timedelta(seconds=10))


def test_after_a_lapse_everything_counts_as_new() -> None:
    """Who did not listen cannot know when what it reads came."""
    demand = Demand(OPTIONS, 0.0)
    demand.arrive(at(1), 1.0)
    demand.restart(20.0)
    demand.reach(1, 1, 25.0)
    assert demand.due(NOW, 0.0) is None
    demand.reach(1, 1, 30.5)
    assert demand.due(NOW, 0.0) is not None
