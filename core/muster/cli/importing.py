"""``muster import``: workflows of other systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muster.cli import failures
from muster.cli.terminal import Terminal, command

if TYPE_CHECKING:
    from muster.importers import Imported


@command("import", short_help="Make a workflow of another system's file.")
@click.argument("system", type=click.Choice(["pyconduit", "hymir", "julep"]))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write the workflow here."
)
@click.option(
    "--name", help="What the workflow is called, where the file does not say.  [default: the file's name]"
)
@click.option("--image", help="The image that holds the code; else every run must give it as an input.")
@click.option("--strict", is_flag=True, help="End with exit code 1 where anything could not be carried.")
@click.pass_context
def import_(
    ctx: click.Context,
    terminal: Terminal,
    system: str,
    file: Path,
    output: Path | None,
    name: str | None,
    image: str | None,
    strict: bool,
) -> None:
    """Make a workflow of FILE: a pyconduit job, a serialized hymir workflow, or a Julep task, as JSON or YAML.

    The workflow goes to stdout, what could not be carried, or is carried in another way, to stderr; what is not carried
    stands at the head of the workflow, too. What the other system ran in its own process runs in containers: say with
    --image which image holds the code.

    Examples:
      muster import julep task.yaml -o task.muster.yaml
      muster import hymir workflow.json --image registry.example/jobs:3 --strict > workflow.yaml
      muster import pyconduit job.json --json | jq .notes
    """
    from muster.importers import imported
    from muster.model.definition.document import parse

    data = parse(file.read_bytes(), name=str(file)).data
    found = imported(system, data, name=name or file.stem, image=image)
    if output is not None:
        output.write_text(_page(system, file, found), encoding="utf-8")
    _tell(terminal, system, file, found, output)
    ctx.exit(failures.EXECUTION_FAILED if strict and found.lost else failures.OK)


def _tell(terminal: Terminal, system: str, file: Path, found: Imported, output: Path | None) -> None:
    if terminal.json:
        terminal.emit(_as_object(found))
        return
    if output is None:
        click.echo(_page(system, file, found), nl=False)
    for note in found.notes:
        click.echo(terminal.safe(str(note)), err=True)
    if output is not None:
        count = len(found.lost)
        said = (
            "everything is carried" if not count else f"{count} thing{'' if count == 1 else 's'} not carried"
        )
        click.echo(f"{output}: {found.workflow.name}, {said}", err=True)


def _page(system: str, file: Path, found: Imported) -> str:
    """The workflow with what is missing from it said at its head."""
    from muster.model.definition.printing import to_yaml

    head = [
        f"# Carried over from {file.name} of {system}.",
        *(f"# {_line(str(note))}" for note in found.lost),
    ]
    return "\n".join(head) + "\n" + to_yaml(found.workflow)


def _line(text: str) -> str:
    """The text in one line that is a comment to every reader of YAML."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _as_object(found: Imported) -> dict[str, Any]:
    from msgspec import to_builtins

    return {"workflow": to_builtins(found.workflow), "notes": to_builtins(found.notes)}
