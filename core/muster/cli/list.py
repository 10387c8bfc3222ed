"""``muster list``: the executions there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.moment import At, Point, as_shown, at_option, locate
from muster.cli.serving import connect
from muster.cli.terminal import Terminal, command, execute
from muster.cli.values import pairs_of
from muster.cli.view import current_view
from muster.cli.words import STATUS_STYLE, clock, elapsed
from muster.client.reach import position
from muster.model.log import catalogue, subjects
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import STATUSES, STEP_TERMINAL, TERMINAL, Transition
from muster.model.plan.lowering import lower
from muster.model.sharing.claims import turn

if TYPE_CHECKING:
    from rich.table import Table


class Row(msgspec.Struct, kw_only=True):
    """One execution in the list."""

    id: str
    workflow: str
    status: str
    steps: int
    steps_ended: int = 0
    created_at: datetime
    ended_at: datetime | None = None
    schedule: str | None = None
    reason: str | None = None
    labels: dict[str, str] = {}


@command("list", short_help="List executions, newest first.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those of this status.")
@click.option("--workflow", metavar="NAME", help="Only those of this workflow.")
@click.option("--label", "labels", metavar="K=V", multiple=True, help="Only those with this label.")
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="At most this many."
)
@at_option("As it was then, by the log.")
def list_(
    terminal: Terminal,
    status: str | None,
    workflow: str | None,
    labels: tuple[str, ...],
    limit: int,
    at: At | None,
) -> None:
    """List executions, newest first: from the view the projections keep, or from the log where that is not current.

    With --at the log alone is folded, up to a sequence or a time; each JSON line says which.

    Examples:
      muster list
      muster list --status failed -n 5
      muster list --label team=a --label kind=nightly
      muster list --at '10m ago'
      muster list --json | jq -r .id
    """
    wanted = Wanted(status, workflow, limit, pairs_of("label", labels))
    rows, point = execute(_rows(terminal, wanted, at))
    if terminal.json:
        for row in rows:
            terminal.emit(row if point is None else msgspec.structs.asdict(row) | {"at": point})
        return
    if point is not None:
        terminal.say(as_shown(point))
    if not rows:
        hint = " Run a workflow: muster run FILE" if point is None else ""
        terminal.say(f"There {'is' if point is None else 'was'} no such execution.{hint}")
        return
    _print(terminal, rows)


class Wanted(msgspec.Struct, frozen=True):
    """Which executions are asked for, and how many at most."""

    status: str | None
    workflow: str | None
    limit: int
    labels: dict[str, str] = {}

    def of(self, rows: Iterable[Row]) -> list[Row]:
        """Those of ``rows``, which stand newest first."""
        found = (
            row
            for row in rows
            if self.status in {None, row.status}
            and self.workflow in {None, row.workflow}
            and self.labels.items() <= row.labels.items()
        )
        return list(islice(found, self.limit))


async def _rows(terminal: Terminal, wanted: Wanted, at: At | None) -> tuple[list[Row], Point | None]:
    broker = await connect(terminal.settings, "muster-list")
    try:
        if at is not None:
            point = await locate(broker, at)
            return await from_log(broker, wanted, point.sequence), point
        last = (await position(broker)).last
        view = await current_view(terminal.settings.view_path, last)
        if view is None:
            return await from_log(broker, wanted), None
        try:
            found = await asyncio.to_thread(
                view.executions,
                wanted.limit,
                status=wanted.status,
                workflow=wanted.workflow,
                labels=wanted.labels,
            )
        finally:
            view.close()
        return [msgspec.convert(row, Row, from_attributes=True) for row in found], None
    finally:
        await broker.close()


async def from_log(broker: Broker, wanted: Wanted, stop: int | None = None) -> list[Row]:
    """The same list folded from the log, up to ``stop``."""
    listing = Listing()
    async with aclosing(broker.history.read(subjects=Listing.SUBJECTS, stop=stop)) as batches:
        async for batch in batches:
            listing.apply_all(batch)
    return wanted.of(reversed(listing.rows.values()))


class Listing:
    """The executions as their transitions and the outcomes of their steps tell of them."""

    SUBJECTS: Final = (
        subjects.events(writer=SCHEDULER, noun="execution"),
        *(
            subjects.events(writer=SCHEDULER, noun="step", verb=verb)
            for verb in ("started", *sorted(STEP_TERMINAL))
        ),
    )

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._ended: dict[str, set[str]] = {}

    def apply_all(self, records: Iterable[Recorded]) -> None:
        """Take these events into the list."""
        for recorded in records:
            self._apply(recorded.event)

    def _apply(self, event: Event) -> None:
        data = event.data
        if isinstance(data, catalogue.ExecutionQueued):
            self._queued(event, data)
        elif isinstance(data, catalogue.ExecutionCleared):
            self.rows.pop(event.execution, None)
            self._ended.pop(event.execution, None)
        elif (row := self.rows.get(event.execution)) is not None:
            self._move(row, event)

    def _queued(self, event: Event, data: catalogue.ExecutionQueued) -> None:
        row = Row(
            id=event.execution,
            workflow=data.workflow.name,
            status="queued",
            steps=len(lower(data.workflow).steps),
            created_at=event.time,
            schedule=None if data.schedule is None else data.schedule.name,
            labels=data.labels,
        )
        self.rows.setdefault(event.execution, row)

    def _move(self, row: Row, event: Event) -> None:
        row.reason = _reason(row.reason, event)
        transition = getattr(event.data, "transition", None)
        if isinstance(transition, Transition):
            row.status = transition.after
            row.ended_at = event.time if transition.after in TERMINAL else None
        noun, _, verb = event.kind.partition(".")
        if noun == "step" and verb in STEP_TERMINAL and event.step is not None and "/" not in event.step:
            ended = self._ended.setdefault(row.id, set())  # an event may stand twice in the log
            ended.add(event.step)
            row.steps_ended = len(ended)


def _reason(before: str | None, event: Event) -> str | None:
    """Why the execution waits or ends, after the event."""
    match event.data:
        case catalogue.ExecutionDeferred(ahead=ahead, key=key):
            return turn(ahead, key)
        case catalogue.ExecutionStarted() | catalogue.ExecutionResumed():
            return None
        case catalogue.ExecutionWaiting(reason=reason) | catalogue.ExecutionEnding(reason=reason):
            return reason or None
        case catalogue.ExecutionCancelled(reason=reason) if reason:
            return reason
    return before


ID_MIN: Final = (
    13  # an ellipsis and the last twelve characters, which are what differs in ids made of the time
)
GAP: Final = 2
DROPPED: Final = (
    "why",
    "queued",
    "took",
    "steps",
    "workflow",
)  # in this order, where there is not room for all


def _print(terminal: Terminal, rows: list[Row]) -> None:
    from rich.text import Text

    console = terminal.console()
    chosen, room = columns(rows, console.width) if terminal.live else (_told(rows), None)
    table = _table(chosen)
    for row in rows:
        cells = {name: Text(cell(row)) for name, cell in _CELLS.items()}
        cells["execution"] = Text(shortened(row.id, room))
        cells["workflow"].stylize("bold")
        cells["status"].stylize(STATUS_STYLE.get(row.status, ""))
        table.add_row(*(cells[name] for name in chosen))
    console.print(table)


def _table(chosen: list[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="dim")
    for name in chosen:
        table.add_column(name, no_wrap=True)
    return table


_CELLS: Final[dict[str, Callable[[Row], str]]] = {
    "execution": lambda row: row.id,
    "workflow": lambda row: row.workflow,
    "status": lambda row: row.status,
    "steps": lambda row: f"{row.steps_ended}/{row.steps}",
    "queued": lambda row: clock(row.created_at),
    "took": lambda row: elapsed(row.created_at, row.ended_at),
    "why": lambda row: (row.reason or "") if row.status not in TERMINAL else "",
}


def _told(rows: list[Row]) -> list[str]:
    """The columns that say something."""
    return [name for name, cell in _CELLS.items() if name != "why" or any(map(cell, rows))]


def columns(rows: list[Row], width: int) -> tuple[list[str], int]:
    """The columns there is room for and how wide the id may be: it is shortened before a column goes."""
    wide = {name: max(len(name), *(len(cell(row)) for row in rows)) for name, cell in _CELLS.items()}
    chosen = _told(rows)
    for name in ("", *DROPPED):
        if name:
            chosen = [each for each in chosen if each != name]
        room = width - sum(wide[each] + GAP for each in chosen if each != "execution") - GAP
        if room >= min(ID_MIN, wide["execution"]):
            break
    return chosen, max(room, 2)


def shortened(id_: str, room: int | None) -> str:
    """The id, or its end where there is not room for all."""
    return id_ if room is None or len(id_) <= room else f"…{id_[1 - room :]}"
