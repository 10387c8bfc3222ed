"""``muster events``: the log as it is, and recordings of executions."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Final

import click

from muster.cli.reading import reading
from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import clock
from muster.client.client import Client
from muster.client.recording import erased_beside, record
from muster.client.timeline import detail, label
from muster.model.errors import ExecutionNotFoundError, InvalidArgumentError
from muster.model.log import subjects
from muster.model.log.envelope import Event, Recorded, encode
from muster.model.log.names import NO_EXECUTION, check_execution
from muster.model.proof import fixture

KEY_LENGTH_MIN: Final = 16  # characters; a shorter key of a person's making is guessed


@command("events", short_help="Print events of the log, or record an execution.")
@click.argument("recording", metavar="[EXECUTION]", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is appended later, until Ctrl-C.")
@click.option("--from", "start", type=click.IntRange(1), metavar="SEQ", help="Begin at this sequence.")
@click.option("--execution", metavar="ID", help="Only events of this execution.")
@click.option("--machine", metavar="NAME", help="Only what this machine wrote or what was said about it.")
@click.option("--kind", metavar="KIND", help="Only this kind: step.failed, image (any verb), or '*.failed'.")
@click.option("--raw", is_flag=True, help="The lines exactly as they are in the log, without their sequence.")
@click.option(
    "--redact", is_flag=True, help="Of a recording: put stand-ins for all values, so that it can be shared."
)
@click.option(
    "--keep",
    multiple=True,
    metavar="NAME",
    help="With --redact: leave inputs.NAME or steps.STEP.outputs.NAME.",
)
@click.option(
    "--redact-key",
    metavar="KEY",
    envvar="MUSTER_REDACT_KEY",
    help="Equal values have equal stand-ins in all that is redacted with this key; without one, in this fixture only.  "
    "[env: MUSTER_REDACT_KEY]",
)
def events(
    terminal: Terminal,
    recording: str | None,
    follow: bool,
    raw: bool,
    redact: bool,
    keep: tuple[str, ...],
    redact_key: str | None,
    **chosen: Any,
) -> None:
    """Print events in the order of the log, one line each.

    With --json each line is the event's CloudEvents object and its place in the log as the attribute `sequence`. Who
    was cut off goes on with --from and the last sequence seen plus one, and misses nothing.

    With EXECUTION these are its events, those of the executions that its steps run or that run it, and those of
    machines and other executions that their decisions rest on, up to the last one: with --json a fixture, for
    `muster replay` and for tests (see docs/testing.md).

    --redact puts stand-ins of the same type and length for inputs, outputs, commands, environments, images, labels,
    metadata, host names and messages; it still replays. Ids, names, times, machine labels and what the engine counts
    stay. Who has the key can test guesses: without --redact-key it is made by chance and forgotten.

    Examples:
      muster events -f
      muster events --execution 0198f2c4-… --json
      muster events --kind '*.failed' --from 1200
      muster events 0198f2c4-… --json > run.jsonl
      muster events 0198f2c4-… --json --redact --keep inputs.count > run.jsonl
    """
    _check_redaction(recording, redact, keep, redact_key)
    if recording is None:
        execute(_print_all(terminal, follow, raw, **chosen))
        return
    _check_alone(recording, {"follow": follow} | chosen)
    recorded = execute(_recorded(terminal, recording))
    for each in _redacted(terminal, recorded, keep, redact_key) if redact else recorded:
        _print(terminal, each, raw=raw)


def _check_redaction(recording: str | None, redact: bool, keep: tuple[str, ...], key: str | None) -> None:
    if recording is None and redact:
        raise InvalidArgumentError(
            "Only a recording can be redacted: of single events nobody can tell what their expressions compute with.",
            remedy="Name the execution: muster events EXECUTION --json --redact",
        )
    if keep and not redact:
        raise InvalidArgumentError("--keep says what --redact leaves.", remedy="Give --redact as well.")
    if redact and key is not None and len(key) < KEY_LENGTH_MIN:
        raise InvalidArgumentError(
            f"A key of {len(key)} characters is tried out soon.",
            remedy=f"Give at least {KEY_LENGTH_MIN} characters of chance, or none: then one is made.",
        )


def _redacted(
    terminal: Terminal, recorded: list[Recorded], keep: tuple[str, ...], key: str | None
) -> list[Recorded]:
    from secrets import token_bytes

    from muster.model.proof.redaction import redact

    found = redact(recorded, token_bytes(32) if key is None else key.encode(), keep)
    for remark in found.remarks:
        click.echo(f"Mind: {terminal.safe(str(remark))}", err=True)
    return found.records


async def _print_all(
    terminal: Terminal,
    follow: bool,
    raw: bool,
    *,
    start: int | None,
    execution: str | None,
    machine: str | None,
    kind: str | None,
) -> None:
    async with Client(settings=terminal.settings) as client:
        if execution is not None and not follow:  # one that is followed may still come
            await _check(client, execution)
        found = client.events(
            execution, machine=machine, kind=kind, follow=follow, from_sequence=1 if start is None else start
        )
        async with aclosing(found) as source:
            async for recorded in source:
                _print(terminal, recorded, raw=raw)


def _check_alone(execution: str, options: dict[str, Any]) -> None:
    """A recording is complete or it does not replay: nothing can be left out of it, and it ends."""
    names = {"start": "from"}
    given = [f"--{names.get(name, name)}" for name, value in options.items() if value]
    if given:
        raise InvalidArgumentError(
            f"{' and '.join(given)} cannot go with a recording of {execution}, which is complete.",
            remedy=f"Name the execution with --execution to choose among its events: "
            f"muster events --execution {execution} {given[0]}",
        )


async def _recorded(terminal: Terminal, execution: str) -> list[Recorded]:
    async with Client(settings=terminal.settings) as client:
        history = client.broker.history
        with reading(terminal) as progress:
            recorded = await record(history, execution, progress)
        if erased := await erased_beside(history, recorded):
            others = "1 other execution" if erased == 1 else f"{erased} other executions"
            click.echo(
                f"Mind: {others} of that time may have been cleared since. What room they held is not known any more: "
                "a decision that waited for it may come out differently in a replay.",
                err=True,
            )
        return recorded


async def _check(client: Client, execution: str) -> None:
    """Raise ExecutionNotFoundError where the log holds nothing of it, not even the mark of a clear."""
    if await client.broker.history.last(subjects.events(execution=check_execution(execution))) is None:
        raise ExecutionNotFoundError(execution=execution)


def _print(terminal: Terminal, recorded: Recorded, *, raw: bool) -> None:
    if raw:
        terminal.emit_line(encode(recorded.event))
    elif terminal.json:
        terminal.emit_line(fixture.line(recorded))
    else:
        terminal.say(terminal.safe(line(recorded)))


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
