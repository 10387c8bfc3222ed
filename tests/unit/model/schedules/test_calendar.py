"""When a schedule is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.definition.schedule import Schedule
from muster.model.schedules import calendar
from muster.model.schedules.calendar import COUNTED_MAX, after, coming, defects, elapsed

SET = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def cron(written: str, zone: str = "UTC") -> Schedule:
    return Schedule(cron=written, timezone=zone)


def times(schedule: Schedule, moment: str, count: int = 4) -> list[str]:
    """The next times, as a clock in the schedule's zone shows them."""
    zone = calendar.zone(schedule.timezone)
    found = islice(coming(schedule, SET, at(moment)), count)
    return [due_at.astimezone(zone).strftime("%m-%d %H:%M%z") for due_at in found]


def test_every_counts_from_when_it_was_set() -> None:
    """It does not drift: times are whole multiples from the second in which it was set, whatever came between."""
    schedule = Schedule(every="90s")
    assert after(schedule, SET, SET) == at("2026-01-01T12:01:30Z")
    assert after(schedule, SET, at("2026-01-01T12:01:30Z")) == at("2026-01-01T12:03:00Z")
    assert after(schedule, SET, at("2026-01-01T12:01:29.999Z")) == at("2026-01-01T12:01:30Z")
    assert after(schedule, SET, at("2025-06-01T00:00:00Z")) == at("2026-01-01T12:01:30Z")


