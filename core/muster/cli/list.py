"""``muster list``: the executions there are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

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
    async for batch in broker.log.read(subjects=kinds):
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


def _print(terminal: Terminal, rows: list[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("execution", "workflow", "status", "steps", "queued", "took"):
        table.add_column(column, no_wrap=column == "execution")
    for row in rows:
        table.add_row(
            row.id,
            Text(row.workflow, style="bold"),
            Text(row.status, style=STATUS_STYLE.get(row.status, "")),
            str(row.steps) if row.steps_ended is None else f"{row.steps_ended}/{row.steps}",
            clock(row.created_at),
            elapsed(row.created_at, row.ended_at),
        )
    terminal.console().print(table)
