"""``muster diff``: what changed in an execution between two points of the log."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.errors import error_lines
from muster.cli.moment import At, Point, at_option, locate, present
from muster.cli.origin import origin
from muster.cli.show import moment_lines
from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import clock, value
from muster.client.client import Client
from muster.client.difference import Change, Difference, difference
from muster.client.follower import ExecutionView, TransitionView
from muster.client.reach import folded, so_far
from muster.model.errors import ErrorInfo

NOTHING = "-"


@command("diff", short_help="Show what changed in an execution between two points.")
@click.argument("execution")
@at_option("From here, and to here; once: to now.", multiple=True, required=True)
def diff(terminal: Terminal, execution: str, at: tuple[At, ...]) -> None:
    """Show what changed in EXECUTION between two points of the log: status, steps, outputs, errors, and what happened.

    The earlier point is the one before, in whatever order they are given.

    Examples:
      muster diff 0198f2c4-… --at 1200 --at 1260
      muster diff 0198f2c4-… --at '5m ago'
      muster diff 0198f2c4-… --at 1200 --json | jq .steps
    """
    if len(at) > 2:
        raise click.UsageError(f"--at was given {len(at)} times: once or twice, from where and to where.")

    async def compare() -> tuple[list[Point], ExecutionView, Difference, str]:
        async with Client(settings=terminal.settings) as client:
            points = await _points(client.broker, at)
            after = await folded(client.broker, execution, points[1].sequence)
            before = await so_far(client.broker, execution, points[0].sequence)
            place = await origin(client.broker, after, points[1].sequence)
            return points, after, difference(before, after), place

    points, after, found, place = execute(compare())
    if terminal.json:
        between = dict(zip(("from", "to"), points, strict=True))
        terminal.emit({"execution": execution} | between | msgspec.structs.asdict(found))
        return
    _print(terminal, points, after, found, place)


async def _points(broker: Broker, at: tuple[At, ...]) -> list[Point]:
    points = [await locate(broker, each) for each in at]
    if len(points) == 1:
        points.append(await present(broker))
    return sorted(points, key=lambda point: point.sequence)


def _print(
    terminal: Terminal, points: list[Point], after: ExecutionView, found: Difference, place: str
) -> None:
    from rich.text import Text

    name = after.workflow.name if after.workflow else ""
    terminal.say(f"{name}  {after.id}\nfrom {points[0]}\nto   {points[1]}")
    if found.nothing:
        terminal.say("Nothing changed.")
    for line in _lines(found.changes):
        terminal.say(terminal.safe(line))
    for title, lines in _sections(found, after, place):
        if lines:
            terminal.console().print(Text(f"\n{title}", style="bold"))
        for line in lines:
            terminal.say(terminal.safe(line))


def _sections(found: Difference, after: ExecutionView, place: str) -> Iterator[tuple[str, list[str]]]:
    steps = ([path, *(f"  {line}" for line in _lines(changes))] for path, changes in found.steps.items())
    yield "Steps", list(chain.from_iterable(steps))
    yield "Transitions that came", [_transition(row) for row in found.transitions]
    yield "What happened between", moment_lines(found.timeline, after.queued_at)
    if "error" in found.changes and after.error is not None:
        yield "Error", error_lines(after.error, after.id, place)


def _transition(row: TransitionView) -> str:
    moved = f"{row.before or NOTHING} -> {row.after}"
    return f"#{row.number}  {clock(row.time, date=False)}  {row.type:<6}  {moved}  {row.step or ''}".rstrip()


def _lines(changes: dict[str, Change]) -> list[str]:
    width = max((len(name) for name in changes), default=0)
    return [
        f"{name:<{width}}  {_shown(change.before)} -> {_shown(change.after)}"
        for name, change in changes.items()
    ]


def _shown(given: Any) -> str:
    if given in (None, "", {}):
        return NOTHING
    if isinstance(given, ErrorInfo):
        attempt = f" (attempt {given.attempt})" if given.attempt is not None else ""
        return f"{given.name}{attempt}: {given.message}"
    if isinstance(given, tuple):
        return "/".join(map(str, given))
    return value(given)
