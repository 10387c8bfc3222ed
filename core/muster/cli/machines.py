"""``muster machines``: who answers when the roll is called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.roster import Machine, fold
from muster.cli.serving import connect
from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import STATUS_STYLE, duration, size
from muster.client.reach import position
from muster.model import subjects
from muster.model.names import NO_EXECUTION


@command("machines", short_help="List the machines that answer, and those that do not.")
@click.option("--wide", "-w", is_flag=True, help="Also os, processors, memory, engine and what runs.")
def machines(terminal: Terminal, wide: bool) -> None:
    """List every machine that ever connected: status, slots, labels, last beat, what it runs.

    Examples:
      muster machines
      muster machines --wide
      muster machines --json | jq 'select(.status != "online") | .name'
    """
    found = execute(_found(terminal))
    if terminal.json:
        for machine in found:
            terminal.emit(_as_object(machine))
        return
    if not found:
        terminal.say("No machine has connected yet. Start an agent: muster agent (or muster up).")
        return
    _print(terminal, found, wide=wide)


async def _found(terminal: Terminal) -> list[Machine]:
    broker = await connect(terminal.settings, "muster-machines")
    try:
        await position(broker)
        return await roll_call(broker)
    finally:
        await broker.close()


async def roll_call(broker: Broker) -> list[Machine]:
    """The machines of the log, each with its newest beat."""
    chosen = subjects.events(execution=NO_EXECUTION, noun="machine")
    records = [recorded async for batch in broker.history.read(subjects=[chosen]) for recorded in batch]
    found = sorted(fold(records).values(), key=lambda machine: machine.name)
    for machine in found:
        machine.hear(await broker.heartbeats.last(machine.name))
    return found


def _as_object(machine: Machine) -> dict[str, Any]:
    silent_s = machine.silent_s(datetime.now(UTC))
    plain: dict[str, Any] = msgspec.to_builtins(machine)
    return plain | {
        "status": machine.status,
        "silent_s": silent_s,
        "running": machine.running,
    }


def _print(terminal: Terminal, found: list[Machine], *, wide: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("machine", "status", "running", "last beat", "runtime", "labels"):
        table.add_column(column)
    for column in ("os", "cpus", "memory", "gpus", "engine", "attempts") if wide else ():
        table.add_column(column)
    now = datetime.now(UTC)
    for machine in found:
        silent_s = machine.silent_s(now)
        row = [
            Text(machine.name, style="bold"),
            Text(machine.status, style=STATUS_STYLE.get(machine.status, "")),
            Text(f"{len(machine.running)}/{machine.slots}"),
            Text("never" if silent_s is None else f"{duration(silent_s)} ago"),
            Text(machine.runtime),
            Text(", ".join(f"{name}={label}" for name, label in machine.labels.items())),
        ]
        if wide:
            attempts = ", ".join(f"{ref.execution}/{ref.step}#{ref.attempt}" for ref in machine.running)
            row += [
                Text(f"{machine.os} {machine.arch}"),
                Text(f"{machine.cpus:g}"),
                Text(size(machine.memory)),
                Text(str(machine.gpus)),
                Text(machine.engine),
                Text(attempts),
            ]
        table.add_row(*row)
    terminal.console().print(table)
