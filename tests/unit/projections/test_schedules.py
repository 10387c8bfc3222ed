"""Schedules: what they are, when they are due, what they began and what they did not."""

import json

from muster.model.definition.schedule import Schedule, Scheduled
from muster.model.definition.workflow import Step, Workflow
from muster.model.log import catalogue as c
from tests.fixtures.histories import START, History
from tests.fixtures.views import fold, row, rows

AT = "2026-03-01T12:00:00.000000Z"


def _log() -> History:
    made = History()
    workflow = Workflow(
        name="report", steps=[Step(id="a", log="x")], schedule=Schedule(every=60, overlap="queue")
    )
    body = c.ScheduleSet(
        name="hourly", workflow=workflow, inputs={"n": 1}, next_at=START, labels={"team": "a"}
    )
    made.decide(body)
    return made


def test_a_schedule_as_it_was_set(tmp_path):
    """schedule.set says what is run, when, with what, and when next."""
    found = row(tmp_path, _log(), "schedules")
    assert [found[name] for name in ("name", "status", "workflow", "cron", "every", "timezone")] == [
        "hourly", "active", "report", None, "60", "UTC",
    ]  # fmt: skip
    assert (found["overlap"], found["catch_up"], found["next_at"], found["set_at"]) == (
        "queue",
        "last",
        AT,
        AT,
    )
    assert (json.loads(found["inputs"]), json.loads(found["labels"])) == ({"n": 1}, {"team": "a"})


def test_what_became_of_the_times_it_was_due(tmp_path):
    """What was begun, and what was not, each the last time; setting it anew leaves that as it was."""
    log = _log()
    log.decide(c.ScheduleFired(name="hourly", due_at=START, execution="x1", next_at=None))
    log.decide(c.ScheduleSkipped(name="hourly", due_at=START, reason="overlap", next_at=START))
    found = row(tmp_path, log, "schedules")
    assert (found["last_due_at"], found["last_execution"], found["next_at"]) == (AT, "x1", AT)
    assert (found["skipped_at"], found["skipped_reason"], found["sequence"]) == (AT, "overlap", 3)


def test_paused_resumed_and_removed(tmp_path):
    """The status follows what was asked for; a schedule that was removed is kept as one."""
    log = _log()
    log.decide(c.SchedulePaused(name="hourly", reason="holiday"))
    assert (row(tmp_path, log, "schedules")["status"], row(tmp_path, log, "schedules")["reason"]) == (
        "paused", "holiday",
    )  # fmt: skip
    log.decide(c.ScheduleResumed(name="hourly", next_at=START))
    assert row(tmp_path, log, "schedules")["status"] == "active"
    log.decide(c.ScheduleRemoved(name="hourly"))
    found = row(tmp_path, log, "schedules")
    assert (found["status"], found["next_at"]) == ("removed", None)


def test_an_execution_says_whose_it_is(tmp_path):
    """What a schedule has begun names it, and when it was due."""
    log = _log()
    log.queue("x1", ["a"], schedule=Scheduled(name="hourly", due_at=START))
    log.queue("x2", ["a"])
    found = [
        (each["schedule"], each["due_at"])
        for each in rows(fold(tmp_path / "view.db", log.events), "executions")
    ]
    assert found == [("hourly", AT), (None, None)]
