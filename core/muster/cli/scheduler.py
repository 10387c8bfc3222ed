"""``muster scheduler``: decide what runs where."""

from __future__ import annotations

import socket
from typing import Any

import click
import msgspec

from muster.cli.serving import serve_one
from muster.cli.terminal import Terminal, command, execute
from muster.model.names import check_name
from muster.model.policy import Policy
from muster.model.quantities import seconds
from muster.scheduler.options import SchedulerOptions


class Setting(click.ParamType[tuple[str, Any]]):
    """``NAME=VALUE`` of the scheduler's own limits or of its policy."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """The limit's name and its value; a duration may be written like 30s."""
        name, separator, text = str(value).partition("=")
        if not separator:
            self.fail(f"{name!r} has no value: write NAME=VALUE, such as lost_max=5", param, ctx)
        if name not in _LIMITS:
            self.fail(f"there is no limit {name!r}; there are: {', '.join(sorted(_LIMITS))}", param, ctx)
        try:
            return name, seconds(text) if name.endswith("_s") and not _number(text) else _LIMITS[name](text)
        except ValueError:
            wanted = "a duration, such as 30s or 5m" if name.endswith("_s") else "a whole number, such as 5"
            self.fail(f"{name} must be {wanted}, and {text!r} is none", param, ctx)


def _number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


_POLICY = {field.name: field.type for field in msgspec.structs.fields(Policy)}
_LIMITS = _POLICY | {
    field.name: field.type
    for field in msgspec.structs.fields(SchedulerOptions)
    if field.name not in {"name", "policy"}
}


@command("scheduler", short_help="Decide what runs where.")
@click.option("--name", help="Its name in the log; this host's by default.")
@click.option(
    "--set", "limits", multiple=True, type=Setting(), help="Set a limit; all are listed in docs/limits.md."
)
def scheduler(terminal: Terminal, name: str | None, limits: tuple[tuple[str, Any], ...]) -> None:
    """Run a scheduler until Ctrl-C. Several may run: one leads, and another takes over where it stops answering.

    Examples:
      muster scheduler
      muster scheduler --url nats://10.0.0.1:4222,nats://10.0.0.2:4222 --name a
      muster scheduler --set placement_timeout_s=5m --set lost_max=5
    """
    from muster.scheduler.service import serve

    if name is not None:
        check_name("scheduler", name)
    own = {key: value for key, value in limits if key not in _POLICY}
    policy = Policy(**{key: value for key, value in limits if key in _POLICY})
    execute(serve_one(terminal, "scheduler", serve, name=name or socket.gethostname(), policy=policy, **own))
