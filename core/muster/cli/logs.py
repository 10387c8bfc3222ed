"""``muster logs``: what the containers printed."""

from __future__ import annotations

from contextlib import aclosing

import click

from muster.cli.terminal import Terminal, command, execute
from muster.cli.words import clock
from muster.client.client import Client
from muster.model.errors import InvalidArgumentError
from muster.model.log.commands import LogLine


@command("logs", short_help="Print what an execution's steps printed.")
@click.argument("execution")
@click.argument("step", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the execution has ended.")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt.")
@click.option("--timestamps", "-t", is_flag=True, help="Put the time before each line.")
def logs(
    terminal: Terminal, execution: str, step: str | None, follow: bool, attempt: int | None, timestamps: bool
) -> None:
    """Print what the steps of EXECUTION printed, or STEP alone, as far as it is still kept.

    Examples:
      muster logs 0198f2c4-… -f
      muster logs 0198f2c4-… count --attempt 2 -t
    """

    async def show() -> None:
        async with Client(settings=terminal.settings) as client:
            if step is not None or attempt is not None:
                await _check(client, execution, step, attempt, follow=follow)
            lines = client.logs(execution, step, attempt=attempt, follow=follow)
            async with aclosing(lines) as source:
                async for path, number, line in source:
                    _print(terminal, path, number, line, named=step is None, timestamps=timestamps)

    execute(show())


async def _check(
    client: Client, execution: str, step: str | None, attempt: int | None, *, follow: bool
) -> None:
    """Raise the error that says so where there is no such step, or no such attempt and none can come."""
    view = await client.state(execution)
    steps = list(view.steps.values()) if step is None else [await client.step(execution, step)]
    had = max((found.attempt or 0 for found in steps), default=0)
    if attempt is None or attempt <= had or (follow and not view.finished):
        return
    which = f"the step {step}" if step else f"the execution {execution}"
    raise InvalidArgumentError(
        f"Attempt {attempt} of {which} was not found: {f'the last one is {had}' if had else 'there was none yet'}.",
        remedy="Leave --attempt out for all there are.",
    )


def _print(
    terminal: Terminal, path: str, number: int, line: LogLine, *, named: bool, timestamps: bool
) -> None:
    if terminal.json:
        terminal.emit(
            {"step": path, "attempt": number, "time": line.time, "stream": line.stream, "text": line.text}
        )
        return
    before = f"{clock(line.time, date=False)}  " if timestamps else ""
    terminal.say(f"{before}{path + '  ' if named else ''}{terminal.safe(line.text)}")
