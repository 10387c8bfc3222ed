"""Contents of files on this machine's disk, by hash: what several attempts use is brought here once.

Whoever needs a content pins it; what nobody has pinned may go when there is too much, least recently used first. What
is taken from here is checked against its hash, since disks fail and people look into folders.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Final

from muster.artifacts.store import PIECE_BYTES

PARTIAL: Final = ".part"


class Cache:
    """A folder of its own. ``bytes_max`` is what it may hold beside what is pinned."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._sizes: dict[str, int] = {}
        self._pins: Counter[str] = Counter()

    async def open(self) -> None:
        """Look at what an agent before left; half files go."""
        self._sizes = await asyncio.to_thread(self._load)

    def _load(self) -> dict[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found: list[tuple[float, str, int]] = []
        for path in self._folder.iterdir():
            if path.name.endswith(PARTIAL):
                path.unlink(missing_ok=True)
            else:
                stat = path.stat()
                found.append((stat.st_mtime, path.name, stat.st_size))
        return {name: size for _, name, size in sorted(found)}

    # ---- pins

    def pin(self, digest: str) -> None:
        """Keep this content until it is unpinned as often."""
        self._pins[digest] += 1

    def pinned(self, digest: str) -> bool:
        """Whether anybody needs it."""
        return digest in self._pins

    async def unpin(self, digest: str) -> None:
        """It may go again, if there is too much."""
        self._pins[digest] -= 1
        if not self._pins[digest]:
            del self._pins[digest]
        gone: list[str] = []
        total = sum(self._sizes.values())
        for name in list(self._sizes):
            if total <= self._bytes_max:
                break
            if name not in self._pins:
                total -= self._sizes.pop(name)
                gone.append(name)
        if gone:
            await asyncio.to_thread(self._remove, gone)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    # ---- contents

    async def get(self, digest: str) -> Path | None:
        """The file of a content that is pinned; None where it is not here, or is not what it was."""
        if digest not in self._sizes:
            return None
        path = self._folder / digest
        if await asyncio.to_thread(_digest, path) != digest:
            del self._sizes[digest]
            return None
        self._sizes[digest] = self._sizes.pop(digest)  # the newest is the last
        with contextlib.suppress(OSError):
            os.utime(path)
        return path

    async def partial(self) -> Path:
        """A place for a content that is not whole yet. Whoever asks for it keeps or removes it. Raises OSError."""
        # Somebody may have removed the folder.
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        return self._folder / f"{secrets.token_hex(8)}{PARTIAL}"

    async def keep(self, partial: Path, digest: str, size: int) -> Path:
        """The content, which is pinned, is whole; its file."""
        path = self._folder / digest
        await asyncio.to_thread(partial.replace, path)
        self._sizes.pop(digest, None)
        self._sizes[digest] = size
        return path


def _digest(path: Path) -> str:
    hashing = sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                hashing.update(piece)
    except OSError:
        return ""
    return hashing.hexdigest()
