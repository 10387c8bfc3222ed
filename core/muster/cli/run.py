"""``muster run``: submit and follow to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muster.cli.following import conclude, display, follow_to_end
from muster.cli.reading import transferring
from muster.cli.submitting import read_submission, submit_options, submitted
from muster.cli.terminal import Terminal, command, execute
from muster.client.client import Client
from muster.client.wishes import Wishes
from muster.model.definition.workflow import Workflow


@command("run", short_help="Run a workflow and follow it to its end.")
@submit_options
@click.option("--detach", "-d", is_flag=True, help="Only submit and print the id.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    terminal: Terminal,
    file: Path,
    pairs: tuple[str, ...],
    files: tuple[Path, ...],
    detach: bool,
    **more: Any,
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
    workflow, inputs, wishes = read_submission(file, pairs, files, more)
    ctx.exit(execute(_run(terminal, workflow, inputs, wishes, detach=detach)))


async def _run(
    terminal: Terminal, workflow: Workflow, inputs: dict[str, Any], wishes: Wishes, *, detach: bool
) -> int:
    async with Client(settings=terminal.settings) as client:
        shown = display(terminal)
        with transferring(terminal) as moved:
            launched = await client.launch(
                workflow, inputs, listener=None if detach else shown.update, on_transfer=moved, **wishes
            )
        async with launched as watch:
            if detach:
                return submitted(terminal, watch.view.id, already=watch.already)
            result = await follow_to_end(terminal, client, watch, shown, may_cancel=True)
        return await conclude(terminal, client, watch.view, result)
