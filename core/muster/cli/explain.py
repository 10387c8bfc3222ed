"""``muster explain``: what a workflow will run, in words."""

from __future__ import annotations

from pathlib import Path

import click

from muster.cli.terminal import Terminal, command


@command("explain", short_help="Say in words what a workflow will run, where and in what order.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def explain(terminal: Terminal, file: Path) -> None:
    """Say what the workflow in FILE will run, where and in what order. No broker is needed.

    Steps with the same number in a list can run at once. In brackets stands what the step comes down to: run a
    container, choose a branch, repeat for each member, wait, run a child execution, or assign what expressions give.

    Examples:
      muster explain transcribe.yaml
      muster explain transcribe.yaml --json | jq .primitives
    """
    from muster.client.definition import workflow_of
    from muster.model.definition.explanation import explained, written

    found = explained(workflow_of(file))
    if terminal.json:
        terminal.emit(found)
        return
    for line in written(found):
        terminal.say(terminal.safe(line))
