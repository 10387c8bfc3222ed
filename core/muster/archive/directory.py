"""Objects in a directory: one file for each execution, ``<execution>.jsonl.gz``.

A file comes into being under its name at once and whole: it is written under another name, brought to the disk, and
then linked, which the system refuses where the name is taken. A small file of our own marks the directory, so that an
empty mount point is not taken for an empty archive.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from muster.archive.objects import Head
from muster.archive.packing import HEAD_BYTES, first_of, span
from muster.model.errors import ArchiveUnavailableError

SUFFIX: Final = ".jsonl.gz"
MARK: Final = "muster-archive"
"""The file that says that this directory is an archive."""
LISTED: Final = 500
"""Files looked at in one go on a thread."""

T = TypeVar("T")


class DirectoryObjects:
    """``Objects`` under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: set[str] = set()

    @property
    def place(self) -> str:
        """See ``Objects.place``."""
        return f"file://{self.folder}"

    async def put(self, name: str, data: bytes) -> bool:
        """See ``Objects.put``."""
        return await self._work(lambda: self._put(name, data))

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """See ``Objects.get``."""
        return await self._work(lambda: self._get(names))

    async def delete(self, name: str) -> None:
        """See ``Objects.delete``."""
        await self._work(lambda: self._delete(name))

    async def heads(self, *, anew: bool = False) -> AsyncGenerator[list[Head], None]:
        """See ``Objects.heads``."""
        told = set() if anew else self._told
        names = await self._work(lambda: [name for name in self._names() if name not in told])
        for start in range(0, len(names), LISTED):
            part = names[start : start + LISTED]
            found = await self._work(partial(self._heads, part))
            told.update(head.name for head in found)
            yield found

    async def _work(self, work: Callable[[], T]) -> T:
        """On a thread; what the system refuses becomes a sentence."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise ArchiveUnavailableError(
                f"The archive at {self.folder} cannot be used ({(error.strerror or str(error)).lower()}).",
                place=self.place,
            ) from error

    # ---- on a thread

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _check(self) -> None:
        """Whether this is an archive; a directory that somebody moved, or did not mount, is none."""
        if not (self.folder / MARK).exists():
            raise ArchiveUnavailableError(
                f"There is no archive at {self.folder}: it was moved, or its disk is not mounted.",
                place=self.place,
            )

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / MARK).exists():
            (self.folder / MARK).write_text(
                "Executions that Muster has archived, one gzip file of events each. Do not change them.\n"
            )
            _sync(self.folder)

    def _put(self, name: str, data: bytes) -> bool:
        self._make()
        waiting = self.folder / f".{name}.{secrets.token_hex(4)}"
        try:
            with waiting.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                _link(waiting, self._path(name))
            except FileExistsError:
                return False
        finally:
            waiting.unlink(missing_ok=True)
        _sync(self.folder)
        return True

    def _get(self, names: Sequence[str]) -> list[bytes | None]:
        self._check()
        return [_read(self._path(name)) for name in names]

    def _delete(self, name: str) -> None:
        self._check()
        for left in self.folder.glob(f".{name}.*"):  # a put that was killed
            left.unlink(missing_ok=True)
        self._path(name).unlink(missing_ok=True)
        _sync(self.folder)

    def _names(self) -> list[str]:
        self._check()
        with os.scandir(self.folder) as entries:
            return [
                entry.name.removesuffix(SUFFIX)
                for entry in entries
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")
            ]

    def _heads(self, names: Sequence[str]) -> list[Head]:
        return [head for name in names if (head := self._head(name)) is not None]

    def _head(self, name: str) -> Head | None:
        with contextlib.suppress(FileNotFoundError), self._path(name).open("rb") as file:
            known = span(file.read(HEAD_BYTES))
            if known is None:
                file.seek(0)
            return Head(name, known.first if known else first_of(file.read(), name))
        return None


def _link(source: Path, target: Path) -> None:
    """Give the file its name, unless it is taken."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
            raise
        # A file system without links: of two that put at once one might win over the other, with the same content.
        if target.exists():
            raise FileExistsError(errno.EEXIST, "the name is taken", str(target)) from None
        source.rename(target)


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def _sync(folder: Path) -> None:
    """Bring the directory's own entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
