"""When a schedule is due: times worked out from what it says, and from nothing else.

Theory of operation. ``every`` counts from the moment the schedule was set, so that it does not drift, whoever leads and
however late a run was. ``cron`` is read by cronsim, as Debian's cron reads it: in the zone of the schedule, where the
clock is put forward a time that does not exist is made up for right behind the gap, and where it is put back a time
that comes twice counts once; what is due every so many minutes goes on through both. All times given back are in UTC
and on whole seconds. The rules of the zones are the system's, or the package ``tzdata``; what was worked out stands in
the log, so that folding it asks nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from cronsim import CronSim, CronSimError

from muster.model.definition.quantities import seconds
from muster.model.definition.schedule import Schedule

EVERY_MIN_S: Final = 1.0  # the id of an execution holds the second it was due
COUNTED_MAX: Final = 1_000  # missed times that are counted, some 50 microseconds each
_WINDOW: Final = timedelta(minutes=1)  # how far to look back first, where more than that were missed
_CRON_LENGTH_MAX: Final = 200  # characters; reading one takes time in proportion


class Elapsed(msgspec.Struct, frozen=True):
    """What has come due: ``due`` are the newest, oldest first; ``passed`` is how many came before them (counted up to
    ``COUNTED_MAX``), ``passed_at`` the newest of those.
    """

    due: list[datetime]
    passed: int = 0
    passed_at: datetime | None = None


@lru_cache(maxsize=1024)  # the first time it reads a file, and the library remembers eight
def zone(name: str) -> tzinfo:
    """The zone of this name. Raises ValueError, which suggests another."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # KeyError is what ZoneInfoNotFoundError is
        raise ValueError(_no_zone(name)) from None


def _no_zone(name: str) -> str:
    known = {one.casefold(): one for one in available_timezones()}
    wanted = name[:100].casefold().replace(" ", "_")
    cities = {one.rpartition("/")[2]: one for one in sorted(known)}
    close = [found] if (found := known.get(wanted) or known.get(cities.get(wanted, ""))) else []
    close = close or [known[each] for each in get_close_matches(wanted, known, n=1)]
    close = close or [known[cities[each]] for each in get_close_matches(wanted, cities, n=1)]
    return f"there is no time zone {name[:100]!r}" + (f"; did you mean {close[0]}?" if close else "")


def defects(schedule: Schedule) -> list[tuple[str, str]]:
    """The fields that are wrong, each with what is wrong with it."""
    if (schedule.cron is None) == (schedule.every is None):
        both = schedule.cron is not None
        return [
            ("every", "it cannot have both cron and every")
            if both
            else ("cron", "it says not when it is due")
        ]
    found = []
    try:
        zone(schedule.timezone)
    except ValueError as error:
        found.append(("timezone", str(error)))
        schedule = msgspec.structs.replace(schedule, timezone="UTC")
    wrong = _cron_defect(schedule) if schedule.every is None else _every_defect(schedule)
    return found if wrong is None else [wrong, *found]


def _every_defect(schedule: Schedule) -> tuple[str, str] | None:
    try:
        found = seconds(schedule.every or 0)
    except ValueError as error:
        return "every", str(error).split("; ")[0]
    if found < EVERY_MIN_S:
        return "every", f"{schedule.every} is shorter than {EVERY_MIN_S:g} s"
    if found > timedelta(days=366).total_seconds():
        return "every", f"{schedule.every} is longer than a year"
    if schedule.timezone != "UTC":
        return "timezone", "every counts from when it was set, in no zone"
    return None


def _cron_defect(schedule: Schedule) -> tuple[str, str] | None:
    written = schedule.cron or ""
    if len(written) > _CRON_LENGTH_MAX:
        return "cron", f"it is longer than {_CRON_LENGTH_MAX} characters"
    try:
        CronSim(written, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return "cron", f"{written!r} cannot be read: {str(error)[:1].lower()}{str(error)[1:]}"
    except Exception:  # what the library did not expect is no expression either
        return "cron", f"{written!r} cannot be read"
    if after(schedule, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)) is None:
        return "cron", f"{written!r} is never due"
    return None


def anchored(moment: datetime) -> datetime:
    """The moment from which ``every`` counts: on a whole second."""
    return moment.astimezone(UTC).replace(microsecond=0)


def after(schedule: Schedule, since: datetime, moment: datetime) -> datetime | None:
    """The first time it is due behind ``moment``, or None where it never is again."""
    return next(coming(schedule, since, moment), None)


def coming(schedule: Schedule, since: datetime, moment: datetime) -> Iterator[datetime]:
    """All times it is due behind ``moment``, in order; ``since`` is the moment it was set."""
    try:
        if schedule.every is not None:
            yield from _regular(timedelta(seconds=seconds(schedule.every)), anchored(since), moment)
        elif schedule.cron is not None:
            yield from _cron(schedule.cron, zone(schedule.timezone), moment)
    except (OverflowError, ValueError):  # the end of the calendar, or a zone that is not known here
        return


def _regular(every: timedelta, since: datetime, moment: datetime) -> Iterator[datetime]:
    number = max(0, (moment - since) // every) + 1
    while True:
        yield (since + number * every).replace(microsecond=0)
        number += 1


def _cron(written: str, tz: tzinfo, moment: datetime) -> Iterator[datetime]:
    newest = moment
    for found in CronSim(written, moment.astimezone(tz)):
        due_at = found.astimezone(UTC)
        if due_at > newest:  # begun in the hour that comes again, cronsim gives times of the first one
            newest = due_at
            yield due_at


def elapsed(schedule: Schedule, since: datetime, first: datetime, now: datetime, keep: int) -> Elapsed:
    """What has come due by ``now``, from ``first`` on, which is a time it is due; at most ``keep`` are named."""
    begin, counted = first - timedelta(seconds=1), 0
    newest: deque[datetime] = deque(maxlen=keep + 1)
    for due_at in coming(schedule, since, begin):
        if due_at > now or counted >= COUNTED_MAX:
            break
        counted += 1
        newest.append(due_at)
    if counted >= COUNTED_MAX:
        newest = _newest(schedule, since, begin, now, keep)
    if len(newest) <= keep:
        return Elapsed(list(newest))
    passed_at, *due = newest
    return Elapsed(due, counted if counted >= COUNTED_MAX else counted - keep, passed_at)


def _newest(
    schedule: Schedule, since: datetime, begin: datetime, now: datetime, keep: int
) -> deque[datetime]:
    """The newest, found by looking back further and further: nobody waits until a year of seconds is counted."""
    window = _WINDOW
    while True:
        start = max(begin, now - window)
        found: deque[datetime] = deque(maxlen=keep + 1)
        for due_at in coming(schedule, since, start):
            if due_at > now:
                break
            found.append(due_at)
        if len(found) > keep or start == begin:
            return found
        window *= 4


def words(schedule: Schedule) -> str:
    """When it is due, as people say it: ``every 10m``; ``at 06:30 on Monday through Friday, Europe/Berlin``."""
    if schedule.every is not None:
        shown = schedule.every if isinstance(schedule.every, str) else f"{schedule.every:g}s"
        return f"every {shown}"
    try:
        said = CronSim(schedule.cron or "", datetime(2026, 1, 1, tzinfo=UTC)).explain()
    except Exception:  # what it cannot say in words is said as it is written
        said = schedule.cron or "never"
    return f"{said[:1].lower()}{said[1:]}, {schedule.timezone}"


def prepare(name: Any) -> None:
    """Have the rules of the zone at hand, which reads a file where they are not; what is no zone is found elsewhere."""
    with suppress(ValueError):
        zone(name if isinstance(name, str) else "UTC")
