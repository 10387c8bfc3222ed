"""What a view says of itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from muster_projections.opening import read_only
from muster_projections.verify import Poison, poison


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is, the versions of the projections it was folded with, and what was passed over.

    ``unknown`` counts the events of kinds this release does not know; ``poison`` those that could not be folded.
    """

    sequence: int
    at: str | None
    projections: dict[str, str]
    unknown: int
    poison: int
    poisoned: list[Poison]


def status(path: Path) -> Status:
    """Of the view at ``path``. Raises ViewMissingError, ViewOutdatedError or ViewUnreadableError."""
    with closing(read_only(path)) as connection:
        connection.execute("BEGIN")
        row = connection.execute("SELECT sequence, at, projections FROM position").fetchone()
        (unknown,) = connection.execute("SELECT coalesce(sum(count), 0) FROM unknown").fetchone()
        number, first = poison(connection)
    versions = msgspec.json.decode(row[2], type=dict[str, str])
    return Status(
        sequence=row[0],
        at=row[1],
        projections={name: version.partition("-")[0] for name, version in versions.items() if name},
        unknown=unknown,
        poison=number,
        poisoned=first,
    )
