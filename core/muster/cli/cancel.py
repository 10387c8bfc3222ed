"""``muster cancel``: end an execution."""

from __future__ import annotations

import click

from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client


@command("cancel", short_help="Cancel an execution.")
@click.argument("execution")
@click.option("--reason", default="", help="Why; it stands in the log.")
@click.option("--wait", is_flag=True, help="Wait until nothing of it runs any more.")
@click.pass_context
def cancel(ctx: click.Context, terminal: Terminal, execution: str, reason: str, wait: bool) -> None:
    """Cancel EXECUTION: nothing new of it starts, and what runs is stopped. Doing it again changes nothing.

    Examples:
      muster cancel 0198f2c4-…
      muster cancel 0198f2c4-… --reason "wrong book" --wait
    """
    ctx.exit(execute(_cancel(terminal, execution, reason, wait=wait)))


async def _cancel(terminal: Terminal, execution: str, reason: str, *, wait: bool) -> int:
    async with Client(settings=terminal.settings) as client:
        outcome = await client.cancel(execution, reason)
        status = (await client.state(execution)).status
        if wait and (result := await client.wait(execution)) is not None:
            outcome = status = result.status
    if terminal.json:
        terminal.emit({"execution": execution, "outcome": outcome, "status": status})
    elif outcome != "cancelled":
        terminal.say(f"{execution} had {outcome} before it could be cancelled")
    else:
        terminal.say(f"{execution} {'is cancelled' if status == 'cancelled' else 'is being cancelled'}")
    return 0
