"""The contents of files in a bucket of the broker (``muster.broker.nats.bucket``).

    nats object get muster_artifacts <execution>/<sha256 in hexadecimal digits>

Chunks stand under the hash of the execution's id, the hash of the content, and a name of the putting: so all that an
execution ever put, or half put, is found without reading the bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256
from typing import Final

from muster.artifacts.store import PIECE_BYTES, Content, Progress, verified
from muster.broker.nats.bucket import Bucket, Info, token
from muster.broker.nats.connection import Connection
from muster.model.errors import ArtifactDamagedError, ArtifactMissingError, BrokerError, InvalidArgumentError

BUCKET: Final = "muster_artifacts"
STREAM: Final = f"OBJ_{BUCKET}"
DESCRIPTION: Final = "Files of Muster's executions"
AT_ONCE: Final = 32
"""Questions under way at once."""
NOTHING: Final = sha256().hexdigest()
FULL: Final = (
    "a file of an execution",
    "Give the broker room (max_file_store), or clear executions: muster clear EXECUTION.",
)


class NatsArtifacts:
    """``Artifacts`` of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._bucket = Bucket(connection, BUCKET, DESCRIPTION, _absent, FULL)

    # ---- putting

    async def put(self, execution: str, content: Content, progress: Progress | None = None) -> bool:
        """See ``Artifacts.put``."""
        name = f"{execution}/{content.digest}"
        if await self._bucket.info(name) is not None:
            return False
        nuid = f"{token(execution)}.{content.name}"
        digest = await self._put_chunks(self._bucket.chunks(nuid), content, progress)
        if digest.hex() != content.digest:
            raise InvalidArgumentError("The file changed while it was sent.", remedy="Send it again.")
        return await self._bucket.name_it(
            name, nuid, size=content.size, chunks=_chunks(content.size), digest=digest, metadata={}
        )

    async def _put_chunks(self, subject: str, content: Content, progress: Progress | None) -> bytes:
        """Send what is not there yet; the hash of all that was read."""
        hashing = sha256()
        last = there = 0
        for at in range(0, content.size, PIECE_BYTES):
            piece = await content.piece(at)
            await asyncio.to_thread(hashing.update, piece)
            number = at // PIECE_BYTES + 1
            while there < number:
                stored = await self._bucket.publish(subject, piece, last)
                if stored is not None:
                    last, there = stored, number
                else:
                    last, there = await self._begun(subject, number)
            if progress is not None:
                progress(min(at + PIECE_BYTES, content.size))
        return hashing.digest()

    async def _begun(self, subject: str, number: int) -> tuple[int, int]:
        """Where a put of the same stands: the last chunk, and how many there are. It is the beginning of this one."""
        found = await self._bucket.last(
            subject
        )  # before they are counted: a newer one is noticed by the next write
        counted = await self._bucket.counted(subject)
        there = counted.get(subject, 0)
        if there < number - 1:
            raise BrokerError("The file was erased while it was sent.", remedy="Send it again.")
        return (0 if found is None else found.sequence), there

    # ---- getting

    async def read(self, execution: str, digest: str) -> AsyncGenerator[bytes, None]:
        """See ``Artifacts.read``."""
        info = await self._bucket.info(f"{execution}/{digest}")
        if info is None:
            raise ArtifactMissingError(digest=digest, execution=execution)
        async with aclosing(verified(self._pieces(info, execution, digest), execution, digest)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(self, info: Info, execution: str, digest: str) -> AsyncGenerator[bytes, None]:
        """The chunks one by one, the next asked for while one is used: never more than two in memory."""
        subject = self._bucket.chunks(info.nuid)
        found = await self._bucket.following(subject, 1) if info.chunks else None
        for left in range(info.chunks - 1, -1, -1):
            if found is None:
                raise ArtifactDamagedError(
                    f"The file {digest[:12]} lost {left + 1} of its {info.chunks} parts.",
                    digest=digest,
                    execution=execution,
                )
            piece = found.payload
            if not left:
                yield piece
                return
            coming = asyncio.create_task(self._bucket.following(subject, found.sequence + 1))
            try:
                yield piece
                found = await coming
            finally:
                coming.cancel()

    async def size(self, execution: str, digest: str) -> int | None:
        """See ``Artifacts.size``."""
        info = await self._bucket.info(f"{execution}/{digest}")
        return None if info is None else info.size

    # ---- erasing

    async def erase(self, execution: str) -> None:
        """See ``Artifacts.erase``. What finds the names goes last, so that it can be gone on with."""
        every = self._bucket.chunks(f"{token(execution)}.>")
        digests = {NOTHING}
        offset = 0
        while page := await self._bucket.counted(every, offset):
            digests |= {subject.split(".")[4] for subject in page}
            offset += len(page)
        room = asyncio.Semaphore(AT_ONCE)

        async def unname(digest: str) -> None:
            async with room:
                await self._bucket.purge(self._bucket.about(f"{execution}/{digest}"))

        await asyncio.gather(*(unname(digest) for digest in digests))
        await self._bucket.purge(every)


def _chunks(size: int) -> int:
    return -(-size // PIECE_BYTES)


def _absent() -> BrokerError:
    return BrokerError(
        f"The broker has no bucket {BUCKET} for files.",
        remedy="Start a scheduler of this release on it, which makes one: muster scheduler (or muster up).",
    )
