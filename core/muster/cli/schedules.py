"""``muster schedules``: what is run again and again, when next, and how it went."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from muster.cli.terminal import Terminal, command, execute, global_options
from muster.cli.words import STATUS_STYLE, clock, duration
from muster.client.client import Client

if TYPE_CHECKING:
    from muster.client.schedules import ScheduleView
    from muster.model.definition.workflow import Workflow

TIMES_SHOWN: Final = 5


@click.group("schedules", short_help="List, add, pause and remove schedules.", invoke_without_command=True)
@global_options
@click.pass_context
def schedules(ctx: click.Context) -> None:
    """List the schedules: when each is due, how its last run went, and whether it is paused.

    A workflow whose file says schedule is run by itself once it is added. Each run is an execution like any other,
    with an id made of the schedule's name and the time it was due.

    \b
    Examples:
      muster schedules
      muster schedules add report.yaml --input mode=short
      muster schedules show report
      muster schedules --json | jq -r 'select(.last_outcome == "failed") | .name'
    """  # noqa: D301  # a mark of click's: do not wrap
    if ctx.invoked_subcommand is None:
        _list(ctx.ensure_object(Terminal))


def _list(terminal: Terminal) -> None:
    found = execute(_with(terminal, lambda client: client.schedules()))
    if terminal.json:
        for view in found:
            terminal.emit(view)
    elif not found:
        terminal.say("There are no schedules. Give a workflow one and add it: muster schedules add FILE")
    else:
        _print(terminal, found)


async def _with(terminal: Terminal, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    async with Client(settings=terminal.settings) as client:
        return await ask(client)


def _print(terminal: Terminal, found: list[ScheduleView]) -> None:
    from rich.table import Table
    from rich.text import Text

    table, now = Table(box=None, padding=(0, 2, 0, 0), header_style="dim"), datetime.now(UTC)
    for name in ("schedule", "workflow", "when", "next", "last run", "outcome"):
        table.add_column(name, no_wrap=name != "when")
    for view in found:
        outcome = Text(view.last_outcome or "", STATUS_STYLE.get(view.last_outcome or "", ""))
        when = Text(terminal.safe(view.when))
        table.add_row(
            Text(view.name, "bold"), Text(view.workflow), when, Text(coming(view, now)),
            Text(clock(view.last_due_at)), outcome,
        )  # fmt: skip
    terminal.console().print(table)


def coming(view: ScheduleView, now: datetime) -> str:
    """When it is due next: ``in 3m 05s``, ``paused``, ``never``."""
    if view.paused:
        return "paused"
    if view.next_at is None:
        return "never"
    left_s = (view.next_at - now).total_seconds()
    return f"in {duration(left_s)}" if left_s > 0 else "due"


@command("add", short_help="Have a workflow run at the times of its schedule.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", metavar="NAME", help="The schedule's name; by default the workflow's.")
@click.option(
    "--cron", metavar="CRON", help="When, instead of what the file says: five fields, or six with seconds."
)
@click.option("--every", metavar="DURATION", help="How often, instead of what the file says, such as 10m.")
@click.option("--timezone", metavar="ZONE", help="The zone of --cron, such as Europe/Berlin.")
@click.option(
    "--input",
    "-i",
    "pairs",
    metavar="K=V",
    multiple=True,
    help="One input of every run; K=@FILE takes a file's text.",
)
@click.option("--label", "labels", metavar="K=V", multiple=True, help="A label of every run.")
def add(
    terminal: Terminal,
    file: Path,
    name: str | None,
    cron: str | None,
    every: str | None,
    timezone: str | None,
    pairs: tuple[str, ...],
    labels: tuple[str, ...],
) -> None:
    """Have the workflow in FILE run at the times of its schedule, until it is removed.

    What had the name gives it up, and what it had begun goes on; the same again changes nothing.

    Examples:
      muster schedules add report.yaml
      muster schedules add report.yaml --name report-long --input mode=long
      muster schedules add hello.yaml --every 10m --input name=you
      muster schedules add hello.yaml --cron '30 6 * * MON-FRI' --timezone Europe/Berlin
    """
    from muster.cli.values import inputs_of, pairs_of
    from muster.client.definition import workflow_of

    whole = _timed(workflow_of(file), cron, every, timezone)
    inputs, marked = inputs_of(whole, pairs, ()), pairs_of("label", labels)

    async def ask(client: Client) -> ScheduleView:
        named = await client.schedule(whole, name=name, inputs=inputs, labels=marked)
        return await _one(client, named)

    view = execute(_with(terminal, ask))
    if terminal.json:
        terminal.emit(view)
    else:
        terminal.say(f"{view.name} is run {terminal.safe(view.when)}; next {clock(view.next_at) or 'never'}")


def _timed(workflow: Workflow, cron: str | None, every: str | None, timezone: str | None) -> Workflow:
    """The workflow with what the options say instead of its file."""
    from muster.model.definition.schedule import Schedule

    given = {
        name: value for name, value in (("cron", cron), ("every", every), ("timezone", timezone)) if value
    }
    if not given:
        return workflow
    before = workflow.schedule or Schedule()
    if cron or every:
        before = msgspec.structs.replace(
            before, cron=None, every=None, timezone="UTC" if every else before.timezone
        )
    return msgspec.structs.replace(workflow, schedule=msgspec.structs.replace(before, **given))


async def _one(client: Client, name: str) -> ScheduleView:
    from muster.client.schedules import shown

    return await shown(client.broker, name)


@command("show", short_help="Show one schedule and its next times.")
@click.argument("name")
def show(terminal: Terminal, name: str) -> None:
    """Show the schedule NAME: when it is run, with what, its next times, and how it went.

    Examples:
      muster schedules show report
      muster schedules show report --json | jq -r .times[0]
    """
    view = execute(_with(terminal, lambda client: _one(client, name)))
    times = _times(view)
    if terminal.json:
        terminal.emit(msgspec.structs.asdict(view) | {"times": times})
        return
    schedule = view.schedule
    lines = {
        "workflow": view.workflow,
        "run": terminal.safe(view.when) + (f", paused {view.paused_reason}".rstrip() if view.paused else ""),
        "overlap": f"{schedule.overlap}; catch up: {schedule.catch_up}",
        "inputs": terminal.safe(msgspec.json.encode(view.inputs, enc_hook=str).decode())
        if view.inputs
        else "",
        "labels": terminal.safe(", ".join(f"{key}={value}" for key, value in view.labels.items())),
        "set": clock(view.set_at),
        "last run": f"{view.last_execution}, {view.last_outcome}" if view.last_execution else "none",
        "skipped": f"{clock(view.skipped_at)}, {view.skipped_reason}" if view.skipped_at else "",
        "next": "\n".join(clock(moment) for moment in times) or ("paused" if view.paused else "never"),
    }
    terminal.say(view.name)
    for label, text in lines.items():
        for line in text.splitlines():
            terminal.say(f"  {label:<10}{line}")
            label = ""  # noqa: PLW2901 - the name stands once


def _times(view: ScheduleView) -> list[datetime]:
    from muster.model.schedules.calendar import coming as times

    if view.paused or view.next_at is None:
        return []
    following = islice(times(view.schedule, view.set_at, view.next_at), TIMES_SHOWN - 1)
    return [view.next_at, *following]


@command("pause", short_help="Do not run a schedule until it is resumed.")
@click.argument("name")
@click.option("--reason", metavar="TEXT", default="", help="Why; it is shown with the schedule.")
def pause(terminal: Terminal, name: str, reason: str) -> None:
    """Do not run the schedule NAME until it is resumed. What it has begun goes on.

    Examples:
      muster schedules pause report --reason 'the source is down'
    """
    changed = execute(_with(terminal, lambda client: client.pause_schedule(name, reason)))
    _say(
        terminal,
        name,
        "paused",
        f"{name} is paused" if changed else f"nothing changed: {name} was paused already",
    )


@command("resume", short_help="Run a paused schedule again.")
@click.argument("name")
def resume(terminal: Terminal, name: str) -> None:
    """Run the schedule NAME again, from its next time on; what came due meanwhile is not made up for.

    Examples:
      muster schedules resume report
    """
    changed = execute(_with(terminal, lambda client: client.resume_schedule(name)))
    _say(
        terminal,
        name,
        "resumed",
        f"{name} is run again" if changed else f"nothing changed: {name} is not paused",
    )


@command("remove", short_help="Do not run a schedule any more.")
@click.argument("name")
@click.option("--reason", metavar="TEXT", default="", help="Why; it stands in the log.")
def remove(terminal: Terminal, name: str, reason: str) -> None:
    """Do not run the schedule NAME any more. What it has begun goes on.

    Examples:
      muster schedules remove report
    """
    execute(_with(terminal, lambda client: client.remove_schedule(name, reason)))
    _say(terminal, name, "removed", f"{name} is removed")


@command("trigger", short_help="Run a schedule once, now.")
@click.argument("name")
@click.option(
    "--id", "execution", metavar="ID", help="The execution's id; a retry with it begins no second one."
)
def trigger(terminal: Terminal, name: str, execution: str | None) -> None:
    """Run the schedule NAME once now, also where it is paused, and print the execution's id. Its times stay.

    Examples:
      muster schedules trigger report
      muster watch $(muster schedules trigger report)
    """
    begun = execute(_with(terminal, lambda client: client.trigger_schedule(name, execution=execution)))
    if terminal.json:
        terminal.emit({"name": name, "execution": begun})
    else:
        terminal.say(begun)


def _say(terminal: Terminal, name: str, what: str, text: str) -> None:
    if terminal.json:
        terminal.emit({"name": name, what: True})
    else:
        terminal.say(text)


for _command in (add, show, pause, resume, remove, trigger):
    schedules.add_command(_command)
