"""The view's file: SQLite, one writer, each batch with its position in one transaction.

All calls block. ``Store`` is opened and used in one thread; in asyncio that is ``muster_projections.desk``.

The schema, the indexes, the opening and the transactions are sqlite-utils'. The rows go through ``executemany`` on
its connection: measured, 2.4 µs a row where ``upsert_all`` takes 6.7.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec
from sqlite_utils import Database

from muster.model.envelope import Recorded
from muster_projections import bookkeeping
from muster_projections.changes import Changes
from muster_projections.failures import ViewError, ViewOutdatedError, ViewUnreadableError
from muster_projections.ledger import EVERY, Ledger
from muster_projections.projection import Projection, Table, moment, text

STREAM: Final = "MUSTER_EVENTS"
CACHE_KIB: Final = 16 * 1024  # holds the inner pages of every index of a view of a few gigabytes
CHECKPOINT_PAGES: Final = 4000  # 16 MB of log between checkpoints, each of which waits for the disk
STATEMENTS: Final = 512  # there is one for each set of columns that is written together
BUSY_TIMEOUT_S: Final = 10.0
SQLITE_MIN: Final = (3, 38)  # strict tables and generated columns for us, -> and ->> for those who query

# What SQLite or its adapter says of a value it cannot hold; anything else is trouble with the file.
REFUSED: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)
_TYPES: Final[dict[str, type]] = {"TEXT": str, "JSON": str, "INTEGER": int, "REAL": float}


def tables(projections: Sequence[Projection]) -> tuple[Table, ...]:
    """Every table of a view, the store's own last."""
    return (*(table for each in projections for table in each.tables), *bookkeeping.TABLES)


def signature(projections: Sequence[Projection]) -> str:
    """What a view must have been folded with to be continued: names, versions and columns."""

    def shape(table: Table) -> object:
        return [
            table.name,
            table.key,
            table.indexes,
            [msgspec.structs.replace(c, doc="") for c in table.columns],
        ]

    own = hashlib.sha256(text([shape(table) for table in bookkeeping.TABLES]).encode()).hexdigest()[:8]
    found = {"": own}
    for each in projections:
        digest = hashlib.sha256(text([shape(table) for table in each.tables]).encode()).hexdigest()[:8]
        found[each.name] = f"{each.version}-{digest}"
    return text(found)


