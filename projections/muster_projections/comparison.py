"""Two views laid beside each other: their digests, and the first row in which they differ."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, Literal

import msgspec

from muster_projections import canonical
from muster_projections.canonical import ROWS, Row
from muster_projections.projection import Projection, Table, Value


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first row that differs, in the canonical order: in one column, or it is in one of the views ``only``."""

    table: str
    key: dict[str, Value]
    only: Literal["live", "rebuilt"] | None = None
    column: str | None = None
    live: Value = None
    rebuilt: Value = None

    def __str__(self) -> str:
        key = ", ".join(f"{name} = {value!r}" for name, value in self.key.items())
        where = f"{self.table} ({key})"
        if self.only is not None:
            return f"the row {where} is in the {self.only} view only"
        return f"{self.column} of {where} is {self.live!r} in the live view and {self.rebuilt!r} in the rebuilt one"


class Comparison:
    """Of two views at the same sequence. Nothing is known before ``steps`` has been used up; memory stays flat."""

    def __init__(
        self, live: sqlite3.Connection, rebuilt: sqlite3.Connection, projections: Sequence[Projection]
    ) -> None:
        self._connections: Final = live, rebuilt
        self._tables: Final = [table for each in projections for table in each.tables]
        self._hashes: Final = hashlib.sha256(), hashlib.sha256()
        self.difference: Difference | None = None

    @property
    def digests(self) -> tuple[str, str]:
        """Of the live and of the rebuilt view."""
        live, rebuilt = self._hashes
        return live.hexdigest(), rebuilt.hexdigest()

    def steps(self) -> Iterator[int]:
        """Compare some rows at each step, and give how many they were."""
        live, rebuilt = self._connections
        for side, connection in zip(self._hashes, self._connections, strict=True):
            (sequence,) = connection.execute("SELECT sequence FROM position").fetchone()
            side.update(canonical.heading(sequence))
        for table in self._tables:
            self._update(canonical.head(table), canonical.head(table))
            one, other = canonical.select(live, table), canonical.select(rebuilt, table)
            while (left := one.fetchmany(ROWS)) + (right := other.fetchmany(ROWS)):
                if left == right:
                    same = canonical.lines(left)
                    self._update(same, same)
                else:
                    self.difference = self.difference or _first(table, left, right)
                    self._update(canonical.lines(left), canonical.lines(right))
                yield max(len(left), len(right))

    def _update(self, live: bytes, rebuilt: bytes) -> None:
        self._hashes[0].update(live)
        self._hashes[1].update(rebuilt)


def _first(table: Table, live: Sequence[Row], rebuilt: Sequence[Row]) -> Difference:
    """The first difference between rows that are not the same; up to here both tables are."""
    left, right = next((one, other) for one, other in zip_longest(live, rebuilt) if one != other)
    width = len(table.key)
    if left is None or right is None or left[:width] != right[:width]:
        only: Literal["live", "rebuilt"]
        only = "live" if right is None or (left is not None and left[:width] < right[:width]) else "rebuilt"
        row = left if only == "live" else right
        return Difference(table=table.name, key=dict(zip(table.key, row, strict=False)), only=only)
    place = next(place for place, name in enumerate(table.names) if left[place] != right[place])
    return Difference(
        table=table.name,
        key=dict(zip(table.key, left, strict=False)),
        column=table.names[place],
        live=left[place],
        rebuilt=right[place],
    )
