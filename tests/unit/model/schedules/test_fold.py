"""Schedules in a play: what is run when, whoever leads and whatever was missed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.commands import (
    PauseSchedule,
    RemoveSchedule,
    ResumeSchedule,
    SetSchedule,
    TriggerSchedule,
)
from muster.model.policy import Policy
from muster.model.proof.recording import record
from muster.model.proof.replay import replay
from tests.fixtures.controlled import sound  # noqa: F401 - a fixture
from tests.fixtures.hazards import succeed
from tests.fixtures.play import START, Play
from tests.fixtures.scheduled import ask, begun, definition, scheduled, set_, told

pytestmark = pytest.mark.usefixtures("sound")


def work(play: Play) -> None:
    """Whatever was begun succeeds."""
    play.run_all()


def test_it_is_run_when_it_is_due() -> None:
    """Each time it is due an execution is begun, which says whose it is and when it was due."""
    play = scheduled(inputs={"day": "monday"})
    assert play.later(9).events == []
    for _ in range(2):
        play.until_due()
        work(play)
    assert told(play) == ["set", "fired 00:10", "fired 00:20"]
    assert begun(play) == ["report-20261121T120010Z", "report-20261121T120020Z"]
    first = play.events("execution.queued")[0].data
    assert isinstance(first, c.ExecutionQueued)
    assert first.schedule is not None
    assert (first.schedule.name, first.schedule.due_at) == ("report", START + timedelta(seconds=10))
    assert first.inputs == {"day": "monday"}
    assert [play.kinds(id_)[-1] for id_ in begun(play)] == ["execution.succeeded"] * 2


def test_a_late_leader_does_not_shift_it() -> None:
    """However late a run was, the next is due when it always was."""
    play = scheduled()
    play.later(13.7)
    work(play)
    play.until_due()
    assert play.now == START + timedelta(seconds=20)


def test_nothing_is_begun_while_the_last_one_goes_on() -> None:
    """By default one that is due while the last goes on is skipped, and the log says which is in the way."""
    play = scheduled()
    play.later(10)
    play.later(10)
    work(play)
    play.later(10)
    assert told(play) == ["set", "fired 00:10", "skipped 00:20 overlap", "fired 00:30"]
    (skipped,) = (event.data for event in play.events("schedule.skipped"))
    assert isinstance(skipped, c.ScheduleSkipped)
    assert skipped.execution == begun(play)[0]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("none", ["skipped 02:00 missed 12", "fired 02:10"]),
        ("last", ["skipped 01:50 missed 11", "fired 02:00", "fired 02:10"]),
        ("all", [*[f"fired {m:02}:{s:02} queue" for m in (0, 1) for s in range(0, 60, 10)][1:], "fired 02:00 queue"]),
    ],
)  # fmt: skip
def test_what_was_missed(catch_up: str, expected: list[str]) -> None:
    """Of what came due while nobody was there nothing is run, or the newest, or each, oldest first."""
    play = scheduled(catch_up=catch_up, policy=Policy(schedule_late_s=0))
    play.later(121)
    work(play)
    if catch_up != "all":
        play.until_due()
    assert told(play)[1:] == expected
    assert play.state.schedules.by_name["report"].next_at == START + timedelta(
        seconds=130 if catch_up == "all" else 140
    )


def test_a_run_that_is_a_little_late_is_none_that_was_missed() -> None:
    """Without catching up the newest is still run where it is late by less than a new leader takes."""
    play = scheduled(catch_up="none", every="1m")
    play.later(100)
    assert told(play) == ["set", "fired 01:00"]
    work(play)
    play.later(200)
    assert told(play)[2:] == ["skipped 04:00 missed 3", "fired 05:00"]


def test_no_more_is_made_up_for_than_the_policy_says() -> None:
    """The newest are run, the others are skipped by one event that counts them."""
    play = scheduled(catch_up="all", policy=Policy(schedule_catch_up_max=3))
    play.later(100)
    assert told(play)[1:] == [
        "skipped 01:10 missed 7", "fired 01:20 queue", "fired 01:30 queue", "fired 01:40 queue",
    ]  # fmt: skip


def test_too_many_that_wait_or_run() -> None:
    """Where so many of it are not done, nothing further is begun."""
    play = scheduled(overlap="queue", policy=Policy(schedule_running_max=2))
    for _ in range(3):
        play.until_due()
    assert told(play)[1:] == ["fired 00:10 queue", "fired 00:20 queue", "skipped 00:30 full"]


def test_the_next_waits_for_the_last() -> None:
    """With queue each is begun, and runs when those before it have ended."""
    play = scheduled(overlap="queue")
    for _ in range(3):
        play.until_due()
    assert [len(play.refs()), len(begun(play))] == [1, 3]
    work(play)
    ends = [r.event.execution for r in play.log if r.event.kind == "execution.succeeded"]
    assert ends == begun(play)


def test_the_next_takes_the_place_of_the_last() -> None:
    """With cancel the one that goes on is ended in favour of the new one."""
    play = scheduled(overlap="cancel")
    for _ in range(2):
        play.until_due()
    play.obey()
    play.round()
    first, second = begun(play)
    assert play.kinds(first)[-1] == "execution.cancelled"
    (ending,) = (event.data for event in play.events("execution.ending"))
    assert isinstance(ending, c.ExecutionEnding)
    assert ending.reason == f"replaced by {second}"


def test_what_was_missed_runs_one_after_the_other() -> None:
    """All that is made up for is begun at once and takes turns, though nothing else of it overlaps."""
    play = scheduled(catch_up="all")
    play.later(35)
    assert told(play)[1:] == ["fired 00:10 queue", "fired 00:20 queue", "fired 00:30 queue"]
    assert len(play.refs()) == 1
    play.until_due()
    assert told(play)[4:] == ["skipped 00:40 overlap"]
    work(play)
    play.until_due()
    assert told(play)[5:] == ["fired 00:50"]


def test_a_workflow_that_says_itself_what_overlaps() -> None:
    """Its own key is claimed; where that refuses one more, the log says why the schedule was passed over."""
    play = scheduled()
    play.commands += 1
    whole = definition() | {"concurrency": {"key": "k", "on_conflict": "reject"}}
    play.round(SetSchedule(id="own", name="report", workflow=whole))
    play.submit(whole, "in-the-way")
    play.until_due()
    (skipped,) = (event.data for event in play.events("schedule.skipped"))
    assert isinstance(skipped, c.ScheduleSkipped)
    assert skipped.error is not None
    assert (skipped.reason, skipped.error.code) == ("refused", "concurrency_limit")
    work(play)
    play.until_due()
    assert told(play)[-1] == "fired 00:20 reject"


def test_a_name_that_is_taken() -> None:
    """Where somebody has an execution of that very id, it is left alone."""
    play = scheduled()
    play.submit(definition(), "report-20261121T120010Z")
    play.until_due()
    assert told(play)[1:] == ["skipped 00:10 taken"]
    work(play)
    play.until_due()
    assert told(play)[2:] == ["fired 00:20"]


# ---- commands


def test_paused_and_resumed() -> None:
    """What is paused is not run; resumed, it goes on with its next time and makes up for nothing."""
    play = scheduled(catch_up="all")
    ask(play, PauseSchedule, name="report")
    ask(play, PauseSchedule, name="report")
    play.later(65)
    ask(play, ResumeSchedule, name="report")
    ask(play, ResumeSchedule, name="report")
    play.until_due()
    assert told(play) == ["set", "paused", "resumed", "fired 01:10"]


def test_removed() -> None:
    """What is removed is not run any more; what it had begun goes on, and the name is free."""
    play = scheduled()
    play.later(10)
    ask(play, RemoveSchedule, name="report")
    play.later(60)
    work(play)
    assert play.kinds(begun(play)[0])[-1] == "execution.succeeded"
    set_(play, every="1m")
    play.later(60)
    assert told(play) == ["set", "fired 00:10", "removed", "set", "fired 02:10"]


def test_set_again() -> None:
    """The same again changes nothing; something else takes its place, and a time that was dealt with is not gone back
    to, even if the clock is.
    """
    play = scheduled()
    play.later(10)
    set_(play)
    assert told(play) == ["set", "fired 00:10"]
    play.now = START - timedelta(hours=1)
    set_(play, cron="10 12 * * *", every=None)
    set_(play, cron="* * * * * *", every=None)
    assert play.state.schedules.by_name["report"].next_at == START + timedelta(seconds=11)
    assert list(play.state.schedules.by_name["report"].running) == begun(play)
    ask(play, RemoveSchedule, name="report")
    set_(play, cron="* * * * * *", every=None)
    assert play.state.schedules.by_name["report"].next_at == START + timedelta(seconds=11)


def test_triggered() -> None:
    """Somebody may have it run at once, as an execution of his id; its times stay what they are."""
    play = scheduled()
    ask(play, PauseSchedule, name="report")
    ask(play, TriggerSchedule, name="report", execution="now-1")
    queued = play.events("execution.queued")[0].data
    assert isinstance(queued, c.ExecutionQueued)
    assert queued.schedule is not None
    assert queued.schedule.triggered
    assert play.state.schedules.by_name["report"].next_at == START + timedelta(seconds=10)
    ask(play, TriggerSchedule, name="report", execution="now-2")
    (refused,) = (event.data for event in play.events("command.refused"))
    assert isinstance(refused, c.CommandRefused)
    assert refused.error.code == "schedule_running"
    work(play)
    ask(play, TriggerSchedule, name="report", execution="now-2")
    assert begun(play) == ["now-1", "now-2"]


def test_a_command_that_is_delivered_again() -> None:
    """A command changes something once, even where its opposite came in between."""
    play = scheduled()
    pause, resume = PauseSchedule(id="p", name="report"), ResumeSchedule(id="r", name="report")
    for command in (pause, resume, pause, resume):
        play.round(command)
    remove = RemoveSchedule(id="x", name="report")
    again = SetSchedule(id="command-1", name="report", workflow=definition())
    for later in (remove, again, TriggerSchedule(id="p", name="report", execution="no"), remove):
        play.round(later)
    assert told(play) == ["set", "paused", "resumed", "removed"]
    assert play.events("command.refused") == []


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        (SetSchedule, {"name": "No Name", "workflow": definition()}, "name_invalid"),
        (SetSchedule, {"name": "n" * 41, "workflow": definition()}, "name_invalid"),
        (SetSchedule, {"name": "a", "workflow": definition(every="soon")}, "workflow_invalid"),
        (SetSchedule, {"name": "a", "workflow": definition() | {"schedule": None}}, "workflow_invalid"),
        (SetSchedule, {"name": "a", "workflow": definition(), "inputs": {"x": 1}}, "invalid_argument"),
        (SetSchedule, {"name": "b", "workflow": definition()}, "command_invalid"),
        (PauseSchedule, {"name": "nobody"}, "schedule_not_found"),
        (ResumeSchedule, {"name": "nobody"}, "schedule_not_found"),
        (RemoveSchedule, {"name": "nobody"}, "schedule_not_found"),
        (TriggerSchedule, {"name": "nobody", "execution": "x"}, "schedule_not_found"),
        (TriggerSchedule, {"name": "report", "execution": "no good"}, "name_invalid"),
        (TriggerSchedule, {"name": "report", "execution": "known"}, "execution_conflict"),
    ],
)
def test_what_is_refused(kind: Any, fields: dict[str, Any], code: str) -> None:
    """What cannot be accepted is refused with its error, and changes nothing."""
    play = scheduled(policy=Policy(schedules_max=1))
    play.submit(definition(), "known")
    ask(play, kind, **fields)
    (refused,) = (event.data for event in play.events("command.refused"))
    assert isinstance(refused, c.CommandRefused)
    assert refused.error.code == code
    assert told(play) == ["set"]


# ---- leaders, and what is gone from the log


def cut(play: Play) -> int:
    """Where a leader dies between the two events of a run."""
    return next(r.sequence for r in reversed(play.log) if r.event.kind == "schedule.fired")


def test_a_leader_dies_between_the_two_events() -> None:
    """The next one begins what was said to be begun, even where it is first told to remove the schedule."""
    play = scheduled()
    play.later(10)
    next_ = succeed(play.log[: cut(play)], "s2", policy=play.policy)
    assert begun(next_) == []
    ask(next_, RemoveSchedule, name="report")
    assert begun(next_) == ["report-20261121T120010Z"]
    assert next_.round().events == []
    assert replay(next_.log).differences == []


def test_a_leader_whose_clock_is_behind() -> None:
    """A time that was dealt with is not dealt with again by one to whom it has not come yet."""
    play = scheduled()
    play.later(10)
    next_ = succeed(play.log, "s2", policy=play.policy)
    next_.now = START + timedelta(seconds=5)
    assert next_.round().events == []
    next_.later(5)
    assert told(next_) == ["set", "fired 00:10"]
    assert next_.state.timers[0][0] == START + timedelta(seconds=20)


def test_a_fixture_of_one_run_replays() -> None:
    """The recording of an execution that a schedule has begun needs no schedule."""
    play = scheduled()
    play.later(10)
    work(play)
    play.later(10)
    work(play)
    recording = record(play.log, begun(play)[1])
    assert not [r for r in recording if r.event.kind.startswith("schedule.")]
    assert replay(recording).differences == []


def test_two_that_are_due_at_once_are_begun_by_name() -> None:
    """The order does not depend on which was set first."""
    play = scheduled("second")
    set_(play, "first")
    play.later(10)
    assert [id_.partition("-")[0] for id_ in begun(play)] == ["first", "second"]


def test_a_token_cannot_be_guessed() -> None:
    """What tokens are made of is the id of the command that set the schedule, and not what anybody could work out."""
    play = scheduled()
    play.later(10)
    state: State = play.state
    assert state.executions[begun(play)[0]].seed == "command-1"


def test_times_are_told_in_utc() -> None:
    """Whatever the zone of the schedule, the log has times in UTC."""
    play = scheduled(cron="30 13 * * *", every=None, timezone="Europe/Berlin")
    assert play.state.schedules.by_name["report"].next_at == datetime.fromisoformat("2026-11-21T12:30:00Z")
    play.later(1800)
    assert begun(play) == ["report-20261121T123000Z"]
