"""``muster rerun``: run an ended execution again, as a whole or in part."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import click

from muster.cli.following import conclude, display, follow_to_end
from muster.cli.submitting import submitted
from muster.cli.terminal import Terminal, command, execute
from muster.cli.values import inputs_of
from muster.client.client import Client
from muster.client.follower import ExecutionView

_EXISTING: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@command("rerun", short_help="Run an ended execution again, or only what failed.")
@click.argument("execution")
@click.option(
    "--from", "from_step", metavar="STEP", help="Run this step and what needs it; take over the others."
)
@click.option("--failed", "only_failed", is_flag=True, help="Run what did not succeed, and what needs it.")
@click.option(
    "--input",
    "-i",
    "pairs",
    metavar="K=V",
    multiple=True,
    help="Another input; for whole reruns.",
)
@click.option(
    "--inputs", "files", type=_EXISTING, metavar="FILE", multiple=True, help="Other inputs as JSON or YAML."
)
@click.option("--id", "rerun_as", metavar="ID", help="The new execution's id; a retry with it is safe.")
@click.option("--no-cache", is_flag=True, help="Run also steps whose results are cached.")
@click.option("--detach", "-d", is_flag=True, help="Only submit and print the id.")
@click.pass_context
def rerun(
    ctx: click.Context,
    terminal: Terminal,
    execution: str,
    from_step: str | None,
    only_failed: bool,
    pairs: tuple[str, ...],
    files: tuple[Path, ...],
    rerun_as: str | None,
    no_cache: bool,
    detach: bool,
) -> None:
    """Run EXECUTION again as a new one, with its definition, inputs and labels, and follow it as muster run does.

    With --failed or --from, what the other steps gave is taken over and they are not run. What a step in a loop or a
    branch is called is its path: each/17/convert. An archived execution can be run again, one that goes on or was
    cleared cannot.

    Examples:
      muster rerun 0198f2c4-…
      muster rerun 0198f2c4-… --failed
      muster rerun 0198f2c4-… --from convert --detach
      muster rerun 0198f2c4-… --input language=de
    """
    how: dict[str, Any] = {"from_step": from_step, "only_failed": only_failed, "rerun_as": rerun_as}
    how["no_cache"] = no_cache
    ctx.exit(execute(_rerun(terminal, execution, pairs, files, detach=detach, **how)))


async def _rerun(
    terminal: Terminal,
    execution: str,
    pairs: tuple[str, ...],
    files: tuple[Path, ...],
    *,
    detach: bool,
    **how: Any,
) -> int:
    async with Client(settings=terminal.settings) as client:
        if pairs or files:
            workflow = await client.workflow(execution)
            how["inputs"] = await asyncio.to_thread(inputs_of, workflow, pairs, files)
        shown = display(terminal)
        listener = None if detach else shown.update
        async with await client.relaunch(execution, listener=listener, **how) as watch:
            _tell(terminal, watch.view, aside=detach or terminal.json)
            if detach:
                return submitted(terminal, watch.view.id, already=watch.already)
            result = await follow_to_end(terminal, client, watch, shown, may_cancel=True)
        return await conclude(terminal, client, watch.view, result)


def _tell(terminal: Terminal, view: ExecutionView, *, aside: bool) -> None:
    """Say what is not run, and what is although it had succeeded; ``aside``: where only the id is expected."""

    def say(text: str) -> None:
        if aside:
            print(text, file=sys.stderr)
        else:
            terminal.say(text)

    if view.reused:
        count = len(view.reused)
        say(f"{count} {'outcome is' if count == 1 else 'outcomes are'} taken over from {view.rerun_of}")
    if view.too_large:
        named = ", ".join(view.too_large)
        say(f"run again, since what they gave is too large to be taken over: {named}")
