"""``muster watch``: follow an execution that is under way, or see again how one went."""

from __future__ import annotations

import click

from muster.cli.following import conclude, display, follow_to_end
from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client


@command("watch", short_help="Follow an execution to its end.")
@click.argument("execution")
@click.pass_context
def watch(ctx: click.Context, terminal: Terminal, execution: str) -> None:
    """Follow EXECUTION to its end and print its outputs; Ctrl-C stops watching and nothing else.

    Exits with 0 if it succeeded and 1 if it failed or was cancelled.

    Examples:
      muster watch 0198f2c4-…
      muster watch 0198f2c4-… --json | jq .outputs
    """
    ctx.exit(execute(_watch(terminal, execution)))


async def _watch(terminal: Terminal, execution: str) -> int:
    async with Client(settings=terminal.settings) as client:
        view = await client.state(execution)  # says at once where there is none
        if view.finished:
            return await conclude(terminal, client, view, await client.wait(execution))
        async with client.follow(execution) as following:
            result = await follow_to_end(terminal, client, following, display(terminal), may_cancel=False)
        return await conclude(terminal, client, following.view, result)
