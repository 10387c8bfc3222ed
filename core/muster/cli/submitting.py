"""What run and submit share: the file, the inputs, the labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from muster.cli.values import inputs_of, pairs_of
from muster.client.definition import workflow_of
from muster.model.workflow import Workflow

F = TypeVar("F", bound=Callable[..., Any])


def submit_options(command: F) -> F:
    """The argument FILE and the options that say what the workflow is run with."""
    existing = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--id", "execution", metavar="ID", help="The execution's id; a retry with it is safe."),
        click.option("--label", "labels", metavar="K=V", multiple=True, help="A label of the execution."),
        click.option("--inputs", "files", type=existing, metavar="FILE", multiple=True, help="Inputs as JSON or YAML."),
        click.option(
            "--input", "-i", "pairs", metavar="K=V", multiple=True,
            help="One input; K=@FILE takes the file's content, or sends the file itself where one is declared. Text "
            "unless the workflow declares another type.",
        ),
        click.argument("file", type=existing),
    ):  # fmt: skip
        command = option(command)
    return command


def read_submission(
    file: Path, pairs: tuple[str, ...], files: tuple[Path, ...], labels: tuple[str, ...]
) -> tuple[Workflow, dict[str, Any], dict[str, str]]:
    """The checked workflow, its inputs and labels, read before there is a loop to block."""
    workflow = workflow_of(file)
    return workflow, inputs_of(workflow, pairs, files), pairs_of("label", labels)
