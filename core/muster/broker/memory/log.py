"""The event log in memory, as one connection sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from itertools import islice

from muster.broker.admission import Message, messages, too_large
from muster.broker.filters import matcher
from muster.broker.interface import Fence, Outcome, Position, Unknown
from muster.broker.memory.link import Link
from muster.model.errors import LogChangedError
from muster.model.log import subjects as names
from muster.model.log.envelope import Event, Recorded


class MemoryLog:
    """An ``EventLog`` over a ``MemoryStore``."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._store = link.store
        self._turn = asyncio.Lock()

    async def append(self, events: Sequence[Event], fence: Fence | None = None) -> list[Outcome]:
        """See ``EventLog.append``."""
        found = messages(events, fence)
        if (refused := too_large(found, self._store.max_payload)) is not None:
            return refused
        async with self._turn:
            await self._link.gate.wait()
            await asyncio.sleep(0)
            outcomes = self._write(found, fence)
        if self._link.unknown_after_s and any(isinstance(outcome, Unknown) for outcome in outcomes):
            await asyncio.sleep(self._link.unknown_after_s)
        return outcomes

    def _write(self, found: Sequence[Message], fence: Fence | None) -> list[Outcome]:
        link = self._link
        unknown: list[Outcome] = [Unknown("the connection to the broker broke before it answered")] * len(
            found
        )
        if not link.connected:
            return unknown
        if link.refusals:
            return [link.refusals.popleft()] * len(found)
        if link.lost_writes:
            link.lost_writes -= 1
            return unknown
        if link.cut is not None:
            kept, link.cut = link.cut, None
            whole_batches = kept - kept % 1000 if self._store.replicated and kept < len(found) else kept
            self._store.write(found[:whole_batches], fence)
            return unknown
        outcomes = self._store.write(found, fence)
        if link.lost_acks:
            link.lost_acks -= 1
            return unknown
        return outcomes

    async def position(self) -> Position:
        """See ``EventLog.position``."""
        await asyncio.sleep(0)
        self._link.require()
        return self._store.position()

    async def last(self, subject: str) -> Recorded | None:
        """See ``EventLog.last``."""
        await asyncio.sleep(0)
        self._link.require()
        return self._store.last(subject)

    async def sequence_at(self, time: datetime) -> int:
        """See ``EventLog.sequence_at``."""
        await asyncio.sleep(0)
        self._link.require()
        return self._store.sequence_at(time)

    async def read(
        self, start: int = 1, *, subjects: Sequence[str] = (), stop: int | None = None
    ) -> AsyncGenerator[list[Recorded], None]:
        """See ``EventLog.read``."""
        position = await self.position()
        end = position.last if stop is None else min(stop, position.last)
        async for batch in self._batches(start, subjects, position.created, end):
            yield batch

    async def follow(
        self, start: int = 1, *, subjects: Sequence[str] = ()
    ) -> AsyncGenerator[list[Recorded], None]:
        """See ``EventLog.follow``."""
        if not await self._link.ready():
            return
        async for batch in self._batches(start, subjects, self._store.created, None):
            yield batch

    async def erase(self, execution: str, below: int) -> None:
        """See ``EventLog.erase``."""
        await asyncio.sleep(0)
        self._link.require()
        self._store.purge(names.events(execution=execution), below)

    async def _batches(
        self, start: int, subjects: Sequence[str], created: datetime, stop: int | None
    ) -> AsyncGenerator[list[Recorded], None]:
        matches = matcher(subjects)
        read: Recorded | None = None
        while await self._link.ready():
            self._check(start, read, created)
            end = self._store.position().last if stop is None else stop
            found = self._store.scan(start, end, matches)
            batch = list(islice(found, self._link.settings.read_batch))
            if batch:
                read = batch[-1]
                start = read.sequence + 1
                yield batch
                await asyncio.sleep(0)
                continue
            start = max(start, end + 1)
            if stop is not None:
                return
            await self._store.changed.wait()

    def _check(self, start: int, read: Recorded | None, created: datetime) -> None:
        position = self._store.position()
        if position.created != created:
            raise LogChangedError(
                "The event log was made anew since it was read.", last=position.last, read=start - 1
            )
        if position.last < start - 1:
            raise LogChangedError(
                f"The event log ends at {position.last}, but {start - 1} was read from it.",
                last=position.last,
                read=start - 1,
            )
        if read is not None:
            again = next(self._store.scan(read.sequence, read.sequence, lambda _: True), None)
            if again is not None and again is not read:
                raise LogChangedError(
                    f"The event {read.sequence} is not the one that was read before.",
                    last=position.last,
                    read=read.sequence,
                )
