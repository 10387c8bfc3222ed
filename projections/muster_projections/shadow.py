"""A view that is folded from the log's beginning, beside another one or instead of it."""

from __future__ import annotations

import gc
import hashlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from muster.broker.interface import Broker, Position
from muster.model.errors import LogChangedError
from muster.model.log.envelope import Recorded
from muster_projections import canonical
from muster_projections.comparison import Comparison, Difference
from muster_projections.desk import Desk, ahead
from muster_projections.exchange import discard
from muster_projections.opening import read_only
from muster_projections.projection import Projection, moment
from muster_projections.store import Store

BATCH: Final = 5_000
"""Events of one transaction. In so many the changes of a row come together: measured, 5,000 take 20 % less CPU than
500, and 20,000 no less."""
BATCH_BYTES: Final = 16 << 20
"""A bound on memory where events are large."""


class Progress(msgspec.Struct, frozen=True):
    """How far it is: the events folded, the last one's sequence, and where the log ends.

    ``doing`` is ``fold``, or ``compare`` once both views are laid beside each other.
    """

    events: int
    sequence: int
    last: int
    doing: str = "fold"


Watch = Callable[[Progress], None]


class Compared(msgspec.Struct, frozen=True):
    """What the comparison of the live view with the one folded anew came to; ``obstacle`` says why there was none."""

    sequence: int = 0
    live: str | None = None
    rebuilt: str | None = None
    difference: Difference | None = None
    obstacle: str | None = None

    @property
    def equal(self) -> bool:
        """Whether both are the same, byte for byte in canonical form."""
        return self.live is not None and self.live == self.rebuilt


class Shadow:
    """The file while it is folded. Its store is worth nothing before it is finished."""

    def __init__(
        self, desk: Desk, broker: Broker, store: Store, position: Position, projections: Sequence[Projection]
    ) -> None:
        self.store: Final = store
        self.events = 0
        self.position: Final = position
        self.aim = position.last
        self._desk = desk
        self._broker = broker
        self._projections = projections

    @classmethod
    @asynccontextmanager
    async def open(
        cls, desk: Desk, broker: Broker, path: Path, projections: Sequence[Projection]
    ) -> AsyncIterator[Shadow]:
        """An empty one at ``path``; what is left of it when the block ends is removed."""
        opened: list[Store] = []  # also where this is cancelled while the thread opens it

        def fresh() -> Store:
            discard(path)  # of one that was killed
            opened.append(Store.open(path, projections, passing=True))
            return opened[0]

        def gone() -> None:
            for store in opened:
                store.close()
            discard(path)

        try:
            position = await broker.history.position()
            store = await desk.run(fresh)
            await desk.run(store.adopt, position.created)
            yield cls(desk, broker, store, position, projections)
        finally:
            await desk.run(gone)

    async def advance(self, goal: int, watch: Watch) -> None:
        """Fold what the log holds up to ``goal``."""
        if goal > self.store.sequence:
            reading = self._broker.history.read(self.store.sequence + 1, stop=goal)
            with _unlittered():
                async with aclosing(ahead(gathered(reading))) as batches:
                    async for batch in batches:
                        self.events += await self._desk.run(self.store.write, batch)
                        watch(Progress(self.events, self.store.sequence, max(goal, self.aim)))
                        gc.collect(0)
            # The last events of the log may be erased ones; the view reflects them all the same.
            await self._desk.run(self.store.move, goal)

    async def last(self) -> int:
        """Where the log ends now. Raises LogChangedError where it is not the log it was."""
        now = await self._broker.history.position()
        if now.created != self.position.created or now.last < self.store.sequence:
            raise LogChangedError("The log was replaced while it was read.")
        return now.last

    async def against(self, view: Path, watch: Watch) -> Compared:
        """Fold on to where the view at ``view`` is, and compare; the view may be written to meanwhile.

        Raises ViewError where there is no view to read.
        """
        try:
            async with self._desk.holding(_reading(view, self._projections)) as live:
                sequence, created = await self._desk.run(_position, live)
                if obstacle := await self._other(sequence, created):
                    return Compared(obstacle=obstacle)
            # A read transaction as long as all of this would keep the view's log from being folded in.
            await self.advance(sequence, watch)
            async with self._desk.holding(_reading(view, self._projections)) as live:
                # From here on the view stays for us as it is, whatever is written to it.
                await self._desk.run(live.execute, "BEGIN")
                sequence, created = await self._desk.run(_position, live)
                if obstacle := await self._other(sequence, created):
                    return Compared(obstacle=obstacle)
                await self.advance(sequence, watch)
                return await self._compare(Comparison(live, self.store.connection, self._projections), watch)
        except sqlite3.DatabaseError as error:
            return Compared(obstacle=f"the live view cannot be read: {error}")

    async def alone(self, goal: int, watch: Watch) -> Compared:
        """Fold up to ``goal`` and give the digest of that."""
        await self.advance(goal, watch)
        found = hashlib.sha256()
        pieces = canonical.pieces(self.store.connection, self._projections)
        while (piece := await self._desk.run(next, pieces, None)) is not None:
            found.update(piece)
        return Compared(goal, rebuilt=found.hexdigest())

    async def _other(self, sequence: int, created: str | None) -> str | None:
        """Why the live view cannot be at a sequence of this log."""
        if created != moment(self.position.created):
            return f"the live view was folded from another log, one created at {created}"
        last = await self.last()
        if sequence > last:
            return f"the live view has folded the log up to {sequence}, and the log ends at {last}"
        if sequence < self.store.sequence:
            return f"the live view is at {sequence} only"
        return None

    async def _compare(self, comparison: Comparison, watch: Watch) -> Compared:
        steps, sequence = comparison.steps(), self.store.sequence
        # Step by step, so that Ctrl-C need not wait for the end of a large view.
        while await self._desk.run(next, steps, None) is not None:
            watch(Progress(self.events, sequence, sequence, "compare"))
        live, rebuilt = comparison.digests
        return Compared(sequence, live, rebuilt, comparison.difference)


@contextmanager
def _reading(view: Path, projections: Sequence[Projection]) -> Iterator[sqlite3.Connection]:
    with closing(read_only(view, projections)) as connection:
        yield connection


def _position(connection: Any) -> tuple[int, str | None]:
    sequence, created = connection.execute("SELECT sequence, created FROM position").fetchone()
    return sequence, created


@contextmanager
def _unlittered() -> Iterator[None]:
    """Garbage is looked for between batches only, and not while thousands of events are alive that are none.

    Measured: a fifth of the CPU of a rebuild.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


async def gathered(batches: AsyncGenerator[list[Recorded], None]) -> AsyncGenerator[list[Recorded], None]:
    """The same events in batches of the size a rebuild likes."""
    kept: list[Recorded] = []
    weight = 0
    async with aclosing(batches):
        async for batch in batches:
            kept += batch
            weight += sum(len(recorded.event.line or b"") for recorded in batch)
            if len(kept) >= BATCH or weight >= BATCH_BYTES:
                yield kept
                kept, weight = [], 0
    if kept:
        yield kept
