"""``muster clear``: erase a finished execution."""

from __future__ import annotations

import click

from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client


@command("clear", short_help="Erase finished executions from the log.")
@click.argument("executions", nargs=-1, required=True)
@click.pass_context
def clear(ctx: click.Context, terminal: Terminal, executions: tuple[str, ...]) -> None:
    """Erase EXECUTIONS that have ended: their events, logs and rows. One mark stays in the log; there is no way back.

    What a `workflow:` step ran is an execution of its own: name it as well.

    Examples:
      muster clear 0198f2c4-…
      muster list --status failed --json | jq -r .id | xargs muster clear
    """
    ctx.exit(execute(_clear(terminal, executions)))


async def _clear(terminal: Terminal, executions: tuple[str, ...]) -> int:
    async with Client(settings=terminal.settings) as client:
        for execution in executions:
            await client.clear(execution)
            if terminal.json:
                terminal.emit({"execution": execution, "cleared": True})
            else:
                terminal.say(f"{execution} is cleared")
    return 0
