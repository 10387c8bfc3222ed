"""``muster submit``: submit and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muster.cli.reading import transferring
from muster.cli.submitting import read_submission, submit_options, submitted
from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client
from muster.client.wishes import Wishes
from muster.model.definition.workflow import Workflow


@command("submit", short_help="Submit a workflow and print the execution's id.")
@submit_options
@click.pass_context
def submit(
    ctx: click.Context,
    /,
    terminal: Terminal,
    file: Path,
    pairs: tuple[str, ...],
    files: tuple[Path, ...],
    **more: Any,
) -> None:
    """Submit the workflow in FILE and print the execution's id once it is accepted.

    What was accepted is never lost. Where it is not known whether it was, the same command with the same --id or the
    same --idempotency-key is safe.

    Examples:
      muster submit nightly.yaml
      muster submit count.yaml --input text=@book.txt --id report-2026-11-21
      muster submit nightly.yaml --idempotency-key 2026-11-21 --tag gpu --priority 10 --timeout 2h
      id=$(muster submit nightly.yaml) && muster watch "$id"
    """
    workflow, inputs, wishes = read_submission(file, pairs, files, more)
    ctx.exit(execute(_submit(terminal, workflow, inputs, wishes)))


async def _submit(terminal: Terminal, workflow: Workflow, inputs: dict[str, Any], wishes: Wishes) -> int:
    async with Client(settings=terminal.settings) as client:
        with transferring(terminal) as moved:
            launched = await client.launch(workflow, inputs, on_transfer=moved, **wishes)
        async with launched as watch:
            return submitted(terminal, watch.view.id, already=watch.already)
