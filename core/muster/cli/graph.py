"""``muster graph``: a workflow as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from muster.cli.terminal import Terminal, command


@command("graph", short_help="Draw a workflow as a Mermaid flowchart.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def graph(terminal: Terminal, file: Path) -> None:
    """Draw the workflow in FILE as a Mermaid flowchart, which GitHub and most editors show. No broker is needed.

    Examples:
      muster graph transcribe.yaml > transcribe.mmd
      (echo '```mermaid'; muster graph transcribe.yaml; echo '```') >> README.md
    """
    from muster.client.definition import workflow_of
    from muster.model.definition.graph import mermaid
    from muster.model.plan.lowering import lower

    text = mermaid(lower(workflow_of(file)))
    if terminal.json:
        terminal.emit({"file": str(file), "mermaid": text})
        return
    terminal.say(terminal.safe(text.rstrip("\n")))
