"""``muster events``: the log as it is."""

from __future__ import annotations

from contextlib import aclosing

import click

from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import clock
from muster.client.client import Client
from muster.client.timeline import detail, label
from muster.model import subjects
from muster.model.envelope import Event, Recorded, encode
from muster.model.errors import ExecutionNotFoundError
from muster.model.names import NO_EXECUTION, check_execution


@command("events", short_help="Print events of the log, or follow it.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is appended later, until Ctrl-C.")
@click.option(
    "--from", "start", type=click.IntRange(1), default=1, metavar="SEQ", help="Begin at this sequence."
)
@click.option("--execution", metavar="ID", help="Only events of this execution.")
@click.option("--machine", metavar="NAME", help="Only what this machine wrote or what was said about it.")
@click.option("--kind", metavar="KIND", help="Only this kind: step.failed, image (any verb), or '*.failed'.")
@click.option("--raw", is_flag=True, help="The lines exactly as they are in the log, as in a .jsonl fixture.")
def events(
    terminal: Terminal,
    follow: bool,
    start: int,
    execution: str | None,
    machine: str | None,
    kind: str | None,
    raw: bool,
) -> None:
    """Print events in the order of the log, one line each.

    With --json each line is the event's CloudEvents object and its place in the log as the attribute
    `sequence`. Who was cut off goes on with --from and the last sequence seen plus one, and misses nothing.

    Examples:
      muster events -f
      muster events --execution 0198f2c4-… --json
      muster events --kind '*.failed' --from 1200
      muster events --execution 0198f2c4-… --raw > history.jsonl
    """

    async def show() -> None:
        async with Client(settings=terminal.settings) as client:
            if execution is not None and not follow:  # one that is followed may still come
                await _check(client, execution)
            found = client.events(execution, machine=machine, kind=kind, follow=follow, from_sequence=start)
            async with aclosing(found) as source:
                async for recorded in source:
                    _print(terminal, recorded, raw=raw)

    execute(show())


async def _check(client: Client, execution: str) -> None:
    """Raise ExecutionNotFoundError where the log holds nothing of it, not even the mark of a clear."""
    if await client.broker.history.last(subjects.events(execution=check_execution(execution))) is None:
        raise ExecutionNotFoundError(execution=execution)


def _print(terminal: Terminal, recorded: Recorded, *, raw: bool) -> None:
    if raw:
        terminal.emit_line(encode(recorded.event))
    elif terminal.json:
        terminal.emit_line(numbered(recorded))
    else:
        terminal.say(terminal.safe(line(recorded)))


def numbered(recorded: Recorded) -> bytes:
    """The event's line with its sequence as one more attribute."""
    return encode(recorded.event).rstrip()[:-1] + b',"sequence":%d}' % recorded.sequence


def line(recorded: Recorded) -> str:
    """The event for people: where, when, who, what."""
    event = recorded.event
    parts = [
        f"{recorded.sequence:>6}",
        clock(event.time, date=False),
        f"{event.writer:<10}",
        f"{event.kind:<20}",
    ]
    if event.execution != NO_EXECUTION:
        parts.append(event.execution)
    if event.step is not None:
        parts.append(event.step if event.attempt is None else f"{event.step}#{event.attempt}")
    parts += [text for text in (label(event), detail(event) or _more(event)) if text]
    return "  ".join(parts).rstrip()


def _more(event: Event) -> str:
    data = event.data
    error = getattr(data, "error", None)
    if error is not None:
        return f"{error.name}: {error.message}"
    for name in ("reason", "machine", "scheduler"):
        if text := getattr(data, name, ""):
            return str(text)
    return event.machine or ""
