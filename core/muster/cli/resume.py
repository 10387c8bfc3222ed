"""``muster resume``: give a step the input it waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from muster.cli.terminal import Terminal, command, execute
from muster.cli.values import answer_of
from muster.client.answer import addressed, holder
from muster.client.client import Client
from muster.model.errors import InvalidArgumentError


@command("resume", short_help="Give a step the input it waits for.")
@click.argument("execution", required=False)
@click.option("--step", metavar="PATH", help="The step, where more than one waits.")
@click.option("--token", metavar="TOKEN", help="The step by its token; then EXECUTION is not needed.")
@click.option(
    "--input",
    "-i",
    "given",
    metavar="JSON|@FILE|K=V",
    multiple=True,
    help="The input: JSON, a file that holds it, or pairs that make an object.",
)
@click.pass_context
def resume(
    ctx: click.Context,
    terminal: Terminal,
    execution: str | None,
    step: str | None,
    token: str | None,
    given: tuple[str, ...],
) -> None:
    """Give a step of EXECUTION the input it waits for, which it takes once: again changes nothing.

    What waits, what it asks and its token: muster show EXECUTION. Without --input it is given null. Of pairs those
    are text that the step's schema says are strings; all others are JSON where they can be.

    Examples:
      muster resume 0198f2c4-… --input ok=true
      muster resume 0198f2c4-… --step each/3/approve --input '{"ok": true}'
      muster resume --token 6f0c… --input @answer.json
    """
    if execution is None and token is None:
        raise InvalidArgumentError(
            "Which execution is meant?", remedy="Give its id, or the token of the step: --token TOKEN."
        )
    ctx.exit(execute(_resume(terminal, execution, step, token, given)))


async def _resume(
    terminal: Terminal, execution: str | None, step: str | None, token: str | None, given: tuple[str, ...]
) -> int:
    async with Client(settings=terminal.settings) as client:
        execution = execution or await holder(client.broker, token or "")
        asked = addressed(await client.state(execution), step, token)
        value: Any = await asyncio.to_thread(answer_of, given, asked.schema)
        answer = await client.resume(execution, value, step=asked.path, token=token)
    if terminal.json:
        terminal.emit(answer)
    elif answer.changed:
        terminal.say(f"{answer.step} of {answer.execution} has its input")
    else:
        terminal.say(
            f"nothing changed: {answer.step} of {answer.execution} does not wait for input any more "
            f"(the execution is {answer.status.replace('_', ' ')})"
        )
    return 0
