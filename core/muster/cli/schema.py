"""``muster schema``: the JSON Schema of workflow files."""

from __future__ import annotations

import click

from muster.cli.terminal import Terminal, command


@command("schema", short_help="Print the JSON Schema of workflow files, for editors.")
def schema(terminal: Terminal) -> None:
    """Print the JSON Schema of workflow files: with it an editor completes keys and marks what is wrong.

    Examples:
      muster schema > workflow.schema.json
      muster schema --json | jq '."$defs" | keys'
    """
    from muster.model.definition.schema import schema as whole

    if terminal.json:
        terminal.emit(whole())
        return
    from msgspec import json

    click.echo(json.format(json.encode(whole()), indent=2).decode())
