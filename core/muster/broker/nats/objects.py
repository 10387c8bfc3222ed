"""Objects in a bucket of the broker's object store (NATS ADR-20): any NATS tool lists and reads them.

    nats object get muster_archive <execution> --output - | zcat

nats-py's ``ObjectStore`` reads what is written here (a test holds us to it), but is not what writes it. Its ``put``
replaces what is there, its ``delete`` leaves the object's name behind for ever, and neither would survive being killed
in the middle. Here

- the information about an object, which is what makes it exist, is written last and only where the broker has none
  under that name: it decides, not we;
- chunks stand under a subject made of the hash of the name and the hash of the content, each expecting to follow the
  one before it. A put that was killed is gone on with, and one of a leader that was replaced meanwhile can write
  nothing but the same chunks once more, which the broker refuses;
- a deletion takes the information and every chunk that was ever put under the name.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from muster.archive.objects import Head
from muster.archive.packing import HEAD_BYTES, first_of, span
from muster.broker.nats import api
from muster.broker.nats.connection import Connection
from muster.broker.nats.reader import Raw, Reader, position
from muster.broker.nats.replies import Answer
from muster.model.errors import ArchiveUnavailableError, BrokerError

BUCKET: Final = "muster_archive"
STREAM: Final = f"OBJ_{BUCKET}"
CHUNK_BYTES: Final = 1 << 20
"""Nearly every object is one chunk, which one question brings; the broker takes messages of 8 MB."""
AT_ONCE: Final = 32
"""Questions under way at once."""
WRONG_LAST: Final = 10071
IN_FLIGHT: Final = 10164
"""On a replicated stream: another message on the subject is on its way, and what becomes of it is not known yet."""
TRIES: Final = 20
PAUSE_S: Final = 0.1
"""It is asked so often, with this pause: until a bucket that was just made answers, or what is in flight has landed."""


class Info(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What ADR-20 writes about an object."""

    name: str
    bucket: str
    nuid: str
    size: int
    chunks: int
    digest: str
    mtime: str = ""
    deleted: bool = False
    metadata: dict[str, str] = {}
    options: dict[str, Any] = {}


