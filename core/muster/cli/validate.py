"""``muster validate``: check workflow files before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muster.cli import failures
from muster.cli.terminal import Terminal, command


@command("validate", short_help="Check workflow files and name every problem.")
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path)
)
@click.pass_context
def validate(ctx: click.Context, terminal: Terminal, files: tuple[Path, ...]) -> None:
    """Check each FILE and print every problem at once as file:line:column. No broker is needed.

    Examples:
      muster validate hello.yaml
      muster validate workflows/*.yaml --json
    """
    sound = [_check(terminal, file) for file in files]
    ctx.exit(failures.OK if all(sound) else failures.INVALID)


def _check(terminal: Terminal, file: Path) -> bool:
    from muster.client.definition import workflow_of
    from muster.model.errors import MusterError

    try:
        workflow = workflow_of(file)
    except MusterError as error:
        problems = list(error.data.get("problems", ())) or [error.message]
        if terminal.json:
            terminal.emit(
                {"file": str(file), "valid": False, "problems": [_as_object(item) for item in problems]}
            )
        for problem in problems if not terminal.json else ():
            click.echo(str(problem), err=True)
        return False
    if terminal.json:
        terminal.emit({"file": str(file), "valid": True, "name": workflow.name, "problems": []})
    else:
        terminal.say(f"{file}: {workflow.name} is valid ({len(workflow.steps)} steps)")
    return True


def _as_object(problem: Any) -> Any:
    from msgspec import to_builtins

    return to_builtins(problem, enc_hook=str)
