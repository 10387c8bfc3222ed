"""``muster cluster``: who leads, who holds which slot and what waits, now or at any point of the log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from muster.broker.interface import Broker
from muster.cli.list import ID_MIN, shortened
from muster.cli.moment import At, Point, as_shown, at_option, locate, present
from muster.cli.reading import reading
from muster.cli.serving import connect
from muster.cli.standing import Cluster, Held, Leader, Live, Place, Queued, Room, Standing
from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import STATUS_STYLE, clock, elapsed, size
from muster.client.timeline import CONTAINER

if TYPE_CHECKING:
    from rich.table import Table

Progress = Callable[[int], object]
"""Hears up to which sequence the log was read."""

WIDE: Final = 110  # columns: what whole ids need
NAMES: Final = {"machine", "execution", "step", "function", "container"}


@command("cluster", short_help="Show the whole cluster, now or at any past point.")
@at_option("As it was then.")
def cluster(terminal: Terminal, at: At | None) -> None:
    """Show who leads, each machine with its room, the attempts that hold it and the functions that are loaded, what
    waits and why, and what runs.

    It is the scheduler's own fold of the log from its beginning, so it shows what the scheduler knew, then as now.

    Examples:
      muster cluster
      muster cluster --at 1200
      muster cluster --at '10m ago'
      muster cluster --json | jq '.machines[].held[].step'
    """
    point, found = execute(_found(terminal, at))
    if terminal.json:
        terminal.emit({"at": point} | msgspec.structs.asdict(found))
        return
    terminal.say(f"As it is at {point}." if at is None else as_shown(point))
    _print(terminal, found, point)


async def _found(terminal: Terminal, at: At | None) -> tuple[Point, Standing]:
    broker = await connect(terminal.settings, "muster-cluster")
    try:
        point = await (present(broker) if at is None else locate(broker, at))
        with nullcontext(_unseen) if terminal.json else reading(terminal) as read_to:
            found = await folded(broker, point, lambda sequence: read_to(sequence, point.sequence))
            return point, found.standing(advise=at is None)
    finally:
        await broker.close()


def _unseen(_: int, __: int) -> None:
    """Nobody watches a program's input."""


async def folded(broker: Broker, point: Point, progress: Progress) -> Cluster:
    """The log up to ``point``, folded."""
    found = Cluster()
    async with aclosing(broker.history.read(stop=point.sequence)) as batches:
        async for batch in batches:
            found.apply_all(batch)
            progress(batch[-1].sequence)
    return found


def _print(terminal: Terminal, found: Standing, point: Point) -> None:
    terminal.say(_leader(found.leader))
    if not found.machines:
        terminal.say("No machine has connected.")
    console = terminal.console()
    room = ID_MIN if terminal.live and console.width < WIDE else None  # all else must stay readable
    tables = (
        _machines(found.machines),
        _held(found.machines, point.time, room),
        _loaded(found.machines, room),
        _queue(found.queue, point.time, room),
        _executions(found.executions, room),
    )
    for table in tables:
        if table.row_count:
            console.print()
            console.print(table)


def _leader(leader: Leader | None) -> str:
    if leader is None:
        return "No scheduler has led."
    return f"Leader: {leader.name}, term {leader.term}, elected {clock(leader.since)} at {leader.sequence}."


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    made = Table(*columns, title=title, box=None, padding=(0, 2, 0, 0), header_style="dim")
    made.title_justify, made.title_style = "left", "bold"
    for column in made.columns:
        column.no_wrap = column.header in NAMES
    return made


def _machines(machines: list[Place]) -> Table:
    from rich.text import Text

    table = _table("Machines", "machine", "status", "since", "slots", "cpus", "memory", "gpus")
    for machine in machines:
        status = machine.status
        if status == "online" and not machine.open:
            status = "leaving"  # its agent stops what it runs, and will say goodbye
        table.add_row(
            Text(machine.name, style="bold"),
            Text(status, style=STATUS_STYLE.get(status, "")),
            clock(machine.since),
            _used(machine.slots),
            _used(machine.cpus),
            f"{size(machine.memory.used)} of {size(machine.memory.total)}",
            _used(machine.gpus),
        )
    return table


def _used(room: Room) -> str:
    return f"{room.used:g}/{room.total:g}"


def _held(machines: list[Place], now: datetime | None, room: int | None) -> Table:
    table = _table("Who holds which slot", "machine", "execution", "step", "attempt", "state", "since", "for")
    for machine in machines:
        for held in machine.held:
            table.add_row(
                machine.name,
                shortened(held.execution, room),
                held.step,
                str(held.attempt),
                _state(held),
                clock(held.since),
                elapsed(held.since, now),
            )
        for ref in machine.strays:
            id_ = shortened(ref.execution, room)
            table.add_row(machine.name, id_, ref.step, str(ref.attempt), "stray", "", "")
    return table


def _loaded(machines: list[Place], room: int | None) -> Table:
    table = _table("What is loaded", "machine", "function", "image", "container", "takes", "only for")
    for machine in machines:
        for kept in machine.functions:
            only = shortened(kept.execution, room) if kept.execution else ""
            container = kept.container[:CONTAINER]
            table.add_row(machine.name, kept.function, kept.image, container, str(kept.concurrency), only)
    return table


def _state(held: Held) -> str:
    return f"{held.state}, superseded" if held.superseded else held.state


def _queue(queue: list[Queued], now: datetime | None, room: int | None) -> Table:
    table = _table("What waits for a machine, in order", "execution", "step", "for", "why")
    for waiting in queue:
        id_ = shortened(waiting.execution, room)
        table.add_row(id_, waiting.step, elapsed(waiting.since, now), waiting.why)
    return table


def _executions(executions: list[Live], room: int | None) -> Table:
    from rich.text import Text

    table = _table("Executions", "execution", "workflow", "status", "steps", "queued")
    for execution in executions:
        status = f"{execution.status}, ending {execution.ending}" if execution.ending else execution.status
        steps = ", ".join(f"{count} {name}" for name, count in execution.steps.items())
        table.add_row(
            shortened(execution.execution, room),
            execution.workflow,
            Text(status, style=STATUS_STYLE.get(execution.status, "")),
            steps,
            clock(execution.queued_at),
        )
    return table
