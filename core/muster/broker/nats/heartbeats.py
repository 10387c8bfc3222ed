"""Beats over plain NATS; a stream in memory keeps the newest few."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from muster.broker import codec
from muster.broker.nats import api
from muster.broker.nats.connection import Connection
from muster.broker.nats.reader import Reader, position
from muster.broker.nats.streams import HEARTBEATS
from muster.model.errors import BrokerError
from muster.model.log import subjects
from muster.model.log.commands import Heartbeat

WAITING_MAX: Final = 4096
"""Beats that wait for a slow listener; the oldest go, since only the newest of a name tells anything."""


class NatsHeartbeats:
    """A ``Heartbeats``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def beat(self, beat: Heartbeat) -> None:
        """See ``Heartbeats.beat``. Whether a stream keeps it, or there is none, makes no difference."""
        await self._connection.publish(subjects.heartbeat(beat.name), codec.encode(beat))

    async def last(self, name: str) -> Heartbeat | None:
        """See ``Heartbeats.last``. A broker that was started anew has kept nothing."""
        try:
            found = await api.last(self._connection, HEARTBEATS, subjects.heartbeat(name))
        except BrokerError as error:
            if api.refused_with(error, api.STREAM_NOT_FOUND):
                return None
            raise
        return None if found is None else _decode(found.payload)

    async def forget(self, execution: str) -> None:
        """See ``Heartbeats.forget``."""
        named = f'"{execution}"'.encode()
        try:
            stop = (await position(self._connection, HEARTBEATS)).last
        except BrokerError as error:
            if api.refused_with(error, api.STREAM_NOT_FOUND):
                return
            raise
        batches = Reader(self._connection, HEARTBEATS, 1, [], stop).batches()
        async with contextlib.aclosing(batches):
            async for batch in batches:
                for raw in batch:
                    if named in raw.payload:
                        await api.delete(self._connection, HEARTBEATS, raw.sequence)

    async def listen(self) -> AsyncGenerator[Heartbeat, None]:
        """See ``Heartbeats.listen``."""
        waiting: deque[tuple[str, bytes]] = deque(maxlen=WAITING_MAX)
        wake = asyncio.Event()

        async def received(msg: Msg) -> None:
            waiting.append((msg.subject, msg.data))
            wake.set()

        if not await self._connection.ready():
            return
        quiet = self._connection.on_loss(wake.set)
        subscription = await self._connection.nc.subscribe(subjects.HEARTBEATS, cb=received)
        try:
            while not self._connection.closed:
                while waiting:
                    subject, payload = waiting.popleft()
                    beat = _decode(payload)
                    # The subject is what the broker lets a machine publish on; what a beat says of itself is not.
                    if beat is not None and subject == subjects.heartbeat(beat.name):
                        yield beat
                wake.clear()
                await wake.wait()
        finally:
            quiet()
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


def _decode(payload: bytes) -> Heartbeat | None:
    """A beat that cannot be read is none."""
    try:
        return codec.decode_heartbeat(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
