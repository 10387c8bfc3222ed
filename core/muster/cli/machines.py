"""``muster machines``: who answers when the roll is called."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.moment import At, Point, as_shown, at_option, locate
from muster.cli.roster import SUBJECTS, Machine, Roster
from muster.cli.serving import connect
from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import STATUS_STYLE, clock, duration, size
from muster.client.reach import position

if TYPE_CHECKING:
    from rich.text import Text


@command("machines", short_help="List the machines that answer, and those that do not.")
@click.option(
    "--wide", "-w", is_flag=True, help="Also os, processors, memory, engine, loaded functions and what runs."
)
@at_option("As the log then said.")
def machines(terminal: Terminal, wide: bool, at: At | None) -> None:
    """List every machine that ever connected: status, slots, labels, last beat, what it runs.

    With --at it is what the log said at a sequence or a time. Beats are not in the log: what a machine ran then is
    told by muster cluster --at.

    Examples:
      muster machines
      muster machines --wide
      muster machines --at '1h ago'
      muster machines --json | jq 'select(.status != "online") | .name'
    """
    found, point = execute(_found(terminal, at))
    if terminal.json:
        for machine in found:
            terminal.emit(_as_object(machine) if point is None else _as_told(machine, point))
        return
    if point is not None:
        terminal.say(as_shown(point))
    if not found:
        started = "No machine has connected yet. Start an agent: muster agent (or muster up)."
        terminal.say(started if point is None else "No machine had connected by then.")
        return
    _print(terminal, found, wide=wide, beats=point is None)
    if point is not None:
        terminal.say(f"Beats are not in the log. What ran then: muster cluster --at {point.sequence}")


async def _found(terminal: Terminal, at: At | None) -> tuple[list[Machine], Point | None]:
    broker = await connect(terminal.settings, "muster-machines")
    try:
        if at is not None:
            point = await locate(broker, at)
            return (await told(broker, point.sequence)).machines(), point
        await position(broker)
        return await roll_call(broker), None
    finally:
        await broker.close()


async def roll_call(broker: Broker) -> list[Machine]:
    """The machines of the log, each with its newest beat."""
    found = (await told(broker)).machines()
    for machine in found:
        machine.hear(await broker.heartbeats.last(machine.name))
    return found


async def told(broker: Broker, stop: int | None = None) -> Roster:
    """What the log says of machines, up to ``stop``.

    Not the archive: words of machines never go there, and who asks for them must not need it. A load that was archived
    with its execution is not counted until the agent connects again and names what it keeps.
    """
    roster = Roster()
    async with aclosing(broker.log.read(subjects=SUBJECTS, stop=stop)) as batches:
        async for batch in batches:
            roster.apply_all(batch)
    return roster


def _as_object(machine: Machine) -> dict[str, Any]:
    return msgspec.structs.asdict(machine) | {"silent_s": machine.silent_s(datetime.now(UTC))}


def _as_told(machine: Machine, point: Point) -> dict[str, Any]:
    """Without what only beats tell."""
    unknown = {"running": None, "last_beat": None, "outbox": None, "silent_s": None}
    return msgspec.structs.asdict(machine) | unknown | {"at": point}


def _print(terminal: Terminal, found: list[Machine], *, wide: bool, beats: bool) -> None:
    from rich.table import Table

    now = datetime.now(UTC)
    rows = [
        _cells(machine, now, beats=beats) | (_more_cells(machine, beats=beats) if wide else {})
        for machine in found
    ]
    table = Table(*rows[0], box=None, padding=(0, 2, 0, 0), header_style="dim")
    for row in rows:
        table.add_row(*row.values())
    terminal.console().print(table)


def _cells(machine: Machine, now: datetime, *, beats: bool) -> dict[str, Text]:
    from rich.text import Text

    silent_s = machine.silent_s(now)
    if beats:
        life = {
            "running": Text(f"{len(machine.running)}/{machine.slots}"),
            "last beat": Text("never" if silent_s is None else f"{duration(silent_s)} ago"),
        }
    else:
        life = {"since": Text(clock(machine.since)), "slots": Text(str(machine.slots))}
    return {
        "machine": Text(machine.name, style="bold"),
        "status": Text(machine.status, style=STATUS_STYLE.get(machine.status, "")),
        **life,
        "runtime": Text(machine.runtime),
        "labels": Text(", ".join(f"{name}={label}" for name, label in machine.labels.items())),
    }


def _more_cells(machine: Machine, *, beats: bool) -> dict[str, Text]:
    from rich.text import Text

    attempts = ", ".join(f"{ref.execution}/{ref.step}#{ref.attempt}" for ref in machine.running)
    return {
        "os": Text(f"{machine.os} {machine.arch}"),
        "cpus": Text(f"{machine.cpus:g}"),
        "memory": Text(size(machine.memory)),
        "gpus": Text(str(machine.gpus)),
        "engine": Text(machine.engine),
        "functions": Text(_functions(machine)),
        **({"attempts": Text(attempts)} if beats else {}),
    }


def _functions(machine: Machine) -> str:
    """What is loaded, each with the number of its containers where there are several."""
    counts = Counter(kept.function for kept in machine.functions)
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in counts.items())
