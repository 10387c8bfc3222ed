"""One connection to NATS as the engine sees it."""

from __future__ import annotations

import asyncio
import logging
from typing import Self

from muster.archive.archive import Archive
from muster.archive.history import History
from muster.broker.interface import LogReader
from muster.broker.nats import streams
from muster.broker.nats.artifacts import NatsArtifacts
from muster.broker.nats.commands import NatsCommands
from muster.broker.nats.connection import Connection
from muster.broker.nats.heartbeats import NatsHeartbeats
from muster.broker.nats.lines import NatsLogLines
from muster.broker.nats.log import NatsLog
from muster.broker.nats.objects import NatsObjects
from muster.model.errors import BrokerError
from muster.settings import Settings

_log = logging.getLogger(__name__)


class NatsBroker:
    """A ``Broker``. Made by ``NatsBroker.connect``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keeper: asyncio.Task[None] | None = None
        settings = connection.settings
        self.log = NatsLog(connection)
        self.archive = Archive(self.log, NatsObjects(connection), settings.archive)
        self._history = History(self.log, self.archive, settings.read_batch, connection.ready)
        self.commands = NatsCommands(connection)
        self.heartbeats = NatsHeartbeats(connection)
        self.lines = NatsLogLines(connection)
        self.artifacts = NatsArtifacts(connection)

    @classmethod
    async def connect(cls, settings: Settings, *, name: str) -> Self:
        """Connect to the broker the settings name; ``name`` is shown in its monitoring. Raises BrokerError."""
        return cls(await Connection.connect(settings, name=name))

    @property
    def history(self) -> LogReader:
        """The log and the archive, read as one."""
        return self._history

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment."""
        return self._connection.connected

    @property
    def reconnects(self) -> int:
        """How often it was lost and came back."""
        return self._connection.reconnects

    async def prepare(self) -> None:
        """Create the streams that are missing and check those that are there. Raises BrokerUnsuitableError."""
        await streams.prepare(self._connection)
        await self.log.learn()
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_heartbeats(), name="muster-heartbeat-stream")

    async def close(self) -> None:
        """Wait for appends under way, then disconnect for good."""
        keeper, self._keeper = self._keeper, None
        try:
            if keeper is not None:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)
            await self.log.drain()
        finally:
            await self._connection.close()

    async def _keep_heartbeats(self) -> None:
        """A restart of the broker takes a stream that is kept in memory with it: make it again."""
        config = next(
            c for c in streams.configs(self._connection.settings) if c["name"] == streams.HEARTBEATS
        )
        lost = asyncio.Event()
        quiet = self._connection.on_loss(lost.set)
        try:
            while not self._connection.closed:
                await lost.wait()
                lost.clear()
                while await self._connection.ready() and not lost.is_set():
                    try:
                        await streams.ensure(self._connection, config)
                        break
                    except BrokerError as error:
                        _log.warning(f"the heartbeat stream is not back yet: {error}")
                        await asyncio.sleep(1)
        finally:
            quiet()
