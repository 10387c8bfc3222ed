"""What the engine asks of a place that keeps the contents of files.

Two implementations: a bucket of the broker's object store (``muster.broker.nats.artifacts``) and memory
(``muster.broker.memory.artifacts``). A content belongs to an execution and is found by its hash. It is there whole or
not at all: a put that was killed leaves nothing that can be read. Putting again what is there sends nothing. Both ways
it goes a piece at a time, and what is read is checked against its hash at the end: nothing must be used before that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from hashlib import sha256
from typing import Final, Protocol

from muster.model.errors import ArtifactDamagedError

PIECE_BYTES: Final = 1 << 20
"""One message of the broker, which takes 8 MB: few round trips, and two of them are no memory to speak of."""

Progress = Callable[[int], None]
"""Is told how many bytes are done so far."""


class Content(Protocol):
    """Something to put, which can be read from any place as often as needed."""

    @property
    def digest(self) -> str:
        """Its sha256 in hexadecimal digits."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def name(self) -> str:
        """What its pieces are kept under: the same for contents that cannot differ in any byte."""
        ...

    async def piece(self, at: int) -> bytes:
        """``PIECE_BYTES`` from byte ``at`` on, less only at the end."""
        ...


class Artifacts(Protocol):
    """The place. Everything raises BrokerError where it cannot be reached."""

    async def put(self, execution: str, content: Content, progress: Progress | None = None) -> bool:
        """Keep the content; False where it was there. Raises InvalidArgumentError where it changed meanwhile."""
        ...

    def read(self, execution: str, digest: str) -> AsyncGenerator[bytes, None]:
        """The content in pieces. Raises ArtifactMissingError before any, ArtifactDamagedError after the last."""
        ...

    async def size(self, execution: str, digest: str) -> int | None:
        """The bytes of the content; None where it is not there."""
        ...

    async def erase(self, execution: str) -> None:
        """Leave nothing of this execution, whole or half put. Only a scheduler does this; it may be repeated."""
        ...


async def verified(pieces: AsyncIterator[bytes], execution: str, digest: str) -> AsyncGenerator[bytes, None]:
    """The pieces, and ArtifactDamagedError in the end where they are not what the hash says."""
    hashing = sha256()
    async for piece in pieces:
        hashing.update(piece)
        yield piece
    if hashing.hexdigest() != digest:
        raise ArtifactDamagedError(digest=digest, execution=execution, found=hashing.hexdigest())
