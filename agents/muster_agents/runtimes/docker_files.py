"""Files into a container and out of it, through the engine's archives, a piece at a time. Blocking: for a thread."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import docker.errors
import docker.utils

from muster.artifacts.store import PIECE_BYTES
from muster.model.errors import ContainerStartingError
from muster.model.log.commands import AttemptOrder
from muster.model.plan.artifacts import OUT
from muster_agents.harness import HARNESS
from muster_agents.runtimes.environment import documents
from muster_agents.runtimes.taking import Taken, copy, no_file, too_large

LINK: Final = 1 << 27
FOLDER: Final = 1 << 31
"""Bits of a Go file mode."""
STRANGE: Final = 0x8F280000
"""The bits of a Go file mode that say that it is no plain file."""
_END: Final = bytes(2 * tarfile.BLOCKSIZE)


def archive(order: AttemptOrder, files: Mapping[str, Path]) -> Iterator[bytes]:
    """What is unpacked at /muster: the folders, the inputs, and the files by their names."""
    yield _folder("in", 0o755)
    yield _folder("out", 0o777)
    for name, content in documents(order).items():
        yield _document(f"in/{name}", content)
    for name, path in files.items():
        yield from _file(f"in/{name}", path)
    yield _END


def serving_archive(harness: bytes | None) -> Iterator[bytes]:
    """What is unpacked at /muster for a function. Whoever it runs as may remove what was there for a call."""
    yield _folder("in", 0o777)
    yield _folder("out", 0o777)
    if harness is not None:
        yield _document(HARNESS, harness)
    yield _END


def call_archive(call: str, files: Mapping[str, Path]) -> Iterator[bytes]:
    """What is unpacked at /muster for one call."""
    yield _folder(f"in/{call}", 0o777)
    yield _folder(f"out/{call}", 0o777)
    for name, path in files.items():
        yield from _file(f"in/{call}/{name}", path)
    yield _END


def _folder(place: str, mode: int) -> bytes:
    folder = tarfile.TarInfo(place)
    folder.type, folder.mode = tarfile.DIRTYPE, mode
    return folder.tobuf(tarfile.PAX_FORMAT)


def _document(place: str, content: bytes) -> bytes:
    return _head(place, len(content)) + content + _padding(len(content))


def _head(place: str, size: int) -> bytes:
    file = tarfile.TarInfo(place)
    file.size, file.mode = size, 0o644
    return file.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _file(place: str, path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        yield _head(place, size)
        left = size
        while left:
            piece = file.read(min(PIECE_BYTES, left))
            if not piece:
                raise ContainerStartingError(
                    f"The file {place} was cut short while the container was filled."
                )
            left -= len(piece)
            yield piece
        yield _padding(size)


class _Stream(io.RawIOBase):
    """Chunks as a file that is read from front to back."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            found = next(self._chunks, None)
            if found is None:
                return 0
            self._left = found
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def take(
    api: docker.APIClient,
    container: str,
    path: str,
    target: Path,
    bytes_max: int,
    stopped: Callable[[], bool],
) -> Taken | None:
    """The file ``path`` below /muster/out; None where there is none. Raises OutputError."""
    parts = path.split("/")
    for count in range(1, len(parts)):
        mode = _mode(api, container, f"{OUT}/{'/'.join(parts[:count])}")
        if mode is None:
            return None
        if not mode & FOLDER:
            raise no_file(path, f"behind {_kind(mode)}")
    try:
        chunks, found = api.get_archive(container, f"{OUT}/{path}", PIECE_BYTES)
    except docker.errors.NotFound:
        return None
    with contextlib.closing(chunks):
        if found["mode"] & STRANGE:
            raise no_file(path, _kind(found["mode"]))
        if found["size"] > bytes_max:
            raise too_large(path, bytes_max)
        stream = io.BufferedReader(_Stream(iter(chunks)), PIECE_BYTES)
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            member = tar.next()
            file = None if member is None else tar.extractfile(member)
            if file is None:
                raise no_file(path, "something else")
            return copy(path, file.read, target, bytes_max, stopped)


def _mode(api: Any, container: str, path: str) -> int | None:
    """The Go file mode of what is there, of a link itself; None where nothing is."""
    # docker-py asks for the head of an archive only together with the archive.
    url = api._url("/containers/{0}/archive", container)
    response = api.head(url, params={"path": path}, timeout=api.timeout)
    try:
        api._raise_for_status(response)
    except docker.errors.NotFound:
        return None
    stat = docker.utils.decode_json_header(response.headers["X-Docker-Container-Path-Stat"])
    return int(stat["mode"])


def _kind(mode: int) -> str:
    if mode & LINK:
        return "a link"
    return "a folder" if mode & FOLDER else "something else"
