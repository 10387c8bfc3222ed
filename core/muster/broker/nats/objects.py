"""The archive's objects in a bucket of the broker (``muster.broker.nats.bucket``).

Chunks stand under a subject made of the hash of the name and the hash of the content. A deletion takes the information
and every chunk that was ever put under the name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from muster.archive.objects import Head
from muster.archive.packing import HEAD_BYTES, first_of, span
from muster.broker.nats.bucket import CHUNK_BYTES, Bucket, Info, token
from muster.broker.nats.connection import Connection
from muster.broker.nats.reader import Raw, Reader, position
from muster.model.errors import ArchiveUnavailableError, BrokerError

BUCKET: Final = "muster_archive"
STREAM: Final = f"OBJ_{BUCKET}"
AT_ONCE: Final = 32
"""Questions under way at once."""
FULL: Final = (
    "an object of the archive",
    "Give the broker room (max_file_store); until then executions stay in the log.",
)


class NatsObjects:
    """``Objects`` of one connection."""

    place = f"nats:{BUCKET}"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bucket = Bucket(connection, BUCKET, "Executions that Muster has archived", self._absent, FULL)
        self._told_to = 0

    def _absent(self) -> BrokerError:
        return ArchiveUnavailableError(
            f"The broker has no bucket {BUCKET}: the archive was deleted, or this is another broker.",
            place=self.place,
        )

    # ---- putting

    async def put(self, name: str, data: bytes) -> bool:
        """See ``Objects.put``."""
        try:
            if await self._bucket.info(name) is not None:
                return False
        except ArchiveUnavailableError:
            await self._bucket.make()
        digest = sha256(data)
        nuid = f"{token(name)}.{digest.hexdigest()[:22]}"
        parts = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        await self._put_chunks(self._bucket.chunks(nuid), parts)
        known = span(data[:HEAD_BYTES])
        return await self._bucket.name_it(
            name,
            nuid,
            size=len(data),
            chunks=len(parts),
            digest=digest.digest(),
            metadata={"first": str(known.first), "last": str(known.last)} if known else {},
        )

    async def _put_chunks(self, subject: str, parts: Sequence[bytes]) -> None:
        last = count = 0
        while count < len(parts):
            stored = await self._bucket.publish(subject, parts[count], last)
            if stored is not None:
                last, count = stored, count + 1
                continue
            # Somebody began to put the same before: what is there is the beginning of it.
            there = [raw.sequence async for raw in self._chunks(subject)]
            last, count = (there[-1] if there else 0), len(there)

    # ---- getting

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """See ``Objects.get``."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> bytes | None:
            async with room:
                info = await self._bucket.info(name)
                content = None if info is None else await self._content(info)
                if info is None or content is None or len(content) == info.size:
                    return content
                # What is deleted loses its name before its chunks; what is damaged keeps it.
                return content if await self._bucket.info(name) is not None else None

        return list(await asyncio.gather(*(one(name) for name in names)))

    async def _content(self, info: Info) -> bytes:
        subject = self._bucket.chunks(info.nuid)
        if info.chunks == 1:
            found = await self._bucket.last(subject)
            return b"" if found is None else found.payload
        parts = [raw.payload async for raw in self._chunks(subject)]
        return b"".join(parts[: info.chunks])

    async def _chunks(self, subject: str) -> AsyncGenerator[Raw, None]:
        async for raw in self._read(subject, 1):
            yield raw

    async def _read(self, subject: str, start: int) -> AsyncGenerator[Raw, None]:
        try:
            stop = (await position(self._connection, STREAM)).last
        except BrokerError as error:
            raise self._bucket.missing(error) from error
        batches = Reader(self._connection, STREAM, start, [subject], stop).batches()
        async with contextlib.aclosing(batches):
            async for batch in batches:
                for raw in batch:
                    yield raw

    # ---- deleting and listing

    async def delete(self, name: str) -> None:
        """See ``Objects.delete``."""
        # What another tool put under this name has its chunks elsewhere, and none of them know the name.
        for subject in (self._bucket.about(name), self._bucket.chunks(f"{token(name)}.>")):
            await self._bucket.purge(subject)

    async def heads(self, *, anew: bool = False) -> AsyncGenerator[list[Head], None]:
        """See ``Objects.heads``."""
        found: list[Head] = []
        async with contextlib.aclosing(
            self._read(f"$O.{BUCKET}.M.>", 1 if anew else self._told_to + 1)
        ) as read:
            async for raw in read:
                info = msgspec.json.decode(raw.payload, type=Info)
                if not info.deleted:
                    found.append(Head(info.name, await self._first(info)))
                if not anew:
                    self._told_to = raw.sequence
        yield found

    async def _first(self, info: Info) -> int:
        known = info.metadata.get("first", "")
        return int(known) if known.isdecimal() else first_of(await self._content(info), info.name)
