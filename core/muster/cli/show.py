"""``muster show``: everything about one execution."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from muster.broker.interface import Broker
from muster.cli.asking import questions
from muster.cli.errors import error_lines, further_lines
from muster.cli.moment import At, Point, as_shown, at_option, locate
from muster.cli.origin import origin, origins
from muster.cli.overview import crowded, overview
from muster.cli.terminal import Terminal, command, execute
from muster.cli.view import current_view
from muster.cli.waiting import abridged, waiting
from muster.cli.words import STATUS_STYLE, clock, doing, duration, elapsed, first_line, offset, value
from muster.client.client import Client
from muster.client.follower import ExecutionView
from muster.client.reach import folded, position
from muster.client.timeline import Moment

if TYPE_CHECKING:
    from rich.console import Console

Errors = dict[str, list[str]]


@command("show", short_help="Show everything about one execution.")
@click.argument("execution")
@at_option("As it was then.")
def show(terminal: Terminal, execution: str, at: At | None) -> None:
    """Show EXECUTION: status, inputs, outputs, transitions, steps, what happened when, and errors with their remedy.

    It is read from the log, so it is true now, whether or not projections run; with --at as it was at a sequence of
    the log or a time.

    Examples:
      muster show 0198f2c4-…
      muster show 0198f2c4-… --at 1200
      muster show 0198f2c4-… --at 14:03:22
      muster show 0198f2c4-… --json | jq .steps
    """

    async def fold() -> tuple[ExecutionView, dict[str, str], Point | None, list[str], Errors]:
        async with Client(settings=terminal.settings) as client:
            broker = client.broker
            point = None if at is None else await locate(broker, at)
            stop = point.sequence if point else None
            view = await folded(broker, execution, stop)
            reruns = await _reruns(terminal, broker, view) if point is None else []
            errors = {} if terminal.json else await _errors(broker, view, stop)
            if view.finished:
                return view, {}, point, reruns, errors
            why = questions(view, advise=point is None) | await waiting(broker, execution, point)
            return view, why, point, reruns, errors

    view, why, point, reruns, errors = execute(fold())
    if terminal.json:
        told = {"waiting": why, "reruns": reruns}
        terminal.emit(as_object(view) | told | ({} if point is None else {"at": point}))
        return
    if point is not None:
        terminal.say(as_shown(point))
    _print(terminal, view, why, reruns, errors)


def as_object(view: ExecutionView) -> dict[str, Any]:
    """The execution as one JSON object."""
    finished, total = view.progress
    return {
        "execution": view.id,
        "workflow": view.workflow.name if view.workflow else None,
        "status": view.status,
        "progress": {"finished": finished, "total": total},
        "queued_at": view.queued_at,
        "ended_at": view.ended_at,
        "ending": view.ending or None,
        "reason": view.reason or None,
        "rerun_of": view.rerun_of,
        "reused": [*view.reused],
        "too_large": view.too_large,
        "parent": view.parent,
        "schedule": view.schedule,
        "children": [
            {"step": step.path, "execution": step.child, "status": step.status}
            for step in view.steps.values()
            if step.child
        ],
        "concurrency": view.claim,
        "priority": view.granted.priority if view.granted else 0,
        "timeout_s": view.granted.timeout_s if view.granted else None,
        "tags": view.granted.tags if view.granted else [],
        "labels": view.labels,
        "metadata": view.metadata,
        "inputs": view.inputs,
        "outputs": view.outputs,
        "variables": view.variables,
        "error": view.error,
        "transitions": view.transitions,
        "steps": list(view.steps.values()),
        "timeline": view.timeline,
        "sequence": view.sequence,
    }


async def _reruns(terminal: Terminal, broker: Broker, view: ExecutionView) -> list[str]:
    """The executions that are reruns of this one, as far as the view of the projections knows."""
    if not view.finished:
        return []
    found = await current_view(terminal.settings.view_path, (await position(broker)).last)
    if found is None:
        return []
    try:
        return await asyncio.to_thread(found.reruns, view.id)
    finally:
        found.close()


def _print(
    terminal: Terminal, view: ExecutionView, why: dict[str, str], reruns: list[str], errors: Errors
) -> None:
    from rich.table import Table
    from rich.text import Text

    console = terminal.console()

    def table(title: str, *columns: str) -> Table:
        made = Table(
            box=None, padding=(0, 2, 0, 0), header_style="dim", title_justify="left", title_style="bold"
        )
        made.title = title
        for column in columns:
            made.add_column(column)
        return made

    console.print(_summary(view, reruns))
    for title, values in (("Inputs", view.inputs), ("Variables", view.variables), ("Outputs", view.outputs)):
        if values:
            console.print(Text(f"\n{title}", style="bold"))
            for name, given in values.items():
                console.print(Text(f"{name}: {terminal.safe(_short(value(given)))}"))
    steps = table("\nSteps", "step", "status", "attempt", "machine", "took")
    chosen = overview(view)
    for step in chosen:
        steps.add_row(
            step.path,
            Text(terminal.safe(doing(step)), style=STATUS_STYLE.get(step.status, "")),
            str(step.attempt or ""),
            step.machine or "",
            elapsed(step.scheduled_at or step.started_at, step.ended_at),
        )
    console.print(steps)
    _more(console, len(view.steps) - len(chosen), "steps")
    for text in abridged(why, ": "):
        console.print(Text(terminal.safe(text), style="yellow"))
    transitions = table("\nTransitions", "#", "at", "type", "from", "to", "step")
    told = [row for row in view.transitions if row.step is None or not crowded(view, row.step)]
    for row in told:
        at = offset(view.queued_at, row.time)
        transitions.add_row(str(row.number), at, row.type, row.before or "", row.after, row.step or "")
    console.print(transitions)
    _more(console, len(view.transitions) - len(told), "transitions")
    console.print(Text("\nWhat happened", style="bold"))
    moments = timeline(view)
    for text in moment_lines(moments, view.queued_at):
        console.print(Text(terminal.safe(text)))
    _more(console, len(view.timeline) - len(moments), "things")
    _print_errors(terminal, console, errors)


async def _errors(broker: Broker, view: ExecutionView, stop: int | None) -> Errors:
    """What is said of the errors, by its title."""
    own = list[str]()
    if view.error is not None:
        own = error_lines(view.error, view.id, await origin(broker, view, stop), tail=True)
    others = further_lines(view, await origins(broker, view, stop))
    return {"Error": own, "Errors of other steps" if own else "Errors of steps": others}


def _print_errors(terminal: Terminal, console: Console, errors: Errors) -> None:
    from rich.text import Text

    for title, lines in errors.items():
        if lines:
            console.print(Text(f"\n{title}", style="bold red"))
        for text in lines:
            console.print(Text(terminal.safe(text)))


def _more(console: Console, count: int, what: str) -> None:
    """Say that there are more of them than were shown."""
    if count > 0:
        console.print(f"… and {count} more {what} of loops; --json shows all", style="dim")


def _summary(view: ExecutionView, reruns: list[str]) -> str:
    finished, total = view.progress
    took = elapsed(view.queued_at, view.ended_at)
    name = view.workflow.name if view.workflow else ""
    style = STATUS_STYLE.get(view.status, "default")
    rows = [
        f"[bold]{name}[/bold]  [{style}]{view.status}[/]  {finished}/{total} steps  {view.id}",
        f"queued {clock(view.queued_at)}{', took ' + took if took else ''}",
    ]
    if view.rerun_of is not None:
        taken = f", {len(view.reused)} outcomes taken over" if view.reused else ""
        rows.append(f"rerun of {view.rerun_of}{taken}")
    if reruns:
        rows.append(f"rerun as {', '.join(reruns)}")
    if view.schedule is not None:
        said = "triggered" if view.schedule.triggered else "due"
        rows.append(f"run of the schedule {view.schedule.name}, {said} {clock(view.schedule.due_at)}")
    if view.parent is not None:
        rows.append(f"child of {view.parent.execution}, step {view.parent.step}")
    if view.claim is not None:
        rows.append(f"concurrency: one of {view.claim.limit} with the key {view.claim.key}")
    if view.reason:
        rows.append(f"reason: {view.reason}")
    if view.ending and not view.ended_at:
        rows.append(f"ending: will be {view.ending} when nothing of it runs any more")
    return "\n".join([*rows, *_accepted(view)])


def _accepted(view: ExecutionView) -> list[str]:
    """What it was accepted with."""
    found, rows = view.granted, []
    if view.labels:
        rows.append("labels: " + ", ".join(f"{name}={label}" for name, label in view.labels.items()))
    if view.metadata:
        rows.append(
            "metadata: " + ", ".join(f"{name}={value(given)}" for name, given in view.metadata.items())
        )
    if found is not None and found.tags:
        rows.append(f"tags: {', '.join(found.tags)}")
    if found is not None and found.priority:
        rows.append(f"priority: {found.priority}")
    if found is not None and found.timeout_s is not None:
        rows.append(f"timeout: {duration(found.timeout_s)} from its start")
    return rows


def timeline(view: ExecutionView) -> list[Moment]:
    """What happened to each step; of the items of a long loop only to those that failed or still move."""
    shown = {step.path for step in overview(view)}
    return [moment for moment in view.timeline if moment.step in shown or not crowded(view, moment.step)]


def timeline_lines(view: ExecutionView) -> list[str]:
    """What happened to each step by Hyko's names, with where and when, counted from the execution's beginning."""
    return moment_lines(timeline(view), view.queued_at)


def moment_lines(moments: list[Moment], start: datetime | None) -> list[str]:
    """A line for each moment, counted from ``start``."""
    width = max((len(moment.step) for moment in moments), default=0)
    return [_moment_line(moment, start, width) for moment in moments]


def _moment_line(moment: Moment, start: datetime | None, width: int) -> str:
    label = moment.label if moment.attempt in {None, 1} else f"{moment.label} (attempt {moment.attempt})"
    parts = [f"{offset(start, moment.time):>9}", f"{moment.step:<{width}}", f"{label:<24}"]
    parts.append(f"{moment.machine or '':<12}")
    if moment.seconds:
        parts.append(f"in {duration(moment.seconds)}")
    if len(moment.phases) > 1:
        parts.append(", ".join(f"{phase} {duration(took)}" for phase, took in moment.phases.items()))
    parts.append(first_line(moment.detail))
    return "  ".join(part for part in parts if part).rstrip()


def _short(text: str, limit: int = 500) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters; --json shows all)"
