"""The tables in SQLite's words, and what a view must have been folded with to be read or continued."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlite_utils import Database

from muster_projections import bookkeeping
from muster_projections.projection import Projection, Table, text

_TYPES: Final[dict[str, type]] = {"TEXT": str, "JSON": str, "INTEGER": int, "REAL": float}


def tables(projections: Sequence[Projection]) -> tuple[Table, ...]:
    """Every table of a view, the store's own last."""
    return (*(table for each in projections for table in each.tables), *bookkeeping.TABLES)


def create(db: Database, table: Table) -> None:
    """Make the table and its indexes."""
    columns = {column.name: _TYPES[column.type] for column in table.columns if column.generated is None}
    key = table.key[0] if len(table.key) == 1 else table.key
    made = db.table(table.name).create(columns, pk=key, not_null=set(table.key), strict=True)
    for column in table.columns:
        if column.generated is not None:
            kind = "TEXT" if column.type == "JSON" else column.type
            db.execute(
                f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" {kind} AS ({column.generated})'
            )
    for index in table.indexes:
        made.create_index(list(index), f"{table.name}_by_{'_'.join(index)}")


def signature(projections: Sequence[Projection]) -> dict[str, str]:
    """The version of each projection with the digest of its tables, and under the empty name the store's own."""
    found = {"": _digest(bookkeeping.TABLES)}
    return found | {each.name: f"{each.version}-{_digest(each.tables)}" for each in projections}


def _digest(tables: Sequence[Table]) -> str:
    return hashlib.sha256(text([_shape(table) for table in tables]).encode()).hexdigest()[:8]


def _shape(table: Table) -> object:
    return [table.name, table.key, table.indexes, [msgspec.structs.replace(c, doc="") for c in table.columns]]


def agrees(found: str | None, projections: Sequence[Projection], *, exactly: bool) -> bool:
    """Whether the view whose position says ``found`` was folded with these projections.

    ``exactly``: and with no others. Who only reads a few tables does not mind those beside them.
    """
    try:
        given = msgspec.json.decode(found or "null")
    except msgspec.DecodeError:
        return False
    wanted = signature(projections)
    if not isinstance(given, Mapping):
        return False
    return given == wanted if exactly else wanted.items() <= given.items()
