"""A bucket of the broker's object store (NATS ADR-20): any NATS tool lists and reads what is in it.

    nats object get muster_archive <execution> --output - | zcat

nats-py's ``ObjectStore`` reads what is written here (a test holds us to it), but is not what writes it. Its ``put``
replaces what is there, its ``delete`` leaves the object's name behind for ever, and neither would survive being killed
in the middle. Here

- the information about an object, which is what makes it exist, is written last and only where the broker has none
  under that name: it decides, not we;
- each chunk expects to follow the one before it. A put that was killed is gone on with, and one of a process that was
  replaced meanwhile can write nothing but the same chunks once more, which the broker refuses.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from muster.broker.nats import api
from muster.broker.nats.connection import Connection
from muster.broker.nats.replies import Answer
from muster.model.errors import BrokerError

CHUNK_BYTES: Final = 1 << 20
"""Most objects are one chunk, which one question brings; the broker takes messages of 8 MB."""
WRONG_LAST: Final = 10071
IN_FLIGHT: Final = 10164
"""On a replicated stream: another message on the subject is on its way, and what becomes of it is not known yet."""
TRIES: Final = 20
PAUSE_S: Final = 0.1
"""It is asked so often, with this pause: until a bucket that was just made answers, or what is in flight has landed."""
INFO_TIMEOUT_S: Final = 1.0


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


class Found(msgspec.Struct, frozen=True):
    """A message of the bucket. ``sequence`` is 0 where the broker did not say it."""

    sequence: int
    payload: bytes


def config(bucket: str, description: str, replicas: int) -> dict[str, Any]:
    """What the stream of a bucket is made of."""
    return {
        "name": f"OBJ_{bucket}",
        "description": description,
        "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }


class Bucket:
    """One bucket over one connection. ``absent`` makes what is raised where it is not there."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        description: str,
        absent: Callable[[], BrokerError],
        full: tuple[str, str],
    ) -> None:
        self._connection = connection
        self._description = description
        self._absent = absent
        self._full = full
        self._made = False
        self.name = name
        self.stream = f"OBJ_{name}"

    async def make(self) -> None:
        """Make it, if it is not there."""
        replicas = self._connection.settings.replicas
        made = config(self.name, self._description, replicas)
        await api.call(self._connection, f"STREAM.CREATE.{self.stream}", made)
        self._made = True

    def chunks(self, nuid: str) -> str:
        """The subject of an object's chunks."""
        return f"$O.{self.name}.C.{nuid}"

    def about(self, name: str) -> str:
        """The subject of what is known about an object."""
        return f"$O.{self.name}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    # ---- writing

    async def publish(self, subject: str, payload: bytes, after: int, *, rollup: bool = False) -> int | None:
        """Store where ``after`` is still the last of the subject; None where it is not."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(after)}
        if rollup:
            headers["Nats-Rollup"] = "sub"
        error: dict[str, Any] = {}
        for _ in range(TRIES):
            got = await self.ask(subject, payload, headers)
            answer: dict[str, Any] = msgspec.json.decode(got.payload)
            if "error" not in answer:
                return int(answer["seq"])
            error = answer["error"]
            if error.get("err_code") == WRONG_LAST:
                return None
            if error.get("err_code") != IN_FLIGHT:
                break
            await asyncio.sleep(PAUSE_S)
        what, remedy = self._full
        raise BrokerError(
            f"The broker refused to store {what}: {error.get('description', error)}.",
            remedy=remedy,
            api_code=error.get("err_code", 0),
        )

    async def name_it(
        self, name: str, nuid: str, *, size: int, chunks: int, digest: bytes, metadata: dict[str, str]
    ) -> bool:
        """Make the object exist; False where one of that name does."""
        info = Info(
            name=name,
            bucket=self.name,
            nuid=nuid,
            size=size,
            chunks=chunks,
            digest=f"SHA-256={base64.urlsafe_b64encode(digest).decode()}",
            mtime=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            metadata=metadata,
            options={"max_chunk_size": CHUNK_BYTES},
        )
        stored = await self.publish(self.about(name), msgspec.json.encode(info), 0, rollup=True)
        return stored is not None

    async def purge(self, subject: str) -> None:
        """Leave nothing on the subject."""
        try:
            await api.call(self._connection, f"STREAM.PURGE.{self.stream}", {"filter": subject})
        except BrokerError as error:
            raise self.missing(error) from error

    # ---- reading

    async def info(self, name: str) -> Info | None:
        """What is known about an object; None where there is none."""
        found = await self.last(self.about(name))
        info = None if found is None else msgspec.json.decode(found.payload, type=Info)
        return None if info is None or info.deleted else info

    async def last(self, subject: str) -> Found | None:
        """The newest message of the subject: of any replica, or where that one has none, of the leader."""
        return await self._direct(f".{subject}", b"", {"last_by_subj": subject})

    async def following(self, subject: str, sequence: int) -> Found | None:
        """The first message of the subject from ``sequence`` on."""
        wanted = {"seq": sequence, "next_by_subj": subject}
        return await self._direct("", msgspec.json.encode(wanted), wanted)

    async def _direct(self, where: str, payload: bytes, wanted: dict[str, Any]) -> Found | None:
        got = await self.ask(f"$JS.API.DIRECT.GET.{self.stream}{where}", payload)
        if not got.status:
            return Found(got.sequence, got.payload)
        if not self._connection.nc._server_info.get("cluster"):
            return None
        try:
            found = await api.stored(self._connection, self.stream, wanted)
        except BrokerError as error:
            raise self.missing(error) from error
        return None if found is None else Found(found.sequence, found.payload)

    async def counted(self, subject: str, offset: int = 0) -> dict[str, int]:
        """How many messages each subject of a pattern has, in pages of the broker's own size."""
        asked = {"subjects_filter": subject, "offset": offset}
        try:
            info = await api.call(self._connection, f"STREAM.INFO.{self.stream}", asked)
        except BrokerError as error:
            raise self.missing(error) from error
        counts: dict[str, int] = info["state"].get("subjects") or {}
        return counts

    async def ask(self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Ask the bucket. Nobody answers for a bucket that is not there, nor for one that was made this moment."""
        for last_time in (*(False for _ in range(TRIES)), True):
            try:
                return await self._connection.request(subject, payload, headers=headers)
            except BrokerError as error:
                if last_time or not error.data.get("no_responders"):
                    raise
            try:
                await api.call(self._connection, f"STREAM.INFO.{self.stream}", timeout=INFO_TIMEOUT_S)
            except BrokerError as told:
                # In a cluster not every server knows at once of a stream that was made, and one whose servers are
                # electing says nothing.
                electing = self._connection.connected and "api_code" not in told.data
                if not self._made and not electing:
                    raise self.missing(told) from told
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def missing(self, error: BrokerError) -> BrokerError:
        """What to raise for an error of the broker: another one where it says that the bucket is not there."""
        return self._absent() if api.refused_with(error, api.STREAM_NOT_FOUND) else error


def token(name: str) -> str:
    """What an object's chunks stand under; an id that was erased must not be left anywhere, so it is a hash."""
    return sha256(name.encode()).hexdigest()[:22]