@pytest.mark.parametrize(
    ("zone", "before", "expected"),
    [
        ("Europe/Berlin", "2026-03-28T12:00:00Z", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        ("America/New_York", "2026-03-07T12:00:00Z", ["03-08 03:00-0400", "03-09 02:30-0400"]),
    ],
)
def test_a_time_that_does_not_exist_is_made_up_for(zone: str, before: str, expected: list[str]) -> None:
    """Where the clock is put forward over half past two, it is due at three, once."""
    assert times(cron("30 2 * * *", zone), before, 2) == expected


@pytest.mark.parametrize(
    ("zone", "before", "expected"),
    [
        (
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            ["10-25 02:30+0200", "10-26 02:30+0100"],
        ),
        (
            "America/New_York",
            "2026-10-31T12:00:00Z",
            ["11-01 01:30-0400", "11-02 01:30-0500"],
        ),
    ],
)
def test_a_time_that_comes_twice_counts_once(zone: str, before: str, expected: list[str]) -> None:
    """Where the clock is put back, a daily time is due at its first coming, and not again."""
    hour = "2" if zone == "Europe/Berlin" else "1"
    schedule = cron(f"30 {hour} * * *", zone)
    assert times(schedule, before, 2) == expected
    between = at("2026-10-25T01:10:00Z") if hour == "2" else at("2026-11-01T06:10:00Z")
    assert after(schedule, SET, between) == list(islice(coming(schedule, SET, at(before)), 2))[1]


def test_what_is_due_every_half_hour_goes_on_through_both() -> None:
    """Times of a step are due in both of the two equal hours, and go on behind a gap."""
    halves = cron("*/30 * * * *", "Europe/Berlin")
    assert times(halves, "2026-10-25T00:00:00Z", 4) == [
        "10-25 02:30+0200", "10-25 02:00+0100", "10-25 02:30+0100", "10-25 03:00+0100",
    ]  # fmt: skip
    assert times(halves, "2026-03-29T00:30:00Z", 2) == ["03-29 03:00+0200", "03-29 03:30+0200"]


def test_leap_days() -> None:
    """The 29th of February comes every fourth year, the last day of a month in each."""
    assert after(cron("0 0 29 2 *"), SET, at("2026-03-01T00:00:00Z")) == at("2028-02-29T00:00:00Z")
    assert times(cron("0 9 L * *"), "2028-01-31T12:00:00Z", 2) == ["02-29 09:00+0000", "03-31 09:00+0000"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *", "0 0 * * SUN", "0 */2 * * *", "5 3 * * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
    st.integers(-40 * 3600, 40 * 3600),
)  # fmt: skip
def test_whoever_asks_from_wherever_is_told_the_same(written: str, zone: str, day: str, shift: int) -> None:
    """Times go forward, and asking anew behind each of them, or just before it, gives the one that comes next."""
    schedule, start = cron(written, zone), at(f"{day}T00:00:00Z") + timedelta(seconds=shift)
    found = list(islice(coming(schedule, SET, start), 12))
    assert found == sorted(set(found))
    assert found[0] > start
    for one, next_ in pairwise(found):
        assert after(schedule, SET, one) == next_
        assert after(schedule, SET, one - timedelta(seconds=1)) == one


def test_what_has_come_due_is_counted() -> None:
    """The newest are named, those before them counted, and the newest of those told."""
    schedule, first = Schedule(every="10s"), at("2026-01-01T12:00:10Z")
    found = elapsed(schedule, SET, first, at("2026-01-01T12:01:05Z"), 2)
    assert found.due == [at("2026-01-01T12:00:50Z"), at("2026-01-01T12:01:00Z")]
    assert (found.passed, found.passed_at) == (4, at("2026-01-01T12:00:40Z"))
    assert elapsed(schedule, SET, first, first, 2) == calendar.Elapsed([first])


@pytest.mark.parametrize(
    "schedule", [Schedule(every=1), cron("* * * * *"), cron("* * 1 1 *", "Europe/Berlin")]
)
def test_a_year_of_missed_times_is_looked_at_quickly(schedule: Schedule) -> None:
    """However many were missed, the newest are found without counting all."""
    first = after(schedule, SET, SET)
    assert first is not None
    now = first + timedelta(days=365, seconds=30)
    found = elapsed(schedule, SET, first, now, 3)
    assert found.passed == COUNTED_MAX
    assert len(found.due) == 3
    assert found.passed_at is not None
    assert found.passed_at < found.due[0]
    assert after(schedule, SET, found.due[-1]) > now  # type: ignore[operator]
    assert after(schedule, SET, found.passed_at) == found.due[0]


@pytest.mark.parametrize(
    ("given_", "field", "says"),
    [
        ({}, "cron", "says not when"),
        ({"cron": "0 6 * * *", "every": "1h"}, "every", "both"),
        ({"cron": "0 25 * * *"}, "cron", "bad hour"),
        ({"cron": "0 6 * *"}, "cron", "wrong number of fields"),
        ({"cron": "0 0 30 2 *"}, "cron", "bad day-of-month"),
        ({"cron": "0 0 */29 2 MON#5"}, "cron", "never due"),
        ({"cron": "0 0 * * " + "1," * 200}, "cron", "longer than"),
        ({"cron": "0 6 * * *", "timezone": "Europe/Berlyn"}, "timezone", "did you mean Europe/Berlin?"),
        ({"cron": "0 6 * * *", "timezone": "berlin"}, "timezone", "did you mean Europe/Berlin?"),
        ({"cron": "0 6 * * *", "timezone": "../etc"}, "timezone", "no time zone"),
        ({"every": "soon"}, "every", "not a duration"),
        ({"every": "500ms"}, "every", "shorter than 1 s"),
        ({"every": "500d"}, "every", "longer than a year"),
        ({"every": "1h", "timezone": "Europe/Berlin"}, "timezone", "in no zone"),
    ],
)
def test_what_cannot_be_is_named(given_: dict[str, Any], field: str, says: str) -> None:
    """A schedule that says nothing, two things or nonsense is refused with the field and the reason."""
    [(where, what)] = defects(Schedule(**given_))
    assert where == field
    assert says in what


def test_what_is_wrong_with_the_times_and_with_their_zone_is_named_together() -> None:
    """Nobody has to mend the one to hear of the other."""
    found = defects(Schedule(cron="61 * * * *", timezone="Mars/Olympus"))
    assert [field for field, _ in found] == ["cron", "timezone"]


def test_the_end_of_the_calendar() -> None:
    """Where there is no further time it is due never again, and nothing breaks."""
    assert after(Schedule(every="365d"), SET, datetime(9999, 12, 31, tzinfo=UTC)) is None
    assert after(cron("0 0 1 1 *"), SET, datetime(9999, 12, 31, tzinfo=UTC)) is None
