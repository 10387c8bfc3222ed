"""The manifest: what ``log.archived`` events say, read once and then kept up.

It is in the log itself, so it has one writer, an order and a fence, and it cannot be lost without the log. Each object
is known by the sequence of its first event, which no other has. In memory an object costs some 200 bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from hashlib import sha256

import msgspec

from muster.broker.interface import EventLog
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.envelope import Recorded, encode


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An object as the manifest has it; ``sha256`` in raw bytes, ``told`` is the sequence of its ``log.archived``."""

    first: int
    last: int
    events: int
    size: int
    sha256: bytes
    place: str
    told: int


class Manifest:
    """Everything archived up to ``sequence``, by the sequence of its first event."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._turn = asyncio.Lock()
        self.sequence = 0
        self.entries: dict[int, Entry] = {}
        self.erased: set[bytes] = set()
        self.chain = ""
        self.chained = 0
        self.breaks: list[str] = []

    async def newest(self) -> Recorded | None:
        """The last ``log.archived``."""
        return await self._log.last(subjects.ARCHIVED)

    async def refresh(self, *, also_erased: bool = False) -> bool:
        """Read on if something was archived since (or, with ``also_erased``, in any case); whether there is anything.

        Several readers share this: each compares ``Entry.told`` with what it has taken.
        """
        newest = await self.newest()
        if newest is None:
            self._forget()
            return False
        async with self._turn:
            if newest.sequence <= self.sequence and digest(newest) != self.chain:
                self._forget()
            if newest.sequence > self.sequence or also_erased:
                await self._read_on()
        return True

    def _forget(self) -> None:
        """There is another log than the one that was read."""
        self.sequence, self.chain, self.chained = 0, "", 0
        self.entries, self.erased, self.breaks = {}, set(), []

    async def _read_on(self) -> None:
        wanted = [subjects.ARCHIVED, subjects.CLEARED]
        async with aclosing(self._log.read(self.sequence + 1, subjects=wanted)) as batches:
            async for batch in batches:
                self.add(batch)

    def add(self, batch: Sequence[Recorded]) -> None:
        """Take in what these events say; those that say nothing of the archive are passed over."""
        for recorded in batch:
            data = recorded.event.data
            if isinstance(data, c.LogArchived):
                self._archived(recorded, data)
            elif isinstance(data, c.ExecutionCleared) and data.archived:
                self.erased.add(bytes.fromhex(data.archived))
            self.sequence = recorded.sequence

    def _archived(self, recorded: Recorded, data: c.LogArchived) -> None:
        if data.previous != self.chain:
            self.breaks.append(
                f"the log.archived at {recorded.sequence} does not follow the one before it: "
                "one is missing, or was changed"
            )
        self.chain = digest(recorded)
        self.chained += 1
        for moved in data.objects:
            self.entries[moved.first] = Entry(
                moved.first,
                moved.last,
                moved.events,
                moved.bytes,
                bytes.fromhex(moved.sha256),
                data.place,
                recorded.sequence,
            )

    def after(self, told: int) -> list[Entry]:
        """What was archived since, without what was erased."""
        return [
            entry for entry in self.entries.values() if entry.told > told and entry.sha256 not in self.erased
        ]


def digest(recorded: Recorded) -> str:
    """The hash of an event's line: what the next ``log.archived`` names as ``previous``."""
    return sha256(encode(recorded.event)).hexdigest()
