"""An append-only file of records on the agent's own disk.

A record is one line: its kind, a checksum, its payload. What ``write`` returned from is in the page cache and
survives the death of the process; ``sync`` makes it survive a power cut. A torn or damaged line is skipped.

The journal is a chain of segments. A new one starts with a snapshot of everything that still matters; older ones go
once it is complete. A crash between leaves both, and reading both gives the same as reading either.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from muster.disk import sync

Record = tuple[bytes, bytes]
"""Kind (one letter) and payload (no line end in it)."""

log = logging.getLogger(__name__)

PREFIX: Final = "journal."
SUFFIX_NEW: Final = ".new"


def line(kind: bytes, payload: bytes) -> bytes:
    """The line of one record."""
    return b"%b %08x %b\n" % (kind, crc32(payload), payload)


def parse(text: bytes) -> Iterator[Record | None]:
    """The records of a segment; None for a line that is not what was written."""
    for entry in text.split(b"\n"):
        if not entry:
            continue
        kind, checksum, payload = entry[:1], entry[2:10], entry[11:]
        yield (kind, payload) if checksum == b"%08x" % crc32(payload) else None


class Journal:
    """The file that is written to. ``load`` and ``rotate`` are for a thread; ``write`` is for the loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._number = 0
        self._torn = False
        self._tail: list[bytes] | None = None
        self.size = 0
        self.dirty = False

    def load(self) -> list[Record]:
        """Everything on disk, oldest first. Nothing can be written before the first ``rotate``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        records: list[Record] = []
        for number, path in self._segments():
            self._number = max(self._number, number)
            found = list(parse(path.read_bytes()))
            if None in found[:-1]:
                log.warning("%s has damaged lines; what they held is lost", path)
            records.extend(record for record in found if record is not None)
        return records

    def _segments(self) -> list[tuple[int, Path]]:
        found = [(path.name.removeprefix(PREFIX), path) for path in self._folder.glob(f"{PREFIX}*")]
        return sorted((int(number), path) for number, path in found if number.isdecimal())

    def write(self, record: bytes) -> None:
        """Append lines. Raises OSError where the disk does not take them; then they do not count."""
        entry = b"\n" + record if self._torn else record
        written = os.write(self._file, entry)
        if written != len(entry):
            self._take_back(written)
            raise OSError(
                errno.ENOSPC, f"only {written} of {len(entry)} bytes were written", str(self._folder)
            )
        self._torn = False
        self.size += written
        self.dirty = True
        if self._tail is not None:
            self._tail.append(record)

    def _take_back(self, count: int) -> None:
        """The last bytes do not count: even a whole record may be among them, whose number another is given."""
        try:
            os.ftruncate(self._file, os.fstat(self._file).st_size - count)
        except OSError:
            self._torn = True

    @property
    def removed(self) -> bool:
        """Whether somebody removed the file: what is written to it is gone when it is closed."""
        return os.fstat(self._file).st_nlink == 0

    def begin(self) -> None:
        """From here to ``switch``, what is written goes to both segments."""
        self._tail = []

    def prepare(self, snapshot: Iterable[bytes]) -> int:
        """Write a new segment and give its file; for a thread."""
        path = self._path(self._number + 1)
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + SUFFIX_NEW)
        text = b"".join(snapshot)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.write(text)
            os.fsync(file)
            draft.rename(path)
            sync(self._folder)
        except BaseException:
            os.close(file)
            with contextlib.suppress(OSError):
                draft.unlink()  # of a disk that is full it may hold the last of the room
            raise
        return file

    def abandon(self) -> None:
        """The new segment could not be written; the present one goes on."""
        self._tail = None

    def switch(self, file: int, size: int) -> int:
        """Write to ``file`` from now on; gives the old file, which ``retire`` closes. For the loop."""
        old, self._file = self._file, file
        tail, self._tail = self._tail or [], None
        self._number += 1
        self.size, self._torn = size, False
        if tail:
            self.write(b"".join(tail))
        return old

    def retire(self, old: int) -> None:
        """Close and delete what came before the present segment; for a thread."""
        os.fdatasync(self._file)  # the tail must not be on the old segment alone
        if old >= 0:
            os.close(old)
        for number, path in self._segments():
            if number < self._number:
                path.unlink()
        for draft in self._folder.glob(f"{PREFIX}*{SUFFIX_NEW}"):
            draft.unlink()

    def sync(self) -> None:
        """Make what is written survive a power cut; for a thread."""
        self.dirty = False
        os.fdatasync(self._file)

    def close(self) -> None:
        """Sync and close; for a thread."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            os.fdatasync(self._file)
        os.close(self._file)
        self._file = -1

    def _path(self, number: int) -> Path:
        return self._folder / f"{PREFIX}{number}"
