"""The view's file: SQLite, one writer, each batch with its position in one transaction.

All calls block. ``Store`` is opened and used in one thread; in asyncio that is ``muster_projections.desk``.

The schema, the indexes, the opening and the transactions are sqlite-utils'. The rows go through ``executemany`` on
its connection: measured, 2.4 µs a row where ``upsert_all`` takes 6.7.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from sqlite_utils import Database

from muster.model.log.envelope import Recorded
from muster_projections import bookkeeping
from muster_projections.changes import Changes
from muster_projections.failures import ViewError, ViewOutdatedError, ViewUnreadableError
from muster_projections.ledger import EVERY, Ledger
from muster_projections.projection import Handler, Projection, moment, text
from muster_projections.schema import agrees, create, signature, tables

STREAM: Final = "MUSTER_EVENTS"
CACHE_KIB: Final = 16 * 1024  # holds the inner pages of every index of a view of a few gigabytes
CHECKPOINT_PAGES: Final = 4000  # 16 MB of log between checkpoints, each of which waits for the disk
PASSING: Final = (
    "journal_mode = MEMORY",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    f"cache_size = -{CACHE_KIB}",  # measured: four times as much saves nothing, for what is new lies together
)
"""For a file that is thrown away where its writer dies. A transaction can still be undone, as poison asks for."""
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


class Store:
    """One open view that is written to."""

    def __init__(self, path: Path, db: Database, projections: Sequence[Projection]) -> None:
        self.path: Final = path
        self._file: Final = _identity(path)
        self._db: Final = db
        self._projections: Final = tuple(projections)
        self._by_kind: Final = _by_kind(projections)
        self._changes: Final = Changes(tables(projections))
        self._ledger: Final = Ledger(db, self._changes)
        self.created: str | None = None
        self.event_id: str | None = None
        self.sequence = 0

    @classmethod
    def open(cls, path: Path, projections: Sequence[Projection], *, passing: bool = False) -> Self:
        """Open the view at ``path``, or make an empty one.

        ``passing`` is for a file that is worth nothing before ``finish``, and that nobody else reads. Raises
        ViewOutdatedError where the view was folded by other projections, ViewUnreadableError where it is no view.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing_on_error(_connect(path)) as connection:
                store = cls(path, Database(connection), projections)
                store._check()
                store._prepare(passing=passing)
                return store
        except sqlite3.DatabaseError as error:
            raise unreadable(path, error) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for reading in the store's thread."""
        return self._db.conn

    def _prepare(self, *, passing: bool) -> None:
        db = self._db
        if passing:
            for pragma in PASSING:
                db.execute(f"PRAGMA {pragma}")
        else:
            db.enable_wal()
            # A power cut may cost the last transactions, never the file's consistency. The log is the truth: what
            # is missing is folded again from the position that came back.
            db.execute("PRAGMA synchronous = NORMAL")
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
        if found is None or not agrees(found[0], self._projections, exactly=True):
            raise ViewOutdatedError(path=str(self.path))

    def _create(self) -> None:
        with self._db.atomic():
            for table in tables(self._projections):
                create(self._db, table)
            self._db.execute(
                "INSERT INTO position (stream, sequence, projections) VALUES (?, 0, ?)",
                (STREAM, text(signature(self._projections))),
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
                self._ledger.settle()
                self._flush()
                self._move(events[-1])
        except BaseException:
            self._changes.clear()
            self._ledger.load()
            raise
        self.sequence, self.event_id = events[-1].sequence, events[-1].event.id

    def _fold(self, recorded: Recorded) -> None:
        for projection, handler in self._by_kind.get(recorded.event.data.kind, ()):
            try:
                changes = handler(recorded)
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
            for projection, handler in self._by_kind.get(recorded.event.data.kind, ()):
                try:
                    with self._db.atomic():
                        for change in handler(recorded):
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

    def finish(self) -> None:
        """Make a passing file one that many may open, and close it."""
        self._db.execute("PRAGMA locking_mode = NORMAL")
        self._db.enable_wal()
        self.close()

    @property
    def moved(self) -> bool:
        """Whether another file, or none, stands where this one was opened."""
        return self._file != _identity(self.path)

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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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


def _by_kind(projections: Sequence[Projection]) -> dict[str, list[tuple[Projection, Handler]]]:
    found: dict[str, list[tuple[Projection, Handler]]] = {}
    for projection in projections:
        for kind, handler in projection.handlers.items():
            found.setdefault(kind, []).append((projection, handler))
    return found
