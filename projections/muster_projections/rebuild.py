"""Rebuild: the log is folded again from its first event into a file beside the view, which then takes its place.

A projector may go on keeping the view meanwhile. The shadow is folded to where the view is, and both are compared;
then to the end of the log; then the projector is held up while the last events are folded and the files exchanged, so
that the new view is never behind the old one. The projector finds that its file is not the view any more, opens the new
one and goes on. Whatever ends a rebuild before the exchange leaves the old view as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from muster.broker.interface import Broker
from muster.disk import sync
from muster.model.errors import BrokerError
from muster.settings import Settings
from muster_projections.claim import claimed, writing
from muster_projections.desk import Desk
from muster_projections.exchange import exchange, mend
from muster_projections.failures import (
    ViewBusyError,
    ViewError,
    ViewMissingError,
    ViewOutdatedError,
    ViewUnreadableError,
)
from muster_projections.opening import outdated, read_only
from muster_projections.projection import Projection
from muster_projections.registry import chosen
from muster_projections.shadow import Compared, Shadow, Watch

ROUNDS_MAX: Final = 100  # a log that grows faster than it is folded must not keep a rebuild from ending
NEAR: Final = 1_000  # events that are folded in some 30 ms, while a projector waits
LAST_S: Final = 10.0  # a broker that stops answering must not keep the projector waiting


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did: the new view is at ``sequence``, and ``compared`` with the old one before."""

    events: int
    seconds: float
    sequence: int
    compared: Compared


async def rebuild(
    broker: Broker, settings: Settings, *, view: Path | None = None, progress: Watch | None = None
) -> Rebuilt:
    """Fold the whole log anew and put the result in the place of the view.

    The old view stays until then, whatever happens. Raises ViewBusyError where another rebuild is under way, or where
    a projector keeps the view with other projections than these, and ViewUnreadableError where ``view`` names a file of
    another kind.
    """
    path = view or settings.view_path
    async with Desk() as desk:
        projections = await desk.run(chosen)
        if path != settings.view_path:
            await desk.run(_not_another, path)
        if await desk.run(outdated, path, projections):
            await desk.enter(_unkept(path))
        return await refold(desk, broker, path, projections, progress)


@contextmanager
def _unkept(view: Path) -> Iterator[None]:
    """A projector could not go on with a view of other projections than its own."""
    with ExitStack() as stack:
        try:
            stack.enter_context(claimed(view))
        except ViewBusyError as error:
            raise ViewBusyError(
                f"{error.message.rstrip('.')} with other projections than are installed here.",
                remedy="Start that process anew: it rebuilds the view by itself.",
                **error.data,
            ) from None
        yield


def _not_another(path: Path) -> None:
    """The settings' own view may be replaced whatever became of it; a file that was named may be somebody's work."""
    try:
        read_only(path).close()
    except (ViewMissingError, ViewOutdatedError):
        return
    except ViewUnreadableError as error:
        raise ViewUnreadableError(
            remedy="Name a view, or a file that is not there yet.", **error.data
        ) from None


async def refold(
    desk: Desk,
    broker: Broker,
    view: Path,
    projections: Sequence[Projection],
    progress: Watch | None = None,
) -> Rebuilt:
    """As ``rebuild``, on a desk that is there."""
    watch = progress or (lambda _: None)
    path = view.with_name(f"{view.name}.rebuild")
    began = time.perf_counter()
    await desk.run(mend, view)
    async with (
        desk.holding(claimed(view, "rebuilds")),
        Shadow.open(desk, broker, path, projections) as shadow,
    ):
        compared = await _compared(desk, shadow, view, projections, watch)
        await _near(shadow, watch)
        await desk.run(sync, path)  # most of it, while nobody waits
        async with desk.holding(writing(view, alone=True)):
            await _last(shadow, watch)
            await desk.run(shadow.store.finish)
            await desk.run(exchange, path, view)
        return Rebuilt(shadow.events, time.perf_counter() - began, shadow.store.sequence, compared)


async def _compared(
    desk: Desk, shadow: Shadow, view: Path, projections: Sequence[Projection], watch: Watch
) -> Compared:
    try:
        await desk.run(lambda: read_only(view, projections).close())
    except ViewError as error:
        return Compared(obstacle=error.message)
    return await shadow.against(view, watch)


async def _near(shadow: Shadow, watch: Watch) -> None:
    """Read to the log's end, and again what came meanwhile, until that is little."""
    for _ in range(ROUNDS_MAX):
        last = await shadow.last()
        few = last - shadow.store.sequence < NEAR
        await shadow.advance(last, watch)
        if few:
            return


async def _last(shadow: Shadow, watch: Watch) -> None:
    """Nobody writes to the view now: fold what it may have and the shadow has not."""
    try:
        async with asyncio.timeout(LAST_S):
            await shadow.advance(await shadow.last(), watch)
    except TimeoutError:
        raise BrokerError("The broker did not give the end of the log in time; the old view stays.") from None
