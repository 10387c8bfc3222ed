"""Verify: the log is folded again into a file of its own, and what comes out is compared with the view."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from muster.broker.interface import Broker
from muster.model.errors import InvalidArgumentError
from muster.settings import Settings
from muster_projections.claim import claimed
from muster_projections.comparison import Difference
from muster_projections.desk import Desk
from muster_projections.failures import ViewError, ViewMissingError
from muster_projections.opening import read_only
from muster_projections.registry import chosen
from muster_projections.shadow import Compared, Shadow, Watch

POISON_SHOWN: Final = 5  # enough to see what they have in common


class Poison(msgspec.Struct, frozen=True):
    """An event that a projection, or all of them (``*``), could not fold."""

    sequence: int
    projection: str
    execution: str
    kind: str
    error: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came out at ``sequence``. ``live`` is None where the view is at another one, and ``reason`` says so.

    ``live`` and ``rebuilt`` are digests of the canonical form; ``poison`` says how many events were passed over, and
    ``poisoned`` names the first of them.
    """

    sequence: int
    events: int
    seconds: float
    rebuilt: str
    live: str | None = None
    reason: str | None = None
    difference: Difference | None = None
    poison: int = 0
    poisoned: list[Poison] = []

    @property
    def equal(self) -> bool | None:
        """Whether both are the same; None where there is but one."""
        return None if self.live is None else self.live == self.rebuilt


async def verify(
    broker: Broker,
    settings: Settings,
    *,
    view: Path | None = None,
    at: int | None = None,
    progress: Watch | None = None,
) -> Verified:
    """Compare the view with one folded from the log, at the view's sequence or at ``at``.

    The view may be written to meanwhile. Raises ViewMissingError and the like where there is no view to compare with
    (and ``at`` is not given), ViewBusyError where another process verifies it, InvalidArgumentError where the log does
    not reach to ``at``.
    """
    path = view or settings.view_path
    watch = progress or (lambda _: None)
    scratch = path.with_name(f"{path.name}.verify")
    began = time.perf_counter()
    async with Desk() as desk:
        projections = await desk.run(chosen)
        try:
            there = await desk.run(lambda: _sequence(read_only(path, projections)))
        except ViewMissingError:
            if at is None:
                raise
            there = None
        async with (
            desk.holding(claimed(path, "verifies")),
            Shadow.open(desk, broker, scratch, projections) as shadow,
        ):
            if at is not None and not 0 <= at <= shadow.position.last:
                raise InvalidArgumentError(
                    f"The log ends at {shadow.position.last}; there is nothing at {at}.",
                    remedy="Give a sequence of the log.",
                )
            shadow.aim = at if at is not None else there or 0
            if at is None or at == there:
                compared = await _against(shadow, path, at, watch)
            else:
                compared = await shadow.alone(at, watch)
                where = "there is no view" if there is None else f"the view is at {there}"
                compared = msgspec.structs.replace(compared, obstacle=f"{where}, not at {at}")
            number, first = await desk.run(poison, shadow.store.connection)
        return Verified(
            sequence=compared.sequence,
            events=shadow.events,
            seconds=time.perf_counter() - began,
            rebuilt=compared.rebuilt or "",
            live=compared.live,
            reason=compared.obstacle,
            difference=compared.difference,
            poison=number,
            poisoned=first,
        )


async def _against(shadow: Shadow, path: Path, at: int | None, watch: Watch) -> Compared:
    compared = await shadow.against(path, watch)
    if compared.obstacle is not None:
        raise ViewError(f"The view {path} cannot be verified: {compared.obstacle}.", path=str(path))
    if at is not None and compared.sequence != at:
        raise ViewError(
            f"The view {path} has moved on from {at} to {compared.sequence} meanwhile.",
            remedy="Leave out --at, which compares wherever the view is.",
            path=str(path),
        )
    return compared


def _sequence(connection: sqlite3.Connection) -> int:
    with closing(connection):
        found: int = connection.execute("SELECT sequence FROM position").fetchone()[0]
        return found


def poison(connection: sqlite3.Connection) -> tuple[int, list[Poison]]:
    """How many events were passed over, and the first of them."""
    (number,) = connection.execute("SELECT count(DISTINCT sequence) FROM poison").fetchone()
    columns = ", ".join(Poison.__struct_fields__)
    rows = connection.execute(
        f"SELECT {columns} FROM poison ORDER BY sequence, projection LIMIT ?",  # noqa: S608  # names of our own fields
        (POISON_SHOWN,),
    )
    return number, [Poison(*row) for row in rows]
