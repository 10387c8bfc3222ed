"""The service ``projections``: keeps the view a few milliseconds behind the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path

from muster.broker.interface import Broker, Position
from muster.model.errors import LogChangedError
from muster.settings import Settings
from muster_projections.claim import claimed
from muster_projections.desk import Desk, ahead
from muster_projections.failures import ViewOutdatedError
from muster_projections.projection import moment
from muster_projections.rebuild import refold
from muster_projections.registry import chosen
from muster_projections.store import Store


async def serve(
    broker: Broker,
    settings: Settings,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    view: Path | None = None,
) -> None:
    """Fold the log into the view until ``stop`` is set; what was read by then is written.

    Raises ViewBusyError where another process keeps the view, LogChangedError where the log is not the one the view
    was folded from. A view that another release made is rebuilt first; it can be read meanwhile.
    """
    path = view or settings.view_path
    async with Desk() as desk:
        await desk.enter(claimed(path))
        store = await _opened(desk, broker, path)
        await desk.enter(closing(store))
        position = await broker.history.position()
        await agree(broker, store, position)
        await desk.run(store.adopt, position.created)
        ready(f"the projections keep {path}, which is at sequence {store.sequence} of {position.last}")
        # The next batch is read while one is written, and written as soon as that is done: nothing waits for more.
        async with aclosing(ahead(broker.history.follow(store.sequence + 1), stop)) as batches:
            async for batch in batches:
                await desk.run(store.write, batch)


async def _opened(desk: Desk, broker: Broker, path: Path) -> Store:
    try:
        return await desk.run(Store.open, path, chosen())
    except ViewOutdatedError:
        await refold(desk, broker, path)
        return await desk.run(Store.open, path, chosen())


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
