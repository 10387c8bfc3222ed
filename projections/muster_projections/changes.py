"""The changes of one batch, laid over each other in memory, so that each row is written once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from muster_projections.projection import Change, Delete, Insert, Table, Upsert, Value

Key = tuple[Value, ...]


class _Pending:
    """What is to be written to one table: first the deletions, then the rows."""

    def __init__(self, table: Table) -> None:
        self.table: Final = table
        self.rows: dict[Key, dict[str, Value]] = {}
        self.added: dict[Key, tuple[Value, ...]] = {}
        self.deleted: dict[tuple[str, Value], None] = {}
        self._first: Final = frozenset(column.name for column in table.columns if column.first)
        self._width: Final = len(table.key)

    def upsert(self, change: Upsert) -> None:
        row = self.rows.get(change.key)
        if row is None:
            self.rows[change.key] = change.columns
        elif not self._first:
            row.update(change.columns)
        else:
            self._lay(row, change.columns)

    def _lay(self, row: dict[str, Value], columns: dict[str, Value]) -> None:
        """As SQLite would: both ways must agree, or the rows would depend on how the log was cut into batches."""
        for name, value in columns.items():
            if name not in self._first or row.get(name) is None:
                row[name] = value

    def insert(self, change: Insert) -> None:
        self.added.setdefault(change.values[: self._width], change.values)

    def delete(self, change: Delete) -> None:
        column, value = change.column, change.value
        self.deleted[column, value] = None
        if self.rows:
            place = self.table.key.index(column)
            for key in [key for key in self.rows if key[place] == value]:
                del self.rows[key]
        if self.added:
            place = self.table.names.index(column)
            for key in [key for key, row in self.added.items() if row[place] == value]:
                del self.added[key]

    def clear(self) -> None:
        self.rows, self.added, self.deleted = {}, {}, {}


class Changes:
    """Collects changes and gives them out as statements with their parameters."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._pending: Final = {table.name: _Pending(table) for table in tables}
        self._statements: Final[dict[tuple[str, tuple[str, ...]], str]] = {}

    def add(self, change: Change) -> None:
        """Lay one change over those before it."""
        pending = self._pending[change.table]
        if type(change) is Upsert:
            pending.upsert(change)
        elif type(change) is Insert:
            pending.insert(change)
        elif type(change) is Delete:
            pending.delete(change)

    def clear(self) -> None:
        """Forget everything collected."""
        for pending in self._pending.values():
            pending.clear()

    def statements(self) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """Every statement to run and its rows, in order."""
        for name, pending in self._pending.items():
            for column, value in pending.deleted:
                yield f'DELETE FROM "{name}" WHERE "{column}" = ?', [(value,)]  # noqa: S608  # names of our own tables
            if pending.added:
                yield self._statement(pending.table, ()), list(pending.added.values())
            for columns, rows in _by_columns(pending.rows).items():
                yield self._statement(pending.table, columns), rows

    def _statement(self, table: Table, columns: tuple[str, ...]) -> str:
        sql = self._statements.get((table.name, columns))
        if sql is None:
            sql = self._statements[table.name, columns] = statement(table, columns)
        return sql


def _by_columns(rows: dict[Key, dict[str, Value]]) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    """Rows that set the same columns share a statement: a column that is not set must stay as it is."""
    found: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for key, row in rows.items():
        columns = tuple(row)
        same = found.get(columns)
        if same is None:
            same = found[columns] = []
        same.append((*key, *row.values()))
    return found


def statement(table: Table, columns: tuple[str, ...]) -> str:
    """The statement that sets these columns of a row; without columns, that adds a whole row."""
    names = (*table.key, *columns) if columns else table.stored
    into = ", ".join(f'"{name}"' for name in names)
    key = ", ".join(f'"{name}"' for name in table.key)
    marks = ", ".join("?" * len(names))
    insert = f'INSERT INTO "{table.name}" ({into}) VALUES ({marks}) ON CONFLICT ({key})'  # noqa: S608  # as above
    if not columns:
        return f"{insert} DO NOTHING"
    first = {column.name for column in table.columns if column.first}
    sets = (
        f'"{name}" = coalesce("{table.name}"."{name}", excluded."{name}")'
        if name in first
        else f'"{name}" = excluded."{name}"'
        for name in columns
    )
    return f"{insert} DO UPDATE SET {', '.join(sets)}"