class NatsObjects:
    """``Objects`` of one connection."""

    place = f"nats:{BUCKET}"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._told_to = 0
        self._made = False

    # ---- putting

    async def put(self, name: str, data: bytes) -> bool:
        """See ``Objects.put``."""
        try:
            if await self._info(name) is not None:
                return False
        except ArchiveUnavailableError:
            await self._make()
        digest = sha256(data)
        nuid = f"{_token(name)}.{digest.hexdigest()[:22]}"
        parts = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        await self._put_chunks(f"$O.{BUCKET}.C.{nuid}", parts)
        known = span(data[:HEAD_BYTES])
        info = Info(
            name=name,
            bucket=BUCKET,
            nuid=nuid,
            size=len(data),
            chunks=len(parts),
            digest=f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}",
            mtime=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            metadata={"first": str(known.first), "last": str(known.last)} if known else {},
            options={"max_chunk_size": CHUNK_BYTES},
        )
        return await self._publish(_about(name), msgspec.json.encode(info), 0, rollup=True) is not None

    async def _put_chunks(self, subject: str, parts: Sequence[bytes]) -> None:
        last = count = 0
        while count < len(parts):
            stored = await self._publish(subject, parts[count], last)
            if stored is not None:
                last, count = stored, count + 1
                continue
            # Somebody began to put the same before: what is there is the beginning of it.
            there = [raw.sequence async for raw in self._chunks(subject)]
            last, count = (there[-1] if there else 0), len(there)

    async def _publish(self, subject: str, payload: bytes, after: int, *, rollup: bool = False) -> int | None:
        """Store where ``after`` is still the last of the subject; None where it is not."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(after)}
        if rollup:
            headers["Nats-Rollup"] = "sub"
        error: dict[str, Any] = {}
        for _ in range(TRIES):
            got = await self._ask(subject, payload, headers)
            answer: dict[str, Any] = msgspec.json.decode(got.payload)
            if "error" not in answer:
                return int(answer["seq"])
            error = answer["error"]
            if error.get("err_code") == WRONG_LAST:
                return None
            if error.get("err_code") != IN_FLIGHT:
                break
            await asyncio.sleep(PAUSE_S)
        raise BrokerError(
            f"The broker refused to store an object of the archive: {error.get('description', error)}.",
            remedy="Give the broker room (max_file_store); until then executions stay in the log.",
            api_code=error.get("err_code", 0),
        )

    async def _make(self) -> None:
        config = {
            "name": STREAM,
            "description": "Executions that Muster has archived",
            "subjects": [f"$O.{BUCKET}.C.>", f"$O.{BUCKET}.M.>"],
            "storage": "file",
            "num_replicas": self._connection.settings.replicas,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        await api.call(self._connection, f"STREAM.CREATE.{STREAM}", config)
        self._made = True

    # ---- getting

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """See ``Objects.get``."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> bytes | None:
            async with room:
                info = await self._info(name)
                return None if info is None else await self._content(info)

        return list(await asyncio.gather(*(one(name) for name in names)))

    async def _content(self, info: Info) -> bytes:
        subject = f"$O.{BUCKET}.C.{info.nuid}"
        if info.chunks == 1:
            found = await self._last(subject)
            return found or b""
        parts = [raw.payload async for raw in self._chunks(subject)]
        return b"".join(parts[: info.chunks])

    async def _info(self, name: str) -> Info | None:
        found = await self._last(_about(name))
        info = None if found is None else msgspec.json.decode(found, type=Info)
        return None if info is None or info.deleted else info

    async def _last(self, subject: str) -> bytes | None:
        """The newest message of the subject: of any replica, or where that one has none, of the leader."""
        got = await self._ask(f"$JS.API.DIRECT.GET.{STREAM}.{subject}")
        if not got.status:
            return got.payload
        if not self._connection.nc._server_info.get("cluster"):
            return None
        try:
            found = await api.last(self._connection, STREAM, subject)
        except BrokerError as error:
            raise self._missing(error) from error
        return None if found is None else found.payload

    async def _ask(self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Ask the bucket. Nobody answers for a bucket that is not there, nor for one that was made this moment."""
        for last_time in (*(False for _ in range(TRIES)), True):
            try:
                return await self._connection.request(subject, payload, headers=headers)
            except BrokerError as error:
                if last_time or not error.data.get("no_responders"):
                    raise
            try:
                await api.call(self._connection, f"STREAM.INFO.{STREAM}")
            except BrokerError as told:
                if not self._made:  # in a cluster not every server knows at once of one that was
                    raise self._missing(told) from told
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def _missing(self, error: BrokerError) -> BrokerError:
        if not api.refused_with(error, api.STREAM_NOT_FOUND):
            return error
        return ArchiveUnavailableError(
            f"The broker has no bucket {BUCKET}: the archive was deleted, or this is another broker.",
            place=self.place,
        )

    async def _chunks(self, subject: str) -> AsyncGenerator[Raw, None]:
        async for raw in self._read(subject, 1):
            yield raw

    async def _read(self, subject: str, start: int) -> AsyncGenerator[Raw, None]:
        try:
            stop = (await position(self._connection, STREAM)).last
        except BrokerError as error:
            raise self._missing(error) from error
        batches = Reader(self._connection, STREAM, start, [subject], stop).batches()
        async with contextlib.aclosing(batches):
            async for batch in batches:
                for raw in batch:
                    yield raw

    # ---- deleting and listing

    async def delete(self, name: str) -> None:
        """See ``Objects.delete``."""
        try:
            for subject in (_about(name), f"$O.{BUCKET}.C.{_token(name)}.>"):
                await api.call(self._connection, f"STREAM.PURGE.{STREAM}", {"filter": subject})
            # What another tool put under this name has its chunks elsewhere, and none of them know the name.
        except BrokerError as error:
            raise self._missing(error) from error

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


def _token(name: str) -> str:
    """What an object's chunks stand under; an id that was erased must not be left anywhere, so it is a hash."""
    return sha256(name.encode()).hexdigest()[:22]


def _about(name: str) -> str:
    return f"$O.{BUCKET}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
