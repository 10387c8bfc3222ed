"""Opening a view to read it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from muster_projections.claim import swapping
from muster_projections.exchange import mend
from muster_projections.failures import ViewError, ViewMissingError, ViewOutdatedError
from muster_projections.projection import Projection
from muster_projections.registry import DEFAULTS
from muster_projections.schema import agrees
from muster_projections.store import closing_on_error, unreadable

BUSY_TIMEOUT_S: Final = 5.0


def read_only(path: Path, projections: Sequence[Projection] | None = None) -> sqlite3.Connection:
    """A connection that cannot write; it may be used from any one thread at a time.

    The view must hold Muster's own tables as this release knows them; or, where ``projections`` are given, those of
    these and no others. Raises ViewMissingError, ViewOutdatedError or another ViewError, each with what to do.
    """
    if not path.exists():
        raise ViewMissingError(path=str(path))
    mend(path)
    with swapping(path, alone=False):
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        try:
            opened = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            with closing_on_error(opened) as connection:
                # The first read opens the log beside the file; only then is this the file as it will stay.
                found = connection.execute("SELECT projections FROM position").fetchone()
        except sqlite3.DatabaseError as error:
            raise _unreadable(path, error) from error
    exactly = projections is not None
    if found is None or not agrees(
        found[0], DEFAULTS if projections is None else projections, exactly=exactly
    ):
        connection.close()
        raise ViewOutdatedError(path=str(path))
    return connection


def outdated(path: Path, projections: Sequence[Projection]) -> bool:
    """Whether there is a view that other projections folded."""
    try:
        read_only(path, projections).close()
    except ViewOutdatedError:
        return True
    except ViewError:
        return False
    return False


def _unreadable(path: Path, error: sqlite3.DatabaseError) -> Exception:
    # A projector that has just made the file has no tables in it yet.
    if isinstance(error, sqlite3.OperationalError) and "no such" in str(error):
        return ViewMissingError(f"The file {path} holds no view yet.", path=str(path))
    return unreadable(path, error)