class Store:
    """One open view that is written to."""

    def __init__(self, path: Path, db: Database, projections: Sequence[Projection]) -> None:
        self.path: Final = path
        self._db: Final = db
        self._projections: Final = tuple(projections)
        self._by_kind: Final = _by_kind(projections)
        self._changes: Final = Changes(tables(projections))
        self._ledger: Final = Ledger(db, self._changes)
        self.created: str | None = None
        self.event_id: str | None = None
        self.sequence = 0

    @classmethod
    def open(cls, path: Path, projections: Sequence[Projection], *, durable: bool = True) -> Self:
        """Open the view at ``path``, or make an empty one.

        ``durable=False`` is for a file that is worth nothing before it is finished. Raises ViewOutdatedError where
        the view was folded by other projections, ViewUnreadableError where the file is no view.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing_on_error(_connect(path)) as connection:
                store = cls(path, Database(connection), projections)
                store._check()
                store._prepare(durable=durable)
                return store
        except sqlite3.DatabaseError as error:
            raise unreadable(path, error) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for reading in the store's thread."""
        return self._db.conn

    def _prepare(self, *, durable: bool) -> None:
        db = self._db
        db.enable_wal()
        # A power cut may cost the last transactions, never the file's consistency. The log is the truth: what is
        # missing is folded again from the position that came back.
        db.execute(f"PRAGMA synchronous = {'NORMAL' if durable else 'OFF'}")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if not db.table_names():
            self._create()
        found = db.execute("SELECT created, sequence, event_id FROM position").fetchone()
        self.created, self.sequence, self.event_id = found
        self._ledger.load()

    def _check(self) -> None:
        """Refuse a file that is not ours before anything in it is changed."""
        names = set(self._db.table_names())
        if not names:
            return
        if bookkeeping.POSITION.name not in names:
            raise ViewUnreadableError(path=str(self.path))
        found = self._db.execute("SELECT projections FROM position").fetchone()
        if found is None or found[0] != signature(self._projections):
            raise ViewOutdatedError(path=str(self.path))

    def _create(self) -> None:
        with self._db.atomic():
            for table in tables(self._projections):
                _create(self._db, table)
            self._db.execute(
                "INSERT INTO position (stream, sequence, projections) VALUES (?, 0, ?)",
                (STREAM, signature(self._projections)),
            )

    def adopt(self, created: datetime) -> None:
        """Say which log the view is folded from. Only an empty view may be given another one."""
        assert self.sequence == 0 or self.created == moment(created)
        self._db.execute("UPDATE position SET created = ?", (moment(created),))
        self.created = moment(created)

    def write(self, events: Sequence[Recorded]) -> int:
        """Fold the events that are new, in one transaction, and say how many they were.

        An event whose values SQLite refuses is found by halving, and recorded as poison. Raises ViewError where the
        file cannot be written to; it is then as it was.
        """
        fresh = [recorded for recorded in events if recorded.sequence > self.sequence]
        try:
            if fresh:
                self._write(fresh)
        except sqlite3.DatabaseError as error:
            raise unreadable(self.path, error, "written to") from error
        return len(fresh)

    def _write(self, events: Sequence[Recorded]) -> None:
        try:
            with self._transaction(events):
                for recorded in events:
                    if self._ledger.counts(recorded):
                        self._fold(recorded)
        except REFUSED:
            half = len(events) // 2
            if half == 0:
                self._write_alone(events[0])
            else:
                self._write(events[:half])
                self._write(events[half:])

    @contextmanager
    def _transaction(self, events: Sequence[Recorded]) -> Iterator[None]:
        """Rows and position in one; in memory, too, nothing is left of a transaction that failed."""
        try:
            with self._db.atomic():
                self._ledger.begin(events)
                yield
                self._flush()
                self._move(events[-1])
        except BaseException:
            self._changes.clear()
            self._ledger.load()
            raise
        self.sequence, self.event_id = events[-1].sequence, events[-1].event.id

    def _fold(self, recorded: Recorded) -> None:
        for projection in self._by_kind.get(recorded.event.data.kind, ()):
            try:
                changes = list(projection.apply(recorded))
            except Exception as error:  # one projection's defect must not stop the others, nor the view
                self._ledger.poison(recorded, projection.name, f"{type(error).__name__}: {error}")
                continue
            for change in changes:
                self._changes.add(change)

    def _flush(self) -> None:
        connection = self._db.conn
        for sql, rows in self._changes.statements():
            connection.executemany(sql, rows)
        self._changes.clear()

    def _move(self, last: Recorded) -> None:
        values = (last.sequence, moment(last.event.time), last.event.id)
        self._db.execute("UPDATE position SET sequence = ?, at = ?, event_id = ?", values)

    def _write_alone(self, recorded: Recorded) -> None:
        try:
            self._write_parts(recorded)
        except REFUSED as error:  # it is the envelope that SQLite cannot hold
            with self._transaction([recorded]):
                self._ledger.poison(recorded, EVERY, f"{type(error).__name__}: {error}")

    def _write_parts(self, recorded: Recorded) -> None:
        """One event with a value SQLite refuses: what each projection makes of it stands or falls by itself."""
        with self._transaction([recorded]):
            if not self._ledger.counts(recorded):
                return
            self._flush()
            for projection in self._by_kind.get(recorded.event.data.kind, ()):
                try:
                    with self._db.atomic():
                        for change in projection.apply(recorded):
                            self._changes.add(change)
                        self._flush()
                except Exception as error:  # as in _fold
                    self._changes.clear()
                    self._ledger.poison(recorded, projection.name, f"{type(error).__name__}: {error}")

    def move(self, sequence: int) -> None:
        """Say that there is nothing more to fold up to ``sequence``."""
        if sequence > self.sequence:
            self._db.execute("UPDATE position SET sequence = ?, event_id = NULL", (sequence,))
            self.sequence, self.event_id = sequence, None

    def close(self) -> None:
        """Close the file, if it is open; its log is folded into it where no reader holds it."""
        self._db.close()


def _connect(path: Path) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        raise ViewError(
            f"The SQLite of this Python is {sqlite3.sqlite_version}, too old for a view.",
            remedy="Use a Python whose SQLite is 3.38 or newer.",
        )
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, cached_statements=STATEMENTS)


@contextmanager
def closing_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The connection, which is closed where the block fails."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def unreadable(path: Path, error: sqlite3.DatabaseError, what: str = "opened") -> ViewError:
    """What SQLite said about the file, as an error that says what to do."""
    if isinstance(error, sqlite3.OperationalError):
        remedy = "Check that the folder is there, that it may be written to, and that the disk has room."
        return ViewError(f"The view {path} cannot be {what}: {error}.", remedy=remedy, path=str(path))
    if "malformed" in str(error):
        return ViewError(f"The view {path} is damaged: {error}.", path=str(path))
    return ViewUnreadableError(path=str(path), error=str(error))


def _by_kind(projections: Sequence[Projection]) -> dict[str, tuple[Projection, ...]]:
    kinds = dict.fromkeys(kind for each in projections for kind in each.handlers)
    return {kind: tuple(each for each in projections if kind in each.handlers) for kind in kinds}


def _create(db: Database, table: Table) -> None:
    columns = {column.name: _TYPES[column.type] for column in table.columns if column.generated is None}
    key = table.key[0] if len(table.key) == 1 else table.key
    made = db.table(table.name).create(columns, pk=key, not_null=set(table.key), strict=True)
    for column in table.columns:
        if column.generated is not None:
            db.execute(f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" TEXT AS ({column.generated})')
    for index in table.indexes:
        made.create_index(list(index), f"{table.name}_by_{'_'.join(index)}")
