"""``muster list``: the executions there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.serving import connect
from muster.cli.terminal import Terminal, command, execute
from muster.cli.view import current_view
from muster.cli.words import STATUS_STYLE, clock, elapsed
from muster.client.reach import position
from muster.model import catalogue, subjects
from muster.model.envelope import Recorded
from muster.model.names import SCHEDULER
from muster.model.transitions import STATUSES, Transition

if TYPE_CHECKING:
    from rich.table import Table


class Row(msgspec.Struct, kw_only=True):
    """One execution in the list. ``steps_ended`` is None where the list was folded from the log."""

    id: str
    workflow: str
    status: str
    steps: int
    steps_ended: int | None = None
    created_at: datetime
    ended_at: datetime | None = None


@command("list", short_help="List executions, newest first.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those of this status.")
@click.option("--workflow", metavar="NAME", help="Only those of this workflow.")
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="At most this many."
)
def list_(terminal: Terminal, status: str | None, workflow: str | None, limit: int) -> None:
    """List executions, newest first: from the view the projections keep, or from the log where that is not current.

    Examples:
      muster list
      muster list --status failed -n 5
      muster list --json | jq -r .id
    """
    rows = execute(_rows(terminal, status, workflow, limit))
    if terminal.json:
        for row in rows:
            terminal.emit(row)
        return
    if not rows:
        terminal.say("There is no such execution. Run a workflow: muster run FILE")
        return
    _print(terminal, rows)


async def _rows(terminal: Terminal, status: str | None, workflow: str | None, limit: int) -> list[Row]:
    broker = await connect(terminal.settings, "muster-list")
    try:
        last = (await position(broker)).last
        view = await current_view(terminal.settings.view_path, last)
        if view is None:
            return await from_log(broker, status, workflow, limit)
        try:
            found = await asyncio.to_thread(view.executions, limit, status=status, workflow=workflow)
        finally:
            view.close()
        return [msgspec.convert(row, Row, from_attributes=True) for row in found]
    finally:
        await broker.close()


async def from_log(broker: Broker, status: str | None, workflow: str | None, limit: int) -> list[Row]:
    """The same list folded from the transitions in the log."""
    rows: dict[str, Row] = {}
    kinds = [
        subjects.events(writer=SCHEDULER, noun="execution"),
        subjects.events(noun="step", verb="started"),
    ]
    async for batch in broker.history.read(subjects=kinds):
        fold(rows, batch)
    wanted = [
        row
        for row in reversed(rows.values())
        if (status is None or row.status == status) and (workflow is None or row.workflow == workflow)
    ]
    return wanted[:limit]


def fold(rows: dict[str, Row], records: Iterable[Recorded]) -> None:
    """Take these transitions into the list."""
    for recorded in records:
        event, data = recorded.event, recorded.event.data
        if isinstance(data, catalogue.ExecutionQueued):
            rows.setdefault(
                event.execution,
                Row(
                    id=event.execution,
                    workflow=data.workflow.name,
                    status="queued",
                    steps=len(data.workflow.steps),
                    created_at=event.time,
                ),
            )
        elif isinstance(data, catalogue.ExecutionCleared):
            rows.pop(event.execution, None)
        elif (row := rows.get(event.execution)) is not None:
            _move(row, recorded)


def _move(row: Row, recorded: Recorded) -> None:
    data = recorded.event.data
    transition = getattr(data, "transition", None)
    if isinstance(transition, Transition):
        row.status = transition.after
        if isinstance(
            data, catalogue.ExecutionSucceeded | catalogue.ExecutionFailed | catalogue.ExecutionCancelled
        ):
            row.ended_at = recorded.event.time


ID_MIN: Final = (
    13  # an ellipsis and the last twelve characters, which are what differs in ids made of the time
)
GAP: Final = 2
DROPPED: Final = ("queued", "took", "steps", "workflow")  # in this order, where there is not room for all


def _print(terminal: Terminal, rows: list[Row]) -> None:
    from rich.text import Text

    console = terminal.console()
    chosen, room = columns(rows, console.width) if terminal.live else (list(_CELLS), None)
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
    "steps": lambda row: str(row.steps) if row.steps_ended is None else f"{row.steps_ended}/{row.steps}",
    "queued": lambda row: clock(row.created_at),
    "took": lambda row: elapsed(row.created_at, row.ended_at),
}


def columns(rows: list[Row], width: int) -> tuple[list[str], int]:
    """The columns there is room for and how wide the id may be: it is shortened before a column goes."""
    wide = {name: max(len(name), *(len(cell(row)) for row in rows)) for name, cell in _CELLS.items()}
    chosen = list(_CELLS)
    for name in ("", *DROPPED):
        if name:
            chosen.remove(name)
        room = width - sum(wide[each] + GAP for each in chosen if each != "execution") - GAP
        if room >= min(ID_MIN, wide["execution"]):
            break
    return chosen, max(room, 2)


def shortened(id_: str, room: int | None) -> str:
    """The id, or its end where there is not room for all."""
    return id_ if room is None or len(id_) <= room else f"…{id_[1 - room :]}"
