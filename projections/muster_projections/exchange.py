"""Putting a finished view in the place of another, so that no reader ever sees half of either.

All calls block. SQLite keeps a log (``-wal``) and its index (``-shm``) beside the file and finds them by name, but
three names cannot be given to other files at once. So:

1. The old log is folded into the old file and left empty. Nobody writes to the old view from here on.
2. A note beside the view says which file is to take its place.
3. The file is renamed. This is the moment of the exchange.
4. The old log and index are removed, then the note.

Killed before 3, the old view has all that belongs to it, and who has it open goes on. Killed after 3, the new file
lies beside the old one's empty log: whoever opens the view next finds the note and does 4 first (``mend``). Steps 2 to
4 are a few system calls under ``swapping``; readers wait for nothing else. (After a power cut nobody has the old index
open, and SQLite makes it anew: the note need not reach the disk.) Who has the old file open goes on reading that: its
log and index are removed, not changed. The projector looks whether its file is still the view before it writes; and
SQLite removes a log by name only where the file is still where it was opened.
"""

from __future__ import annotations

import contextlib
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
    sync(shadow)
    if view.exists() and not _settle(view):
        _discard_beside(view)  # of a file that is damaged, or no view at all
    note = _note(view)
    fault.halt("projections.exchange.before")
    with swapping(view, alone=True):
        note.write_text(str(shadow.stat().st_ino))
        fault.halt("projections.rename.before")
        shadow.replace(view)
        fault.halt("projections.rename.after")
        _discard_beside(view)
        note.unlink()
    fault.halt("projections.exchange.after")
    sync(view.parent)
    _discard_beside(shadow)


def mend(view: Path) -> None:
    """Finish the exchange of one who died in it; before the view is opened."""
    note = _note(view)
    if not note.exists():
        return
    with (
        contextlib.suppress(PermissionError),
        swapping(view, alone=True),
        contextlib.suppress(FileNotFoundError),
    ):
        if note.read_text() == str(view.stat().st_ino):
            _discard_beside(view)
        note.unlink()


def _note(view: Path) -> Path:
    return view.with_name(f"{view.name}.exchange")


def _settle(view: Path) -> bool:
    """Fold the log into its file: from here on the file alone is the old view. False where SQLite cannot read it."""
    connection = sqlite3.connect(view, timeout=READERS_TIMEOUT_S)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        raise ViewBusyError(path=str(view), holder=f"a reader: {error}") from error
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()
    if busy:
        raise ViewBusyError(path=str(view), holder="a reader")
    return True


def _discard_beside(path: Path) -> None:
    for what in _BESIDE:
        path.with_name(path.name + what).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the disk has what was written to the file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
