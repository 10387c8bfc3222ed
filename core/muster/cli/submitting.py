"""What run and submit share: the file, the inputs, the labels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from muster.cli.terminal import Terminal
from muster.cli.values import inputs_of, pairs_of, values_of
from muster.client.definition import workflow_of
from muster.client.wishes import Wishes
from muster.model.definition.workflow import Workflow

F = TypeVar("F", bound=Callable[..., Any])


def submit_options(command: F) -> F:
    """The argument FILE and the options that say what the workflow is run with."""
    existing = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--id", "execution", metavar="ID", help="The execution's id; a retry with it is safe."),
        click.option(
            "--idempotency-key", "key", metavar="KEY",
            help="Instead of an id: who submits the same under the same key finds the first execution.",
        ),
        click.option(
            "--timeout", "execution_timeout", metavar="DURATION", help="How long it may take from its start: 30m, 2h."
        ),
        click.option(
            "--priority", type=click.IntRange(-100, 100), help="The higher, the earlier; the workflow's by default."
        ),
        click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag that it holds; steps may require it."),
        click.option(
            "--metadata", metavar="K=V", multiple=True, help="What else is to be kept with it; V may be JSON."
        ),
        click.option("--label", "labels", metavar="K=V", multiple=True, help="A label of the execution."),
        click.option("--no-cache", is_flag=True, help="Run also steps whose results are cached."),
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
    file: Path, pairs: tuple[str, ...], files: tuple[Path, ...], more: Mapping[str, Any]
) -> tuple[Workflow, dict[str, Any], Wishes]:
    """The checked workflow, its inputs and what else is said of it, read before there is a loop to block."""
    workflow = workflow_of(file)
    wishes = Wishes(
        execution=more["execution"],
        idempotency_key=more["key"],
        labels=pairs_of("label", more["labels"]),
        metadata=values_of("metadata", more["metadata"]),
        tags=more["tags"],
        priority=more["priority"],
        execution_timeout=more["execution_timeout"],
        no_cache=more["no_cache"],
    )
    return workflow, inputs_of(workflow, pairs, files), wishes


def submitted(terminal: Terminal, execution: str, *, already: bool) -> int:
    """Print the id."""
    if terminal.json:
        terminal.emit({"execution": execution, "already": already})
    else:
        terminal.say(execution)
        if already:
            print("It was submitted before; nothing new was begun.", file=sys.stderr)
    return 0
