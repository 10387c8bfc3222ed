"""Who may do what with a view, said by locks on files beside it.

======================== =========================================== ==========================================
file                     held alone                                  held shared
======================== =========================================== ==========================================
``view.db.lock``         by the projector that keeps the view
``view.db.rebuild.lock`` by the rebuild that will exchange it
``view.db.verify.lock``  by the one that verifies it
``view.db.write``        by the rebuild while it folds the last      by the projector while it writes one
                         events and exchanges the file               batch, opens the file, or closes it
``view.db.swap``         by the rebuild for the moment of the        by a reader while it opens the file
                         exchange
======================== =========================================== ==========================================

The locks are the kernel's (flock, 5 µs with the opening of its file), so they go with their process however that ends.
The files stay: a lock file that is deleted can be locked twice. All calls block; they belong in the store's thread.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from muster_projections.failures import ViewBusyError

PATIENCE_S: Final = 30.0  # what is waited for is some milliseconds long; longer is a process that was halted
LOOK_S: Final = 0.002


CLAIMS: Final = {
    "keeps": ("lock", "Stop it first, or use another file."),
    "rebuilds": ("rebuild.lock", "Wait until it is done, or stop it."),
    "verifies": ("verify.lock", "Wait until it is done, or stop it."),
}
"""What one process at a time does with a view: the lock's file, and what a second one is told."""


@contextmanager
def claimed(view: Path, doing: Literal["keeps", "rebuilds", "verifies"] = "keeps") -> Iterator[None]:
    """Be the one who does that with ``view`` for the length of the block. Raises ViewBusyError where another is."""
    file, remedy = CLAIMS[doing]
    view.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(_beside(view, file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _taken(handle, fcntl.LOCK_EX):
            pid = os.pread(handle, 32, 0).decode(errors="replace").strip()
            holder = f"pid {pid}" if pid else "of unknown pid"
            raise ViewBusyError(
                f"Another process ({holder}) {doing} the view {view}.",
                remedy=remedy,
                path=str(view),
                holder=holder,
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def swapping(view: Path, *, alone: bool) -> Iterator[None]:
    """Held ``alone`` while the file is exchanged, and shared while a reader opens it.

    A reader that opened the old file between the removal of its log and the exchange would share the new file's
    log with it. Where the folder cannot be written to, nobody exchanges files there either.
    """
    with _held(view, "swap", alone=alone):
        yield


@contextmanager
def writing(view: Path, *, alone: bool) -> Iterator[None]:
    """Held shared by the projector while it writes, and ``alone`` by a rebuild that is about to exchange the file."""
    with _held(view, "write", alone=alone):
        yield


@contextmanager
def _held(view: Path, what: str, *, alone: bool) -> Iterator[None]:
    try:
        handle = os.open(_beside(view, what), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        if alone:
            raise
        yield
        return
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _taken(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                raise ViewBusyError(path=str(view), holder="one that is about to exchange or to write it")
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(handle)


def _taken(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _beside(view: Path, what: str) -> Path:
    return view.with_name(f"{view.name}.{what}")
