"""The options of an agent: those of ``muster agent``, and of ``muster up``, which runs one beside everything else."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from muster.cli.quantities import Duration, Size
from muster.cli.values import pairs_of
from muster.model.log.names import check_machine

F = TypeVar("F", bound=Callable[..., Any])


class Gpus(click.ParamType[int | list[str]]):
    """How many GPUs, or which. A number alone is a count; ids are told by a comma, or by not being a number."""

    name = "N|IDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | list[str]:
        """The number, or the ids."""
        text = str(value).strip()
        if text.isdecimal():
            return int(text)
        ids = [one.strip() for one in text.split(",") if one.strip()]
        if not ids or any(one.startswith("-") for one in ids):
            self.fail(f"{value!r} names none: give a number, or ids, such as 0,1", param, ctx)
        if len(set(ids)) < len(ids):
            self.fail(f"{value!r} names a GPU twice", param, ctx)
        return ids


class Memory(Size):
    """A size that is more than nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes."""
        found = super().convert(value, param, ctx)
        return found or self.fail("it must be more than 0", param, ctx)


def agent_options(runtimes: Sequence[str], runtime: str, says: str) -> Callable[[F], F]:
    """All of them; ``runtimes`` are those to choose from, ``runtime`` the one by default, ``says`` their help."""
    options = (
        click.option(
            "--functions-max", type=click.IntRange(0), metavar="N",
            help="Containers with a loaded function that are kept; twice the slots by default.",
        ),
        click.option(
            "--function-idle", "function_idle_s", type=Duration(),
            help="How long a loaded function stays that nobody calls; 5m by default.",
        ),
        click.option(
            "--gpus", type=Gpus(), metavar="N|IDS",
            help="GPUs that steps may ask for: how many, or which, by uuid or index with commas; all by default.",
        ),
        click.option("--memory", type=Memory(), help="Memory that steps may ask for, such as 16Gi."),
        click.option(
            "--cpus", type=click.FloatRange(0, min_open=True), metavar="N",
            help="Cores that steps may ask for; those of the machine by default.",
        ),
        click.option("--runtime", type=click.Choice(runtimes), default=runtime, show_default=True, help=says),
        click.option(
            "--slots", type=click.IntRange(1), metavar="N", help="Attempts at once; twice the cpus by default."
        ),
        click.option(
            "--label", "labels", metavar="K=V", multiple=True, help="What steps can ask for; may be repeated."
        ),
        click.option("--name", metavar="NAME", help="The machine's name in the log; the host's by default."),
    )  # fmt: skip

    def decorate(command: F) -> F:
        for option in options:
            command = option(command)
        return command

    return decorate


def agent_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the agent's service is told; what was not said is left to it.

    Raises InvalidArgumentError and NameInvalidError.
    """
    told = {key: value for key, value in given.items() if key not in ("name", "labels") and value is not None}
    name = check_machine(given["name"] or machine_name())
    return {"name": name, "labels": pairs_of("label", given["labels"]), **told}


def machine_name() -> str:
    """The host's name made a legal machine name, or ``machine`` where nothing of it is left."""
    name = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-_")[:63]
    return name if name and name != "scheduler" else "machine"
