"""``muster artifacts``: the files of an execution."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from muster.cli.terminal import Terminal, command, execute, global_options

if TYPE_CHECKING:
    from muster.client.follower import ExecutionView
    from muster.model.plan.artifacts import Artifact

STDOUT: Final = "-"


@click.group("artifacts", short_help="List and fetch the files of an execution.")
@global_options
def artifacts() -> None:
    """The files an execution was given and made. They are kept with it, and go when it is cleared.

    \b
    Examples:
      muster artifacts list 0198f2c4-…
      muster artifacts get 0198f2c4-… audio.audio
    """  # noqa: D301  # a mark of click's: do not wrap


@command("list", short_help="List the files of an execution.")
@click.argument("execution")
def list_(terminal: Terminal, execution: str) -> None:
    """List the files of EXECUTION: inputs, outputs of steps, outputs of the workflow, each with the name to get it by.

    Examples:
      muster artifacts list 0198f2c4-…
      muster artifacts list 0198f2c4-… --json | jq -r .name
    """
    found = execute(_found(terminal, execution))
    if terminal.json:
        for name, artifact in found.items():
            terminal.emit({"name": name, "artifact": artifact.value()})
        return
    if not found:
        terminal.say(f"{execution} has no files.")
        return
    from rich.table import Table

    from muster.cli.words import size

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("NAME", "FILE", "SIZE", "TYPE", "SHA256"):
        table.add_column(title, justify="right" if title == "SIZE" else "left", no_wrap=title == "NAME")
    for name, artifact in found.items():
        words = (name, artifact.name, size(artifact.size), artifact.media_type, artifact.digest[:12])
        table.add_row(*(terminal.safe(word).replace("[", "\\[") for word in words))
    terminal.console().print(table)


@command("get", short_help="Fetch a file of an execution.")
@click.argument("execution")
@click.argument("name")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="Where to: a file, a folder, or - for stdout; by default its own name, here.",
)
def get(terminal: Terminal, execution: str, name: str, output: str | None) -> None:
    """Fetch the file NAME of EXECUTION: STEP.OUTPUT, inputs.INPUT or outputs.OUTPUT, or just the name if there is one.

    What comes is checked against its hash. A file appears when it is whole, not before.

    Examples:
      muster artifacts get 0198f2c4-… audio.audio
      muster artifacts get 0198f2c4-… audio -o take.wav
      muster artifacts get 0198f2c4-… each/3/convert.picture -o - | file -
    """
    execute(_get(terminal, execution, name, output))


async def _found(terminal: Terminal, execution: str) -> dict[str, Artifact]:
    from muster.client.client import Client

    async with Client(settings=terminal.settings) as client:
        return files_of(await client.state(execution))


def files_of(view: ExecutionView) -> dict[str, Artifact]:
    """The files an execution speaks of, by the names they are asked for with."""
    from muster.model.plan.artifacts import inside

    places: dict[str, Any] = {"inputs": view.inputs, "outputs": view.outputs}
    places |= {path: step.outputs for path, step in view.steps.items()}
    return {
        ".".join(map(str, (place, *way))): artifact
        for place, values in places.items()
        for way, artifact in inside(values)
    }


def chosen(found: dict[str, Artifact], name: str, execution: str) -> Artifact:
    """The one that is meant. Raises InvalidArgumentError."""
    from muster.model.errors import InvalidArgumentError

    if name in found:
        return found[name]
    alike = {full: each for full, each in found.items() if name in (full.rpartition(".")[2], each.name)}
    if len({each.address for each in alike.values()}) == 1:
        return next(iter(alike.values()))
    known = ", ".join(alike or found)
    said = "has more than one file" if alike else "has no file"
    raise InvalidArgumentError(
        f"The execution {execution} {said} {name}.",
        remedy=f"Write one of: {known}." if known else f"It has no files: muster show {execution}.",
    )


async def _get(terminal: Terminal, execution: str, name: str, output: str | None) -> None:
    from muster.cli.reading import transferring
    from muster.cli.words import size
    from muster.client.client import Client

    async with Client(settings=terminal.settings) as client:
        artifact = chosen(files_of(await client.state(execution)), name, execution)
        with transferring(terminal) as moved:
            if output == STDOUT:
                async with aclosing(client.artifact(artifact.value())) as pieces:
                    async for piece in pieces:
                        sys.stdout.buffer.write(piece)
                sys.stdout.flush()
                return
            target = None if output is None else Path(output)
            path = await client.download(artifact.value(), target, moved)
    if terminal.json:
        terminal.emit({"path": str(path), "artifact": artifact.value()})
    else:
        terminal.say(f"{terminal.safe(str(path))}  {size(artifact.size)}")


artifacts.add_command(list_)
artifacts.add_command(get)
