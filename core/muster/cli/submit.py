"""``muster submit``: submit and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muster.cli.run import sent, submitted
from muster.cli.submitting import read_submission, submit_options
from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client
from muster.model.workflow import Workflow


@command("submit", short_help="Submit a workflow and print the execution's id.")
@submit_options
@click.pass_context
def submit(
    ctx: click.Context,
    terminal: Terminal,
    file: Path,
    pairs: tuple[str, ...],
    files: tuple[Path, ...],
    labels: tuple[str, ...],
    execution: str | None,
) -> None:
    """Submit the workflow in FILE and print the execution's id once it is accepted.

    What was accepted is never lost. Where it is not known whether it was, the same command with the same --id is safe.

    Examples:
      muster submit nightly.yaml
      muster submit count.yaml --input text=@book.txt --id report-2026-11-21
      id=$(muster submit nightly.yaml) && muster watch "$id"
    """
    workflow, inputs, named = read_submission(file, pairs, files, labels)
    ctx.exit(execute(_submit(terminal, workflow, inputs, execution=execution, labels=named)))


async def _submit(terminal: Terminal, workflow: Workflow, inputs: dict[str, Any], **options: Any) -> int:
    async with Client(settings=terminal.settings) as client:
        return submitted(terminal, await sent(terminal, client, workflow, inputs, **options))
