"""The pages of docs/ that say what the code says: written from it, and checked against it by a test.

python -m muster.documentation        write docs/{cli,errors,events,limits,states}.md, docs/workflow.schema.json
                                      and docs/compatibility.md, which is made from docs/compatibility/
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from muster import compatibility
from muster.model import errors
from muster.model.definition.schema import schema
from muster.model.log import catalogue, transitions
from muster.model.policy import Policy
from muster.scheduler.options import SchedulerOptions, ShadowOptions
from muster.settings import Settings

MARK: Final = "<!-- Written by `python -m muster.documentation`; change the code, not this page. -->\n"
_GROUPS: Final = (
    ("ImagePullError", "By Hyko's names"),
    ("FunctionNotFoundError", "What the other predecessors can say"),
    ("PlacementError", "Muster's own"),
)


def pages(folder: Path) -> dict[str, str]:
    """Every generated page by its file name; ``folder`` holds the list of what the predecessors could do."""
    makers: dict[str, Callable[[], Iterator[str]]] = {
        "cli.md": command_line,
        "compatibility.md": lambda: compatibility.page(compatibility.systems(folder)),
        "errors.md": error_table,
        "events.md": event_table,
        "limits.md": limits,
        "states.md": states,
    }
    written = {name: MARK + "\n" + "\n".join(maker()).rstrip() + "\n" for name, maker in makers.items()}
    return written | {"workflow.schema.json": workflow_schema()}


def workflow_schema() -> str:
    """The JSON Schema of workflow files, for editors."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def write(folder: Path) -> list[str]:
    """Write the pages that changed; their names."""
    changed = []
    for name, text in pages(folder).items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


# ---- states


def states() -> Iterator[str]:
    """The transition table and its picture."""
    yield from (
        "# States",
        "",
        "An execution's status is what folding its transitions gives. This is the only table of what may follow what",
        "(`muster.model.log.transitions.TABLE`); the picture is drawn from it.",
        "",
        "| type | written as | from | to |",
        "|---|---|---|---|",
    )
    for row in transitions.TABLE:
        before = ", ".join(name or "(nothing)" for name in row.before)
        yield f"| {row.type} | `{row.kind}` | {before} | {row.after} |"
    yield from ("", "```mermaid", "stateDiagram-v2")
    for row in transitions.TABLE:
        for status in row.before:
            yield f"    {status or '[*]'} --> {row.after} : {row.type}"
    for status in sorted(transitions.TERMINAL):
        yield f"    {status} --> [*]"
    yield from (
        "```",
        "",
        "`execution.ending` changes no status: it records that the outcome is decided, nothing new starts, and the",
        "terminal event follows when nothing of the execution is live any more. Terminal is final: what comes later is",
        "acknowledged and changes nothing.",
        "",
        "## Steps",
        "",
        "A step is one of: " + ", ".join(f"`{name}`" for name in transitions.STEP_STATUSES) + ".",
        "It has ended when it is: "
        + ", ".join(f"`{name}`" for name in sorted(transitions.STEP_TERMINAL))
        + ".",
        "",
        "An attempt goes through the phases " + ", ".join(f"`{name}`" for name in transitions.PHASES) + ".",
    )


# ---- events


def event_table() -> Iterator[str]:
    """Every kind of event, who writes it, and its data."""
    yield from (
        "# Events",
        "",
        "Every event is one CloudEvents 1.0 JSON object on the subject",
        "`muster.events.<writer>.<execution>.<noun>.<verb>`; `type` is `io.muster.<noun>.<verb>.v<version>`. These are",
        "the kinds and the fields of their `data`. Times are UTC, durations seconds, sizes bytes; a field with a",
        "default is left out where it has it.",
        "",
        "Shown to people by Hyko's names, in this order: "
        + ", ".join(f"{body.label} (`{body.kind}`)" for body in catalogue.HYKO)
        + ".",
    )
    for writer, title in (("scheduler", "Written by the scheduler"), ("agent", "Written by agents")):
        yield from ("", f"## {title}")
        for kind, body in catalogue.CATALOGUE.items():
            if body.writer == writer:
                yield from _event(kind, body)


