"""The event log on JetStream: writing is in ``append``, reading in ``reader``, and this puts events over both."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Final

from muster.broker import admission
from muster.broker.codec import decode_event
from muster.broker.interface import Fence, Outcome, Position
from muster.broker.nats import api, reader
from muster.broker.nats.append import Appender
from muster.broker.nats.connection import Connection
from muster.broker.nats.reader import Raw, Reader
from muster.broker.nats.streams import EVENTS
from muster.model.log import subjects as names
from muster.model.log.envelope import Event, Recorded

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)  # the broker's nanoseconds end in that year


class NatsLog:
    """An ``EventLog``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._appender = Appender(connection)

    async def append(self, events: Sequence[Event], fence: Fence | None = None) -> list[Outcome]:
        """See ``EventLog.append``."""
        return await self._appender.append(admission.messages(events, fence), fence)

    async def learn(self) -> None:
        """Ask now what the first append would have to ask."""
        await self._appender.learn()

    async def drain(self) -> None:
        """Wait until no append is under way."""
        await self._appender.drain()

    async def position(self) -> Position:
        """See ``EventLog.position``."""
        return await reader.position(self._connection, EVENTS)

    async def last(self, subject: str) -> Recorded | None:
        """See ``EventLog.last``."""
        found = await api.last(self._connection, EVENTS, subject)
        if found is None:
            return None
        event = decode_event(found.payload, sequence=found.sequence, subject=found.subject, time=found.time)
        return Recorded(found.sequence, event)

    async def sequence_at(self, time: datetime) -> int:
        """See ``EventLog.sequence_at``."""
        last = (await self.position()).last  # first: what comes while we ask is not of that time
        # The broker counts nanoseconds: what it stored within the microsecond that ``time`` names counts as by then.
        later = min(max(time, EARLIEST), LATEST) + datetime.resolution
        after = await api.since(self._connection, EVENTS, later)
        return last if after is None else after - 1

    async def read(
        self, start: int = 1, *, subjects: Sequence[str] = (), stop: int | None = None
    ) -> AsyncGenerator[list[Recorded], None]:
        """See ``EventLog.read``."""
        end = (await self.position()).last
        async for batch in self._events(start, subjects, end if stop is None else min(stop, end)):
            yield batch

    async def follow(
        self, start: int = 1, *, subjects: Sequence[str] = ()
    ) -> AsyncGenerator[list[Recorded], None]:
        """See ``EventLog.follow``."""
        async for batch in self._events(start, subjects, None):
            yield batch

    async def erase(self, execution: str, below: int) -> None:
        """See ``EventLog.erase``."""
        what = {"filter": names.events(execution=execution), "seq": below}
        await api.call(self._connection, f"STREAM.PURGE.{EVENTS}", what)

    async def _events(
        self, start: int, subjects: Sequence[str], stop: int | None
    ) -> AsyncGenerator[list[Recorded], None]:
        batches = Reader(self._connection, EVENTS, start, subjects, stop).batches()
        async with contextlib.aclosing(batches):
            async for batch in batches:
                yield [_recorded(raw) for raw in batch]


def _recorded(raw: Raw) -> Recorded:
    return Recorded(
        raw.sequence, decode_event(raw.payload, sequence=raw.sequence, subject=raw.subject, time=raw.time)
    )
