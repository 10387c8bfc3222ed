"""Which events count: repetitions, unknown kinds, forgeries and erased executions are passed over.

The ledger's answers depend on the log alone. What it remembers is written with the rows, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlite_utils import Database

from muster.model.log.catalogue import Body, Unknown
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster_projections.bookkeeping import CLEARED, POISON, UNKNOWN, WRITERS
from muster_projections.changes import Changes
from muster_projections.projection import Delete, Insert, Upsert, text

CONNECTED: Final = "machine.connected"
EVERY: Final = "*"
ERROR_LENGTH_MAX: Final = 500  # characters; enough to find the place, and no copy of somebody's data


class Ledger:
    """The bookkeeping of one view, in memory as long as its store is open."""

    def __init__(self, db: Database, changes: Changes) -> None:
        self._db: Final = db
        self._changes: Final = changes
        self._writers: dict[str, int] = {}
        self._heard: set[str] = set()
        self._unknown: dict[tuple[str, int], int] = {}
        self._erased = 0
        self._cleared: set[str] = set()

    def load(self) -> None:
        """Take what the file says; also after a transaction that did not happen."""
        execute = self._db.execute
        self._writers = dict(execute("SELECT writer, n FROM writers"))
        self._heard = set()
        self._unknown = {
            (kind, version): count
            for kind, version, count in execute("SELECT kind, version, count FROM unknown")
        }
        self._erased = execute("SELECT count(*) FROM cleared").fetchone()[0]
        self._cleared = set()

    def begin(self, events: Sequence[Recorded]) -> None:
        """Look up which executions of this batch are erased: the whole list would grow without a bound."""
        self._cleared = set()
        if self._erased:
            names = text(sorted({recorded.event.execution for recorded in events}))
            rows = self._db.execute(
                "SELECT execution FROM cleared WHERE execution IN (SELECT value FROM json_each(?))", (names,)
            )
            self._cleared = {execution for (execution,) in rows}

    def counts(self, recorded: Recorded) -> bool:
        """Whether the event changes anything; what must be remembered of it is remembered."""
        event = recorded.event
        data = event.data
        if (n := event.n) is not None and (writer := event.writer) != SCHEDULER:
            if n > self._writers.get(writer, 0):
                self._writers[writer] = n
                self._heard.add(writer)
            elif (
                data.kind != CONNECTED
            ):  # whose number is the last one used before it, so it repeats by design
                return False
        if isinstance(data, Unknown):
            self._count(data, recorded.sequence)
            return False
        if (wrong := _wrong(event, data)) is not None:
            self.poison(recorded, EVERY, wrong)
            return False
        return event.execution == NO_EXECUTION or self._kept(recorded)

    def settle(self) -> None:
        """Add what is to be written of the machines' numbers: once a batch, not once an event."""
        for writer in self._heard:
            self._changes.add(Upsert(WRITERS.name, (writer,), {"n": self._writers[writer]}))
        self._heard.clear()

    def _count(self, data: Unknown, sequence: int) -> None:
        key = (data.kind, data.version)
        count = self._unknown[key] = self._unknown.get(key, 0) + 1
        columns = {"count": count, "first_sequence": sequence, "last_sequence": sequence}
        self._changes.add(Upsert(UNKNOWN.name, key, dict(columns)))

    def _kept(self, recorded: Recorded) -> bool:
        execution, kind = recorded.event.execution, recorded.event.data.kind
        if kind == "execution.cleared":
            self._cleared.add(execution)
            self._erased += 1
            self._changes.add(Delete(POISON.name, "execution", execution))
            self._changes.add(Upsert(CLEARED.name, (execution,), {"sequence": recorded.sequence}))
        elif execution in self._cleared:
            if kind != "execution.queued":
                return False
            # The same id was submitted anew: from here on it is another execution.
            self._cleared.discard(execution)
            self._changes.add(Delete(CLEARED.name, "execution", execution))
        return True

    def poison(self, recorded: Recorded, projection: str, error: str) -> None:
        """Record that a projection could not fold the event."""
        event = recorded.event
        words = (projection, event.execution, event.data.kind, error[:ERROR_LENGTH_MAX])
        clean = (word.encode(errors="replace").decode() for word in words)
        self._changes.add(Insert(POISON.name, (recorded.sequence, *clean)))


def _wrong(event: Event, data: Body) -> str | None:
    """Why the event cannot be what it says it is."""
    scheduler = event.writer == SCHEDULER
    if (data.writer == SCHEDULER) is not scheduler:
        return f"{event.writer} may not write {data.kind}"
    if not scheduler and event.n is None and data.kind != CONNECTED:
        return f"{data.kind} of {event.writer} has no outbox number"
    return None