def _event(kind: str, body: type[catalogue.Body]) -> Iterator[str]:
    label = f" — {body.label}" if body.label else ""
    given = " Given: a replay takes it from the record." if body.given else ""
    yield from ("", f"### `{kind}`{label}", "", f"Version {body.version}. {_text(body)}{given}")
    fields = msgspec.structs.fields(body)
    if fields:
        yield from ("", "| field | type | default |", "|---|---|---|")
    for field in fields:
        yield f"| `{field.name}` | {_type(field.type)} | {_default(field)} |"


def _type(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_type(argument) for argument in arguments)
    if origin is typing.Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in {list, dict}:
        inner = ", ".join(_type(argument) for argument in arguments)
        return f"{'list of' if origin is list else 'object of'} {inner}"
    if kind is type(None):
        return "null"
    if kind is Any:
        return "any value"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true/false", "datetime": "time"}.get(
        kind.__name__, f"{kind.__name__}"
    )


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default).decode()}`"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    return "required"


# ---- errors


def error_table() -> Iterator[str]:
    """Every error with its code, message and remedy."""
    yield from (
        "# Errors",
        "",
        "Scripts may match on `code`; it is stable. The message is the default one, `{…}` stands for the data that",
        "comes with it. Every error of a run also says where: phase, step, machine, attempt. `cause` is the error",
        "behind it.",
    )
    starts = dict(_GROUPS)
    for name, kind in vars(errors).items():
        if not (inspect.isclass(kind) and issubclass(kind, errors.MusterError)) or kind is errors.MusterError:
            continue
        if name in starts:
            yield from (
                "",
                f"## {starts[name]}",
                "",
                "| code | name | message | what to do |",
                "|---|---|---|---|",
            )
        yield f"| `{kind.code}` | {name} | {_text(kind)} | {kind.remedy} |"


def _text(documented: type) -> str:
    return re.sub(r"\s+", " ", (documented.__doc__ or "").strip())


# ---- limits


def limits() -> Iterator[str]:
    """Every limit of what all parts share and of the scheduler, with its default and the reason."""
    yield from (
        "# Limits",
        "",
        "Durations are seconds, sizes bytes. Those of an agent: `muster agent --help`.",
    )
    for kind, title in (
        (Policy, "What decisions rest on: `muster scheduler --set NAME=VALUE`"),
        (SchedulerOptions, "The scheduler itself: `muster scheduler --set NAME=VALUE`"),
        (ShadowOptions, "A scheduler's shadow: `muster scheduler --shadow --set NAME=VALUE`"),
        (
            Settings,
            "What all parts share: flags and `MUSTER_…` in the environment, or `Settings` from Python",
        ),
    ):
        yield from ("", f"## {title}", "", "| name | default | why |", "|---|---|---|")
        reasons = _reasons(kind)
        for field in msgspec.structs.fields(kind):
            if isinstance(field.default, int | float | str) and field.name in reasons:
                yield f"| `{field.name}` | `{field.default}` | {reasons[field.name]} |"


def _reasons(kind: type) -> dict[str, str]:
    """The string that stands under each field."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: re.sub(r"\s+", " ", text.value.value)
        for field, text in pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


# ---- the command line


def command_line() -> Iterator[str]:
    """Every command with its options, from the commands themselves."""
    from muster.cli import failures
    from muster.cli.main import cli

    yield from ("# The command line", "")
    yield from ("| exit code | meaning |", "|---|---|")
    for code, meaning in failures.EXIT_CODES.items():
        yield f"| {code} | {meaning} |"
    with click.Context(cli, info_name="muster", **cli.context_settings) as context:
        yield from _command(cli, context, 2)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    formatter = click.HelpFormatter(width=100)
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
    click.Command.format_options(command, context, formatter)  # a group's would list its commands too
    yield from ("", f"{'#' * level} {context.command_path}", "", "```text")
    yield from (line.rstrip() for line in formatter.getvalue().strip("\n").splitlines())
    yield "```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                with click.Context(below, info_name=name, parent=context) as inner:
                    yield from _command(below, inner, min(level + 1, 4))


if __name__ == "__main__":
    here = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for written in write(here):
        sys.stdout.write(f"{here / written}\n")
