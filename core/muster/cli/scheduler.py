"""``muster scheduler``: decide what runs where."""

from __future__ import annotations

import socket
from typing import Any

import click
import msgspec

from muster.cli.quantities import Duration, plain
from muster.cli.serving import serve_one
from muster.cli.terminal import Terminal, archive_option, command, execute
from muster.model.definition.quantities import seconds
from muster.model.log.names import check_name
from muster.model.policy import Policy
from muster.scheduler.options import SchedulerOptions, ShadowOptions


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
            if _LIMITS[name] == _RULES:
                return name, msgspec.json.decode(text, type=_RULES)
            return name, seconds(text) if name.endswith("_s") and not plain(text) else _LIMITS[name](text)
        except msgspec.DecodeError:
            self.fail(
                f"{name} must be a JSON object of lists, such as {_EXAMPLE}, and {text!r} is none", param, ctx
            )
        except ValueError:
            wanted = "a duration, such as 30s or 5m" if name.endswith("_s") else "a whole number, such as 5"
            self.fail(f"{name} must be {wanted}, and {text!r} is none", param, ctx)


_RULES = dict[str, list[str]]
_EXAMPLE = '{"app:*": ["gpu"]}'
_POLICY = {field.name: field.type for field in msgspec.structs.fields(Policy)}
_LEADING = {
    field.name: field.type
    for field in msgspec.structs.fields(SchedulerOptions)
    if field.name not in {"name", "policy"}
}
_SHADOW = {field.name: field.type for field in msgspec.structs.fields(ShadowOptions)}
_LIMITS = _POLICY | _LEADING | _SHADOW


@command("scheduler", short_help="Decide what runs where.")
@click.option("--name", help="Its name in the log; this host's by default.")
@click.option(
    "--set", "limits", multiple=True, type=Setting(), help="Set a limit; all are listed in docs/limits.md."
)
@click.option(
    "--shadow",
    is_flag=True,
    help="Lead nobody: decide silently, and tell where the leader decides otherwise.",
)
@click.option(
    "--for", "lasts_s", type=Duration(), help="With --shadow: end this long after the whole log is read."
)
@click.option(
    "--from",
    "start",
    type=click.IntRange(0),
    metavar="SEQ",
    help="With --shadow: compare only what was decided from this sequence on.",
)
@archive_option
@click.pass_context
def scheduler(
    ctx: click.Context,
    terminal: Terminal,
    name: str | None,
    limits: tuple[tuple[str, Any], ...],
    shadow: bool,
    lasts_s: float | None,
    start: int | None,
) -> None:
    """Run a scheduler until Ctrl-C. Several may run: one leads, and another takes over where it stops answering.

    With --shadow it writes nothing and never leads. It makes every decision in the log again, goes on with what is
    decided from now on, and shows each that this version would make differently, or that the leader should have made.
    The exit code is 1 then: run a new version like this beside the old leader before it may lead (docs/upgrading.md).

    Examples:
      muster scheduler
      muster scheduler --url nats://10.0.0.1:4222,nats://10.0.0.2:4222 --name a
      muster scheduler --set placement_timeout_s=5m --set lost_max=5
      muster scheduler --shadow --for 10m        the whole log, then ten minutes of what is decided now
    """
    _check(shadow, name, limits, lasts_s, start)
    if shadow:
        from muster.cli import shadowing

        options = ShadowOptions(**dict(limits))
        ctx.exit(execute(shadowing.shadow(terminal, options, start=start or 0, lasts_s=lasts_s)))
    from muster.scheduler.service import serve

    if name is not None:
        check_name("scheduler", name)
    own = {key: value for key, value in limits if key not in _POLICY}
    policy = Policy(**{key: value for key, value in limits if key in _POLICY})
    execute(serve_one(terminal, "scheduler", serve, name=name or socket.gethostname(), policy=policy, **own))


def _check(
    shadow: bool,
    name: str | None,
    limits: tuple[tuple[str, Any], ...],
    lasts_s: float | None,
    start: int | None,
) -> None:
    """Raise UsageError where an option belongs to the other kind of scheduler."""
    if not shadow and (lasts_s is not None or start is not None):
        raise click.UsageError("--for and --from are for a shadow: add --shadow")
    if shadow and name is not None:
        raise click.UsageError("a shadow has no name, since it writes nothing: leave --name out")
    known = _SHADOW if shadow else _POLICY | _LEADING
    for wrong in (key for key, _ in limits if key not in known):
        if not shadow:
            raise click.UsageError(f"{wrong} is a limit of a shadow: add --shadow")
        why = "decides by the policy the leader was elected with" if wrong in _POLICY else "leads nobody"
        raise click.UsageError(f"a shadow {why}: leave {wrong} out")
