"""``muster validate``: check workflow files before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muster.cli import failures
from muster.cli.terminal import Terminal, command

if TYPE_CHECKING:
    from muster.model.definition.workflow import Workflow


@command("validate", short_help="Check workflow files and name every problem.")
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
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
    except OSError as error:
        return _refused(terminal, file, [f"{file}: {(error.strerror or str(error)).lower()}."], {})
    except MusterError as error:
        problems = list(error.data.get("problems", ())) or [f"{file}: {error.message}"]
        return _refused(terminal, file, problems, failures.cause_of(error))
    if terminal.json:
        terminal.emit({"file": str(file), "valid": True, "name": workflow.name, "problems": []})
    else:
        terminal.say(f"{file}: {workflow.name} is valid ({_count(workflow)})")
    return True


def _count(workflow: Workflow) -> str:
    from muster.model.definition.validation.tree import members

    number = sum(1 for _, step in members(workflow) if step.id)
    return f"{number} step{'' if number == 1 else 's'}"


def _refused(terminal: Terminal, file: Path, problems: list[Any], cause: dict[str, Any]) -> bool:
    if terminal.json:
        found = {"file": str(file), "valid": False, "problems": [_as_object(item) for item in problems]}
        terminal.emit(found | cause)
        return False
    for problem in problems:
        click.echo(failures.named(problem), err=True)
    return False


def _as_object(problem: Any) -> Any:
    from msgspec import to_builtins

    return to_builtins(problem, enc_hook=str)
