"""The service ``projections``: keeps the view a few milliseconds behind the log.

It may be started before everything else: where the broker has no log yet it waits for the scheduler that makes one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Final

from muster.broker import whereabouts
from muster.broker.interface import Broker, Position
from muster.model.errors import LogChangedError
from muster.model.log.envelope import Recorded
from muster.services import unless
from muster.settings import Settings
from muster_projections.claim import claimed, writing
from muster_projections.desk import Desk, ahead
from muster_projections.exchange import mend
from muster_projections.opening import outdated
from muster_projections.projection import Projection, moment
from muster_projections.rebuild import refold
from muster_projections.registry import chosen
from muster_projections.store import Store

RETRY_S: Final = 0.5
"""Between two looks at a broker that has no log yet, or does not answer: quick enough to be unseen."""

log = logging.getLogger(__name__)


async def serve(
    broker: Broker,
    settings: Settings,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    view: Path | None = None,
) -> None:
    """Fold the log into the view until ``stop`` is set; what was read by then is written.

    Waits for a scheduler to make the log where there is none, and says so once, in its own output.

    Raises ViewBusyError where another process keeps the view, LogChangedError where the log is not the one the view
    was folded from. A view that other projections made (another release, or one that was installed since) is rebuilt
    first. A rebuild may put another file in the place of the view at any time: this goes on with that one.
    """
    path = view or settings.view_path
    async with Desk() as desk:
        await desk.enter(claimed(path))
        if await unless(stop, whereabouts.awaited(broker.history, RETRY_S, log.warning)) is None:
            return
        projections = await desk.run(chosen)
        if await desk.run(outdated, path, projections):
            ready(
                f"the projections rebuild {path}, which others had folded; the log is read from its beginning"
            )
            if await unless(stop, refold(desk, broker, path, projections)) is None:
                return
        while not stop.is_set():
            async with desk.holding(_opened(path, projections)) as store:
                position = await broker.history.position()
                await agree(broker, store, position)
                await desk.run(store.adopt, position.created)
                ready(
                    f"the projections keep {path}, which is at sequence {store.sequence} of {position.last}"
                )
                await _follow(desk, broker, store, stop)


async def _follow(desk: Desk, broker: Broker, store: Store, stop: asyncio.Event) -> None:
    """Fold what comes, until ``stop`` is set or the file is not the view any more."""
    # The next batch is read while one is written, and written as soon as that is done: nothing waits for more.
    async with aclosing(ahead(broker.history.follow(store.sequence + 1), stop)) as batches:
        async for batch in batches:
            if not await desk.run(_write, store, batch):
                return


@contextmanager
def _opened(path: Path, projections: Sequence[Projection]) -> Iterator[Store]:
    with writing(path, alone=False):
        mend(path)
        store = Store.open(path, projections)
    try:
        yield store
    finally:
        with writing(path, alone=False):
            store.close()


def _write(store: Store, batch: Sequence[Recorded]) -> bool:
    """Write the batch, unless a rebuild has put another file in the place of this one; then nothing is written."""
    with writing(store.path, alone=False):
        if store.moved:
            return False
        store.write(batch)
        return True


async def agree(broker: Broker, store: Store, position: Position) -> None:
    """Raise LogChangedError unless the broker's log is the one the view was folded from, and no shorter."""
    if store.sequence == 0:
        return
    created = moment(position.created)
    if store.created != created:
        raise LogChangedError(
            f"The view was folded from a log created at {store.created}; this broker's was created at {created}."
        )
    if position.last < store.sequence:
        raise LogChangedError(
            f"The view has folded the log up to {store.sequence}; this broker's ends at {position.last}."
        )
    # A log that lost its end and grew again is long enough, but another event stands where the view ends.
    async for batch in broker.history.read(store.sequence, stop=store.sequence):
        found = batch[0].event.id
        if store.event_id not in {None, found}:
            raise LogChangedError(
                f"The view was folded up to the event {store.event_id} at {store.sequence}; now {found} stands there."
            )
