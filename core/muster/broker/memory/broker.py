"""One connection to the in-memory broker, with switches for what can go wrong."""

from __future__ import annotations

import asyncio

from muster.archive.archive import Archive
from muster.archive.history import History
from muster.broker.interface import LogReader, Refused
from muster.broker.memory.artifacts import MemoryArtifacts
from muster.broker.memory.commands import MemoryCommands
from muster.broker.memory.heartbeats import MemoryHeartbeats
from muster.broker.memory.lines import MemoryLogLines
from muster.broker.memory.link import Link
from muster.broker.memory.log import MemoryLog
from muster.broker.memory.objects import MemoryObjects
from muster.broker.memory.store import MemoryStore
from muster.settings import Settings


class MemoryBroker:
    """A ``Broker``. Connections with the same ``store`` see each other.

    Faults are per connection and take effect on the next calls; what the broker as a whole suffers (full, wiped,
    a lost suffix, a passed de-duplication window) is on ``store``.
    """

    def __init__(
        self, store: MemoryStore | None = None, *, settings: Settings | None = None, name: str = ""
    ) -> None:
        self.name = name
        self.store = MemoryStore() if store is None else store
        settings = Settings() if settings is None else settings
        self._link = Link(self.store, settings)
        self.log = MemoryLog(self._link)
        self.archive = Archive(self.log, MemoryObjects(self._link), settings.archive)
        self._history = History(self.log, self.archive, settings.read_batch, self._link.ready)
        self.commands = MemoryCommands(self._link, self.store.queues)
        self.heartbeats = MemoryHeartbeats(self._link, self.store.beats)
        self.lines = MemoryLogLines(self._link, self.store.written)
        self.artifacts = MemoryArtifacts(self._link)

    @property
    def history(self) -> LogReader:
        """The log and the archive, read as one."""
        return self._history

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._link.connected

    @property
    def reconnects(self) -> int:
        """How often it was lost and came back."""
        return self._link.reconnects

    async def prepare(self) -> None:
        """Nothing is missing in memory."""
        await asyncio.sleep(0)
        self._link.require()

    async def close(self) -> None:
        """Wait for appends under way, then disconnect; iterators end."""
        self._link.gate.set()
        async with self.log._turn:
            self._link.closed, self._link.connected = True, False
        self.store.changed.notify()

    # ---- faults

    def disconnect(self) -> None:
        """The connection is gone: appends are Unknown, questions raise BrokerError, readers wait, beats are lost."""
        self._link.connected = False
        self.release_appends()
        self.store.changed.notify()

    def reconnect(self) -> None:
        """It is back; readers go on where they were."""
        if not self._link.closed and not self._link.connected:
            self._link.connected = True
            self._link.reconnects += 1
            self.store.changed.notify()

    def lose_acks(self, calls: int = 1) -> None:
        """The next appends are stored and end Unknown."""
        self._link.lost_acks += calls

    def lose_writes(self, calls: int = 1) -> None:
        """The next appends are not stored and end Unknown."""
        self._link.lost_writes += calls

    def cut_next(self, stored: int) -> None:
        """Of the next append only the first ``stored`` events are stored (replicated: whole batches); all Unknown."""
        self._link.cut = stored

    def refuse_next(self, refused: Refused) -> None:
        """The next append is refused with this."""
        self._link.refusals.append(refused)

    def delay_unknown(self, seconds: float) -> None:
        """Unknown outcomes take as long as the deadline would."""
        self._link.unknown_after_s = seconds

    def hold_appends(self) -> None:
        """Appends stay under way until they are let go."""
        self._link.gate.clear()

    def release_appends(self) -> None:
        """Let held appends go on."""
        self._link.gate.set()
