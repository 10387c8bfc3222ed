"""The canonical form of a view: every row as one line of JSON, in an order that depends on the rows alone.

Two views that were folded from the same log up to the same sequence have the same canonical form, byte for byte,
whenever and in whatever batches that was done. The first line is the sequence. Then comes each table: a line with its
name and columns, and a line with the values of each row, in the order of the key. The store's own tables are left out.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from muster_projections.opening import read_only
from muster_projections.projection import Projection, Table
from muster_projections.registry import chosen

ROWS: Final = 1000  # taken at once: a bound on memory

Row = tuple[Any, ...]
_encoder: Final = msgspec.json.Encoder()


def dump(path: Path) -> Iterator[str]:
    """The lines of the view at ``path``, without line ends."""
    projections = chosen()
    with closing(read_only(path, projections)) as connection:
        for piece in pieces(connection, projections):
            yield from piece.decode().splitlines()


def digest(path: Path) -> str:
    """The SHA-256 of the canonical form of the view at ``path``."""
    projections = chosen()
    with closing(read_only(path, projections)) as connection:
        found = hashlib.sha256()
        for piece in pieces(connection, projections):
            found.update(piece)
        return found.hexdigest()


def pieces(connection: sqlite3.Connection, projections: Sequence[Projection]) -> Iterator[bytes]:
    """The canonical form of an open view, some lines at a time."""
    (sequence,) = connection.execute("SELECT sequence FROM position").fetchone()
    yield heading(sequence)
    for table in (table for projection in projections for table in projection.tables):
        yield head(table)
        rows = select(connection, table)
        while some := rows.fetchmany(ROWS):
            yield lines(some)


def heading(sequence: int) -> bytes:
    """The first line."""
    return lines([{"sequence": sequence}])


def head(table: Table) -> bytes:
    """The line before a table's rows."""
    return lines([{"table": table.name, "columns": table.names}])


def lines(values: Sequence[Any]) -> bytes:
    """Each as a line."""
    return _encoder.encode_lines(values)


def select(connection: sqlite3.Connection, table: Table) -> sqlite3.Cursor:
    """The table's rows in their order."""
    names = ", ".join(f'"{name}"' for name in table.names)
    key = ", ".join(f'"{name}"' for name in table.key)
    return connection.execute(f'SELECT {names} FROM "{table.name}" ORDER BY {key}')  # noqa: S608  # no input
