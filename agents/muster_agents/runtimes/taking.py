"""Taking a file that a step made, a piece at a time, into a place of the agent's. Blocking: for a thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from muster.artifacts.store import PIECE_BYTES
from muster.model.errors import OutputError
from muster.model.plan.artifacts import OUT

NO_LINKS: Final = os.O_NOFOLLOW | os.O_CLOEXEC
Taken = tuple[str, int]
"""Hash and size."""


def no_file(path: str, what: str) -> OutputError:
    """The output is something else."""
    return OutputError(
        f"{OUT}/{path} is {what}, and not a plain file.",
        remedy="Write the file itself there: links and folders are not followed, pack several files into one.",
    )


def too_large(path: str, bytes_max: int) -> OutputError:
    """The output is larger than any file may be."""
    return OutputError(
        f"The file {OUT}/{path} has more than {bytes_max} bytes.",
        remedy="Split it, or raise MUSTER_ARTIFACT_BYTES_MAX for the agents.",
    )


def copy(
    path: str, read: Callable[[int], bytes], target: Path, bytes_max: int, stopped: Callable[[], bool]
) -> Taken:
    """Write what ``read`` gives to ``target``. Raises OutputError where that is too much, or nobody wants it more."""
    hashing, size = sha256(), 0
    with target.open("wb") as file:
        while piece := read(PIECE_BYTES):
            hashing.update(piece)
            size += len(piece)
            if size > bytes_max:
                raise too_large(path, bytes_max)
            if stopped():
                raise OutputError("The attempt was stopped while its files were taken.")
            file.write(piece)
    return hashing.hexdigest(), size


def take(folder: Path, path: str, target: Path, bytes_max: int, stopped: Callable[[], bool]) -> Taken | None:
    """The file ``path`` below ``folder``; None where there is none. No link on the way is followed."""
    parts = path.split("/")
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # it went with its process
        return None
    try:
        for part in parts[:-1]:
            descriptor = _enter(descriptor, part, path)
        return _taken(descriptor, parts[-1], path, target, bytes_max, stopped)
    except FileNotFoundError:
        return None
    finally:
        os.close(descriptor)


def _enter(descriptor: int, part: str, path: str) -> int:
    """The folder ``part``; the one it is in is closed."""
    found = os.stat(part, dir_fd=descriptor, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        raise no_file(path, _kind(found.st_mode, "behind "))
    inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | NO_LINKS, dir_fd=descriptor)
    os.close(descriptor)
    return inner


def _taken(descriptor: int, name: str, path: str, *rest: Any) -> Taken:
    found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise no_file(path, _kind(found.st_mode))
    # O_NONBLOCK: should it have become a pipe meanwhile, nobody waits for its other end.
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NONBLOCK | NO_LINKS, dir_fd=descriptor), "rb") as file:
        return copy(path, file.read, *rest)


def _kind(mode: int, prefix: str = "") -> str:
    if stat.S_ISLNK(mode):
        return f"{prefix}a link"
    return f"{prefix}a folder" if stat.S_ISDIR(mode) else f"{prefix}something else"
