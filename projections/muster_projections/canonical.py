"""The canonical form of a view: every row as one line of JSON, in an order that depends on the rows alone.

Two views that were folded from the same log up to the same sequence have the same canonical form, byte for byte,
whenever and in whatever batches that was done. The store's own tables are left out but for the sequence.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from muster_projections.opening import read_only
from muster_projections.projection import Projection, Table
from muster_projections.registry import chosen

_encoder: Final = msgspec.json.Encoder()


def dump(path: Path) -> Iterator[str]:
    """The lines of the view at ``path``, without line ends."""
    with closing(read_only(path)) as connection:
        for line in lines(connection, chosen()):
            yield line.decode()


def digest(path: Path) -> str:
    """The SHA-256 of the canonical form of the view at ``path``."""
    with closing(read_only(path)) as connection:
        return of(connection, chosen())


def of(connection: sqlite3.Connection, projections: Sequence[Projection]) -> str:
    """The SHA-256 of the canonical form of an open view."""
    found = hashlib.sha256()
    for line in lines(connection, projections):
        found.update(line)
        found.update(b"\n")
    return found.hexdigest()


def lines(connection: sqlite3.Connection, projections: Sequence[Projection]) -> Iterator[bytes]:
    """First the sequence, then each table's rows in the order of its key."""
    (sequence,) = connection.execute("SELECT sequence FROM position").fetchone()
    yield _encoder.encode({"sequence": sequence})
    for projection in projections:
        for table in projection.tables:
            yield from _rows(connection, table)


def _rows(connection: sqlite3.Connection, table: Table) -> Iterator[bytes]:
    names = ", ".join(f'"{name}"' for name in table.names)
    key = ", ".join(f'"{name}"' for name in table.key)
    for row in connection.execute(f'SELECT {names} FROM "{table.name}" ORDER BY {key}'):  # noqa: S608  # no input
        yield _encoder.encode({"table": table.name, **dict(zip(table.names, row, strict=True))})
