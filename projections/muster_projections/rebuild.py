"""Rebuild: the log is folded again from its first event into a file beside the view, which then takes its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from muster.broker.interface import Broker, Position
from muster.model.errors import LogChangedError
from muster.settings import Settings
from muster_projections import canonical
from muster_projections.claim import claimed
from muster_projections.desk import Desk, ahead
from muster_projections.exchange import discard, exchange
from muster_projections.failures import (
    ViewBusyError,
    ViewMissingError,
    ViewOutdatedError,
    ViewUnreadableError,
)
from muster_projections.opening import read_only
from muster_projections.registry import chosen
from muster_projections.store import Store

ROUNDS_MAX: Final = 100  # a log that grows faster than it is folded must not keep a rebuild from ending


class Progress(msgspec.Struct, frozen=True):
    """How far a rebuild has come: the events folded, the last one's sequence, and where the log ends."""

    events: int
    sequence: int
    last: int


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did. ``digest`` is that of the view's canonical form at ``sequence``."""

    events: int
    seconds: float
    sequence: int
    digest: str


async def rebuild(
    broker: Broker,
    settings: Settings,
    *,
    view: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Rebuilt:
    """Fold the whole log anew and put the result in the place of the view.

    The old view stays until then, whatever happens. Raises ViewBusyError where a projector keeps the view: it would
    go on writing to the file that is put aside; and ViewUnreadableError where ``view`` names a file of another kind.
    """
    path = view or settings.view_path
    async with Desk() as desk:
        if path != settings.view_path:
            await desk.run(_not_another, path)
        try:
            await desk.enter(claimed(path))
        except ViewBusyError as error:
            remedy = "Stop it first (muster up, muster projections run), or rebuild into another file: --view FILE."
            raise ViewBusyError(remedy=remedy, **error.data) from None
        return await refold(desk, broker, path, progress)


def _not_another(path: Path) -> None:
    """The settings' own view may be replaced whatever became of it; a file that was named may be somebody's work."""
    try:
        read_only(path).close()
    except (ViewMissingError, ViewOutdatedError):
        return
    except ViewUnreadableError as error:
        raise ViewUnreadableError(remedy="Name a view, or a file that is not there yet.", **error.data) from None


async def refold(
    desk: Desk, broker: Broker, view: Path, progress: Callable[[Progress], None] | None = None
) -> Rebuilt:
    """As ``rebuild``, for one who keeps the view already."""
    shadow = view.with_name(f"{view.name}.rebuild")
    await desk.run(discard, shadow)  # of a rebuild that was killed
    began = time.perf_counter()
    store = await desk.run(Store.open, shadow, chosen(), durable=False)
    try:
        events = await _fold(desk, broker, store, progress or (lambda _: None))
        digest = await desk.run(partial(canonical.of, store.connection, chosen()))
        await desk.run(store.close)
        await desk.run(exchange, shadow, view)
    except BaseException:
        await desk.run(store.close)
        await desk.run(discard, shadow)
        raise
    return Rebuilt(events, time.perf_counter() - began, store.sequence, digest)


async def _fold(desk: Desk, broker: Broker, store: Store, progress: Callable[[Progress], None]) -> int:
    """Read to the log's end, and again what came meanwhile, until nothing did."""
    events = 0
    position = await broker.history.position()
    await desk.run(store.adopt, position.created)
    for _ in range(ROUNDS_MAX):
        if position.last > store.sequence:
            async with aclosing(ahead(broker.history.read(store.sequence + 1, stop=position.last))) as batches:
                async for batch in batches:
                    events += await desk.run(store.write, batch)
                    progress(Progress(events, store.sequence, position.last))
            # The last events of the log may be erased ones; the view reflects them all the same.
            await desk.run(store.move, position.last)
        now = await broker.history.position()
        _same(position, now)
        if now.last == store.sequence:
            break
        position = now
    return events


def _same(before: Position, now: Position) -> None:
    if now.created != before.created or now.last < before.last:
        raise LogChangedError("The log was replaced while it was read.")
