"""What the scheduler writes about the keeping of the log itself: what moved into the archive, and what was erased.

Both must leave the log able to prove itself: every sequence that is missing from the stream is either in an object that
a ``log.archived`` names by its hash, or in the ranges of an ``execution.cleared``. Neither names an execution that was
erased, but for the one marker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from muster.model.log.body import Body, event

ERASED_RANGES_MAX: Final = 512  # of one marker, about 9 KB; above it the nearest ranges are joined

Range = tuple[int, int]
"""The sequences from the first to the second, both included."""


@event("execution.cleared", "scheduler", given=True)
class ExecutionCleared(Body, frozen=True):
    """The execution's events, its objects and its logs are erased; this marker stays.

    ``sequences`` are the places in the log that are empty since, as pairs of first and last; where they were many the
    nearest pairs are joined. ``events`` is how many events stood there, null where an older release did not count.
    ``archived`` is the sha256 of the object that was deleted, if the execution had been archived. ``held`` are the
    machines that had not answered for all of its attempts: the room of those is given back by this marker.
    """

    version: ClassVar[int] = 2
    events: int | None = None
    sequences: list[Range] = []
    archived: str = ""
    held: list[str] = []


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """One object of the archive: its hash and size, and the events it holds."""

    sha256: str
    bytes: int
    events: int
    first: int
    last: int


@event("log.archived", "scheduler", given=True)
class LogArchived(Body, frozen=True):
    """Executions that ended long ago are in the archive; afterwards the stream lets their events go.

    ``place`` is where the objects are: ``nats:<bucket>`` or ``file://<directory>``. ``previous`` is the sha256 of the
    line of the ``log.archived`` before this one. ``first`` is the smallest sequence the archive has ever held.
    ``left`` is how many more executions the same pass will move.
    """

    place: str
    objects: list[Moved] = []
    previous: str = ""
    first: int = 0
    left: int = 0


def joined(ranges: Iterable[Range], limit: int = ERASED_RANGES_MAX) -> list[Range]:
    """The ranges in order, with those that touch made one; of more than ``limit`` the nearest are joined."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    if len(found) <= limit:
        return found
    gaps = sorted(range(1, len(found)), key=lambda at: found[at][0] - found[at - 1][1])
    closed = set(gaps[: len(found) - limit])
    kept: list[Range] = []
    for at, (first, last) in enumerate(found):
        if at in closed:
            kept[-1] = (kept[-1][0], last)
        else:
            kept.append((first, last))
    return kept
