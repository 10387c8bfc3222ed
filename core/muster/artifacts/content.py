"""Files of this machine as contents."""

from __future__ import annotations

import asyncio
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec

from muster.artifacts.store import PIECE_BYTES
from muster.model.definition.mediatypes import media_type
from muster.model.errors import InvalidArgumentError
from muster.model.plan.artifacts import ALGORITHM, Artifact


class FileContent(msgspec.Struct, frozen=True):
    """A file as it was when it was measured. ``name`` is of this measuring alone, as the file may change."""

    path: Path
    digest: str
    size: int
    name: str

    @classmethod
    async def measure(cls, path: Path, bytes_max: int) -> Self:
        """Read the file once. Raises InvalidArgumentError where it cannot be read or is too large."""
        try:
            digest, size = await asyncio.to_thread(_measure, path, bytes_max)
        except OSError as error:
            raise InvalidArgumentError(
                f"The file {path} cannot be read: {error.strerror or error}.", remedy="Check the path."
            ) from error
        return cls(path, digest, size, f"{digest}.{secrets.token_hex(8)}")

    @classmethod
    def kept(cls, path: Path, digest: str, size: int) -> Self:
        """A file that nobody else writes to: its pieces can be gone on with by another put."""
        return cls(path, digest, size, digest)

    async def piece(self, at: int) -> bytes:
        """See ``Content.piece``."""
        return await asyncio.to_thread(_piece, self.path, at)


def described(name: str, digest: str, size: int, execution: str) -> Artifact:
    """The artifact of a content; its media type goes by the file's name."""
    return Artifact(
        address=f"{ALGORITHM}{digest}",
        size=size,
        media_type=media_type(name),
        name=name,
        execution=execution,
    )


def _measure(path: Path, bytes_max: int) -> tuple[str, int]:
    hashing, size = sha256(), 0
    if not path.is_file():
        raise InvalidArgumentError(
            f"{path} is no file." if path.exists() else f"There is no file {path}.", remedy="Check the path."
        )
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            hashing.update(piece)
            size += len(piece)
            if size > bytes_max:
                raise InvalidArgumentError(
                    f"The file {path} has more than {bytes_max} bytes.",
                    remedy="Split it, put it where the steps can read it, or raise MUSTER_ARTIFACT_BYTES_MAX.",
                )
    return hashing.hexdigest(), size


def _piece(path: Path, at: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(PIECE_BYTES)
