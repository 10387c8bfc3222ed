"""``muster functions``: what is loaded where, and how it does.

The log says which machines there are; what is loaded on them, their beats say. So what is shown of a machine is as old
as its last beat, and of one that does not answer nothing is known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.machines import told
from muster.cli.roster import Machine
from muster.cli.serving import connect
from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import clock, duration
from muster.client.reach import position
from muster.client.timeline import CONTAINER
from muster.model.errors import NotConnectedError
from muster.model.log.commands import FunctionStatus
from muster.model.log.names import meant

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

BEATS_MISSED: Final = 10
"""A machine that is silent for so many intervals is not believed to be as it said: clocks differ, a little."""
_ANY_WIDTH: Final = 10_000
_STYLE: Final = {"loading": "cyan", "idle": "dim", "busy": "blue"}


class Loaded(msgspec.Struct, kw_only=True):
    """What one machine has loaded; ``functions`` is None where nobody knows."""

    machine: Machine
    functions: list[FunctionStatus] | None = None

    def trouble(self, now: datetime) -> str:
        """Why nothing is known, in words; empty where it is known."""
        if self.functions is not None:
            return ""
        if self.machine.status == "disconnected":
            return f"{self.machine.name} said goodbye: nothing is loaded there."
        silent_s = self.machine.silent_s(now)
        heard = "it has not been heard of"
        if silent_s is not None:
            heard = f"its last beat was {duration(silent_s)} ago"
        return f"{self.machine.name} does not answer ({heard}): what is loaded there is not known."


@command("functions", short_help="List the functions that are loaded, and where.")
@click.option("--machine", "name", metavar="NAME", help="Only what is loaded on this machine.")
@click.option(
    "--wide", "-w", is_flag=True, help="Also image, since when, what it was loaded with, and for whom."
)
def functions(terminal: Terminal, name: str | None, wide: bool) -> None:
    """List every container with a loaded function: where it is, its calls so far, and how long they took.

    A machine tells of its functions with its beats, so the list is a few seconds old. "now" is how many calls are
    under way of how many at once, "call" how long one took in the mean, "load" how long loading took.

    Examples:
      muster functions
      muster functions --machine gpu-1 --wide
      muster functions --json | jq 'select(.function and .failed > 0) | .container'
    """
    found = execute(_found(terminal, name))
    if terminal.json:
        for one in found:
            for each in _as_objects(one):
                terminal.emit(each)
        return
    show(terminal, found, datetime.now(UTC), name, wide=wide)


async def _found(terminal: Terminal, name: str | None) -> list[Loaded]:
    broker = await connect(terminal.settings, "muster-functions")
    try:
        await position(broker)
        return await loaded(broker, datetime.now(UTC), name)
    finally:
        await broker.close()


async def loaded(broker: Broker, now: datetime, name: str | None = None) -> list[Loaded]:
    """What is loaded on every machine, or on this one. Raises NotConnectedError where nobody knows it."""
    machines = (await told(broker)).machines()
    if name is not None:
        known = [machine.name for machine in machines]
        if name not in known:
            raise NotConnectedError(
                f"There is no machine {name}. {meant(name, known)}".strip(), remedy="See muster machines."
            )
        machines = [machine for machine in machines if machine.name == name]
    return [await _heard(broker, machine, now) for machine in machines]


async def _heard(broker: Broker, machine: Machine, now: datetime) -> Loaded:
    beat = await broker.heartbeats.last(machine.name)
    machine.hear(beat)
    silent_s = machine.silent_s(now)
    answers = machine.status not in ("offline", "disconnected")
    if beat is None or silent_s is None or not answers or silent_s > BEATS_MISSED * machine.interval_s:
        return Loaded(machine=machine)
    return Loaded(
        machine=machine, functions=sorted(beat.functions, key=lambda one: (one.function, one.container))
    )


def _as_objects(one: Loaded) -> list[dict[str, Any]]:
    place = {"machine": one.machine.name, "status": one.machine.status, "beat_at": one.machine.last_beat}
    if one.functions is None:
        return [place | {"function": None}]
    return [place | msgspec.structs.asdict(status) for status in one.functions]


def show(
    terminal: Terminal, found: list[Loaded], now: datetime, name: str | None = None, *, wide: bool = False
) -> None:
    """Print a table, and a sentence for every machine of which nothing is known."""
    rows = [
        _cells(one.machine.name, status, now) | (_more_cells(status) if wide else {})
        for one in found
        for status in one.functions or ()
    ]
    if rows:
        console = terminal.console()
        table = _table(rows)
        needed = console.measure(table, options=console.options.update(width=_ANY_WIDTH)).maximum
        if wide:  # whoever asked for it rather has long lines than half of each word
            console.width = max(console.width, needed)
        elif needed > console.width:
            table = _table([_stacked(row) for row in rows])
        console.print(table)
    elif any(one.functions is not None for one in found):
        where = "" if name is None else f" on {name}"
        terminal.say(
            f"Nothing is loaded{where}. A function is loaded by the first step that calls it, and stays for a while."
        )
    elif not found:
        terminal.say("No machine has connected yet. Start an agent: muster agent (or muster up).")
    for one in found:
        if trouble := one.trouble(now):
            terminal.say(trouble)


def _table(rows: list[dict[str, Text]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in rows[0]:
        if name.startswith("function"):
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    return table


def _stacked(row: dict[str, Text]) -> dict[str, Text]:
    """The row for a narrow terminal: the container below its function."""
    found = {"machine": row["machine"], "function\ncontainer": row["function"] + "\n" + row["container"]}
    return found | {name: cell for name, cell in row.items() if name not in ("function", "container")}


def _cells(machine: str, status: FunctionStatus, now: datetime) -> dict[str, Text]:
    from rich.text import Text

    idle_s = (now - status.used_at).total_seconds() if status.used_at and status.state == "idle" else None
    return {
        "machine": Text(machine, style="bold"),
        "function": Text(status.function),
        "container": Text(status.container[:CONTAINER]),
        "state": Text(status.state, style=_STYLE.get(status.state, "")),
        "now": Text(f"{status.running}/{status.concurrency}"),
        "calls": Text(str(status.calls)),
        "failed": Text(str(status.failed), style="red" if status.failed else ""),
        "call": Text(duration(status.call_s) if status.calls else ""),
        "load": Text("" if status.state == "loading" else duration(status.load_s)),
        "idle for": Text("" if idle_s is None else duration(max(0.0, idle_s))),
    }


def _more_cells(status: FunctionStatus) -> dict[str, Text]:
    from rich.text import Text

    return {
        "image": Text(status.image),
        "since": Text(clock(status.since)),
        "params": Text(status.params),
        "only for": Text(status.execution),
    }
