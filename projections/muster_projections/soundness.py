"""What a projection that somebody else wrote must keep to, so that it cannot harm the view of the others.

``complaint`` looks at the definition before anything is folded. ``guarded`` looks at every change while it is made: one
that does not fit is an error of that event and that projection (it is recorded as poison), and never depends on how
the log was cut into batches.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from sqlite_utils import Database

from muster.model.log.catalogue import CATALOGUE
from muster.model.log.envelope import Recorded
from muster_projections.projection import (
    Change,
    Column,
    Delete,
    Handler,
    Insert,
    Projection,
    Table,
    Upsert,
    Value,
)
from muster_projections.schema import create

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED: Final = "sqlite_"
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "TEXT": (str,),
    "JSON": (str,),
    "INTEGER": (int,),
    "REAL": (int, float),
}


def complaint(projection: Projection) -> str | None:
    """What is wrong with the definition, as the end of a sentence; None if nothing is."""
    return next(_complaints(projection), None)


def _complaints(projection: Projection) -> Iterator[str]:
    name: Any = projection.name  # whatever somebody else wrote
    version: Any = projection.version
    tables = projection.tables
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        yield f"its name is {name!r}: use lower-case letters, digits and _, beginning with a letter"
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        yield f"its version is {version!r}: use 1, 2, 3 …"
    if not isinstance(tables, tuple | list) or not all(isinstance(table, Table) for table in tables):
        yield "its tables are no tuple of Table(…)"
        return
    for table in tables:
        for wrong in _of_table(table):
            yield f"its table {table.name!r} {wrong}"
    for kind in projection.handlers:
        if kind not in CATALOGUE:
            near = difflib.get_close_matches(kind, CATALOGUE, 1)
            yield f"there is no kind of event {kind!r}" + (f"; did you mean {near[0]}?" if near else "")
    if not projection.handlers:
        yield "none of its methods is marked with on(…)"
    yield from _refused(tables)


def _of_table(table: Table) -> Iterator[str]:
    if NAME.fullmatch(str(table.name)) is None or table.name.startswith(RESERVED):
        yield "needs a name of lower-case letters, digits and _ that begins with a letter and not with sqlite_"
    if not table.columns or not all(isinstance(column, Column) for column in table.columns):
        yield "has no columns, or something else among them"
        return
    if not table.key or table.names[: len(table.key)] != tuple(table.key):
        yield "needs a key whose columns come first, in the same order"
        return
    if len(set(table.names)) < len(table.names):
        yield "has two columns of one name"
    if table.bookkeeping:
        yield "is marked as bookkeeping, which only the store's own are"
    stored = set(table.stored)
    for column in table.columns:
        if NAME.fullmatch(str(column.name)) is None:
            yield f"has a column {column.name!r}: use lower-case letters, digits and _, beginning with a letter"
        if column.type not in _KINDS:
            yield f"has a column {column.name!r} of type {column.type!r}: use TEXT, INTEGER, REAL or JSON"
        if column.name in table.key and (column.first or column.name not in stored):
            yield f"has a key column {column.name!r} that is marked first or generated"
    for index in table.indexes:
        if unknown := set(index) - set(table.names):
            yield f"has an index on {min(unknown)!r}, which is none of its columns"


def _refused(tables: Sequence[Table]) -> Iterator[str]:
    """What SQLite has against the tables: an expression of a generated column is its business."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in tables:
            try:
                create(Database(connection), table)
            except (sqlite3.Error, sqlite3.Warning) as error:
                yield f"SQLite refuses its table {table.name!r}: {error}"


def guarded(projection: Projection) -> Projection:
    """The same projection; each of its changes is looked at before it counts."""
    tables = {table.name: table for table in projection.tables}
    handlers = {kind: _guard(handler, tables) for kind, handler in projection.handlers.items()}
    return Projection.of(
        name=projection.name, version=projection.version, tables=tuple(tables.values()), handlers=handlers
    )


def _guard(handler: Handler, tables: Mapping[str, Table]) -> Handler:
    def look(recorded: Recorded) -> list[Change]:
        return [_fitting(change, tables) for change in handler(recorded) or ()]

    return look


def _fitting(change: Change, tables: Mapping[str, Table]) -> Change:
    """The change, with a row of its own. Raises TypeError or ValueError with what does not fit."""
    if not isinstance(change, Upsert | Insert | Delete):
        raise TypeError(f"a change must be an Upsert, an Insert or a Delete, not {type(change).__name__}")
    table = tables.get(change.table)
    if table is None:
        raise ValueError(f"the table {change.table!r} is none of its own")
    if isinstance(change, Delete):
        if change.column not in table.stored:
            raise ValueError(f"{table.name} has no column {change.column!r} to delete by")
        return Delete(change.table, change.column, change.value)
    if isinstance(change, Insert):
        return _insert(change, table)
    return _upsert(change, table)


def _insert(change: Insert, table: Table) -> Insert:
    if not table.append:
        raise ValueError(f"{table.name} takes an Upsert: only a table with append=True takes an Insert")
    values = tuple(change.values)
    if len(values) != len(table.stored):
        raise ValueError(f"{table.name} has {len(table.stored)} columns, and {len(values)} values were given")
    _values(table, dict(zip(table.stored, values, strict=True)))
    return Insert(change.table, values)


def _upsert(change: Upsert, table: Table) -> Upsert:
    if table.append:
        raise ValueError(f"{table.name} takes an Insert: a table with append=True takes no Upsert")
    key, columns = tuple(change.key), dict(change.columns)
    if len(key) != len(table.key):
        raise ValueError(
            f"the key of {table.name} is {', '.join(table.key)}, and {len(key)} values were given"
        )
    for name in columns:
        if name in table.key or name not in table.stored:
            raise ValueError(f"{table.name} has no column {name!r} to set")
    _values(table, dict(zip(table.key, key, strict=True)) | columns)
    return Upsert(change.table, key, columns)


def _values(table: Table, values: Mapping[str, Value]) -> None:
    for column in table.columns:
        value: Any = values.get(column.name)
        if value is None:
            if column.name in table.key:
                raise ValueError(f"{column.name} is part of the key of {table.name} and must not be None")
        elif not isinstance(value, _KINDS[column.type]):
            hint = "; muster_projections.text makes JSON of it" if column.type == "JSON" else ""
            raise TypeError(
                f"{table.name}.{column.name} is {column.type} and takes no {type(value).__name__}{hint}"
            )
