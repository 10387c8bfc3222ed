"""Putting a finished view in the place of another, so that no reader ever sees half of either.

All calls block. SQLite keeps a log (``-wal``) and its index (``-shm``) beside the file and finds them by name. Before
the exchange the old log is folded into the old file, then both are removed, so that neither can be taken for the new
file's. Whoever holds the old file goes on with the old one: its files are removed, not changed. (The projector, which
still has it open to write, does not write before it has looked whether it is still the view; and SQLite removes a log
by name only where the file is still where it was opened.)

Readers wait for the three system calls under ``swapping`` and for nothing else.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from muster import fault
from muster_projections.claim import swapping
from muster_projections.failures import ViewBusyError

READERS_TIMEOUT_S: Final = 5.0  # no query of a person takes longer, and a rebuild must end
_BESIDE: Final = ("-wal", "-shm", "-journal")


def discard(path: Path) -> None:
    """Remove a view and what SQLite keeps beside it."""
    path.unlink(missing_ok=True)
    _discard_beside(path)


def exchange(shadow: Path, view: Path) -> None:
    """Put ``shadow``, which must be closed, in the place of ``view``, which nobody may write to meanwhile.

    A crash leaves the one or the other, whole. Raises ViewBusyError where a reader holds up the old view's log.
    """
    _sync(shadow)
    if view.exists():
        _settle(view)
    fault.halt("projections.exchange.before")
    with swapping(view, alone=True):
        _discard_beside(view)
        fault.halt("projections.rename.before")
        shadow.replace(view)
        fault.halt("projections.rename.after")
    fault.halt("projections.exchange.after")
    _sync(view.parent)
    _discard_beside(shadow)


def _settle(view: Path) -> None:
    """Fold the log into its file: from here on the file alone is the old view."""
    connection = sqlite3.connect(view, timeout=READERS_TIMEOUT_S)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        raise ViewBusyError(path=str(view), holder=f"a reader: {error}") from error
    except sqlite3.DatabaseError:
        return  # it is damaged, or no view at all: it goes as it is
    finally:
        connection.close()
    if busy:
        raise ViewBusyError(path=str(view), holder="a reader")


def _discard_beside(path: Path) -> None:
    for what in _BESIDE:
        path.with_name(path.name + what).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
