"""Who keeps a view: one process at a time holds a lock on a file beside it.

The lock is the kernel's (flock), so it goes with its process however that ends. The file stays: a lock file that is
deleted can be locked twice. All calls block; they belong in the store's thread.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muster_projections.failures import ViewBusyError


@contextmanager
def claimed(view: Path) -> Iterator[None]:
    """Keep ``view`` for the length of the block. Raises ViewBusyError where another process keeps it."""
    view.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(_beside(view, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(handle, view)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, view: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(handle, 32, 0).decode(errors="replace").strip()
        holder = f"pid {pid}" if pid else "of unknown pid"
        raise ViewBusyError(path=str(view), holder=holder) from None


@contextmanager
def swapping(view: Path, *, alone: bool) -> Iterator[None]:
    """Held ``alone`` while the file is exchanged, and shared while a reader opens it.

    A reader that opened the old file between the removal of its log and the exchange would share the new file's
    log with it. Where the folder cannot be written to, nobody exchanges files there either.
    """
    try:
        handle = os.open(_beside(view, "swap"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        if alone:
            raise
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _beside(view: Path, what: str) -> Path:
    return view.with_name(f"{view.name}.{what}")
