"""``muster run``: submit and follow to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muster.cli.following import conclude, display, follow_to_end
from muster.cli.reading import transferring
from muster.cli.submitting import read_submission, submit_options
from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client
from muster.model.workflow import Workflow


@command("run", short_help="Run a workflow and follow it to its end.")
@submit_options
@click.option("--detach", "-d", is_flag=True, help="Only submit and print the id.")
@click.pass_context
def run(
    ctx: click.Context,
    terminal: Terminal,
    file: Path,
    pairs: tuple[str, ...],
    files: tuple[Path, ...],
    labels: tuple[str, ...],
    execution: str | None,
    detach: bool,
) -> None:
    """Run the workflow in FILE, show each step as it goes, and print the outputs.

    Ctrl-C asks whether to cancel; pressed again it leaves the execution running. Without a terminal it leaves it
    running and says how to go on. On a terminal it asks what steps wait for; Ctrl-C there leaves the step waiting.

    Examples:
      muster run hello.yaml --input name=you
      muster run count.yaml --input text=@book.txt --input parts=4
      muster run transcribe.yaml --input video=@clip.mp4
      muster run count.yaml --inputs inputs.json --json
      muster run nightly.yaml --detach
    """
    workflow, inputs, named = read_submission(file, pairs, files, labels)
    ctx.exit(execute(_run(terminal, workflow, inputs, execution=execution, labels=named, detach=detach)))


async def _run(
    terminal: Terminal, workflow: Workflow, inputs: dict[str, Any], *, detach: bool, **options: Any
) -> int:
    async with Client(settings=terminal.settings) as client:
        if detach:
            return submitted(terminal, await sent(terminal, client, workflow, inputs, **options))
        shown = display(terminal)
        with transferring(terminal) as moved:
            launched = await client.launch(
                workflow, inputs, listener=shown.update, on_transfer=moved, **options
            )
        async with launched as watch:
            result = await follow_to_end(terminal, client, watch, shown, may_cancel=True)
        return await conclude(terminal, client, watch.view, result)


async def sent(
    terminal: Terminal, client: Client, workflow: Workflow, inputs: dict[str, Any], **options: Any
) -> str:
    """Submit, with a bar for each file that is sent; the execution's id."""
    with transferring(terminal) as moved:
        launched = await client.launch(workflow, inputs, on_transfer=moved, **options)
    async with launched as watch:
        return watch.view.id


def submitted(terminal: Terminal, execution: str) -> int:
    """Print the id."""
    if terminal.json:
        terminal.emit({"execution": execution})
    else:
        terminal.say(execution)
    return 0
