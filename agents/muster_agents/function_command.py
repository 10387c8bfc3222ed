"""``muster function``: call a function on this machine, and check that an image speaks the protocol."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muster.cli.terminal import Terminal, command, execute
from muster.cli.values import arguments_of, pairs_of
from muster.model.errors import InvalidArgumentError

if TYPE_CHECKING:
    from muster.model.definition.workflow import ContainerSpec
    from muster_agents.conformance.verdict import Verdict
    from muster_agents.options import AgentOptions
    from muster_agents.runtimes.interface import Runtime

LIMIT_S = 30.0

_inputs = click.option(
    "--input",
    "pairs",
    metavar="NAME=VALUE",
    multiple=True,
    help="An argument, as text or JSON; or NAME=@FILE, its text.",
)
_params = click.option("--params", metavar="JSON", default="{}", help="What load is given, as a JSON object.")
_environment = click.option(
    "--env",
    "environment",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="A variable of its environment; without a value, as it is here. Nothing else is passed on.",
)


@click.group("function", short_help="Call a function on this machine; check an image against the protocol.")
def function() -> None:
    """Functions while you write them: no broker and no agent is needed.

    \b
    Examples:
      muster function run app:translate --input text=hello
      muster function check counter:1 --input text=hello
    """  # noqa: D301  # a mark of click's: do not wrap


@command("run", short_help="Call a function on this machine, as an agent would.")
@click.argument("target", metavar="MODULE:CALLABLE")
@_inputs
@click.option(
    "--input-file",
    "files",
    metavar="NAME=PATH",
    multiple=True,
    help="A file; the function is given its path.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files it writes go.",
)
@_params
@_environment
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="Call it so often.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    terminal: Terminal,
    target: str,
    pairs: tuple[str, ...],
    files: tuple[str, ...],
    out: Path | None,
    params: str,
    environment: tuple[str, ...],
    times: int,
) -> None:
    """Load MODULE:CALLABLE in the current folder and call it, with the harness an agent would put into a container.

    What it prints and logs, and how far it is, comes on stderr; what it returns on stdout. It runs in this Python, as a
    process of its own, and is loaded once, however often it is called.

    \b
    Examples:
      muster function run app:translate --input text=hello
      muster function run app:Model --params '{"size": "small"}' --input n=4 --times 100
      muster function run app:resize --input-file picture=cat.png --out ./made
      muster function run json:dumps --input 0='[1, 2]' --json | jq .outputs
    """  # noqa: D301  # a mark of click's: do not wrap
    if ":" not in target:
        raise InvalidArgumentError(
            f"{target!r} is not MODULE:CALLABLE.",
            remedy="Write it like app:translate, for app.py in this folder.",
        )
    given = {name: _present(name, path) for name, path in pairs_of("input-file", files).items()}
    from muster_agents.harness import SILENT

    # What goes wrong is told at the end, by us: nobody reads a log of it.
    spec = _spec("none", target, _object(params), (*environment, f"{SILENT}=1"), here=True)
    ctx.exit(execute(_run(terminal, spec, pairs, given, out, times)))


async def _run(
    terminal: Terminal,
    spec: ContainerSpec,
    pairs: tuple[str, ...],
    files: dict[str, Path],
    out: Path | None,
    times: int,
) -> int:
    """The exit code."""
    from muster.cli.failures import EXECUTION_FAILED, OK, report
    from muster.model.errors import MusterError
    from muster_agents.conformance.showing import Shown
    from muster_agents.functions.alone import Alone

    arguments_of(pairs)  # what cannot be read is said before anything starts
    shown = Shown(terminal)
    async with (
        _runtime("process") as (runtime, options),
        Alone(runtime, spec, options, shown.printed, shown.told) as it,
    ):
        try:
            await it.load()
            inputs = arguments_of(pairs, it.strings)
            calls = [await it.call(inputs, files, out) for _ in range(times)]
        except MusterError as error:
            report(shown.failed(error), json=terminal.json)
            return EXECUTION_FAILED
        shown.finished(calls, it.instance.load_s)
        return OK


@command("check", short_help="Check that an image speaks the protocol of functions.")
@click.argument("image")
@click.argument("program", nargs=-1, metavar="[-- PROGRAM...]")
@click.option(
    "--function", "name", metavar="NAME", help="As a workflow names it; the image's name by default."
)
@_params
@_inputs
@_environment
@click.option(
    "--runtime",
    "kind",
    type=click.Choice(["docker", "process"]),
    default="docker",
    show_default=True,
    help="What it runs in; with process, PROGRAM runs in the current folder, and IMAGE is only a name.",
)
@click.option(
    "--timeout", "limit_s", type=click.FloatRange(0.1), default=LIMIT_S, metavar="SECONDS", show_default=True,
    help="How long each answer may take, load included.",
)  # fmt: skip
@click.pass_context
def check(
    ctx: click.Context,
    /,
    terminal: Terminal,
    image: str,
    program: tuple[str, ...],
    name: str | None,
    params: str,
    pairs: tuple[str, ...],
    environment: tuple[str, ...],
    kind: str,
    limit_s: float,
) -> None:
    """Start IMAGE as an agent would, speak with it, and say of each rule of docs/function-protocol.md if it is kept.

    Exit code 1 where a rule is broken. Some rules call the function: give it inputs that it can work with. PROGRAM is
    run instead of what the image says.

    \b
    Examples:
      muster function check counter:1 --input text=hello
      muster function check python:3.13-slim --function json:dumps --input 0=5
      muster function check counter --runtime process --input text=hello -- node count.mjs
      muster function check counter:1 --input text=hello --json | jq 'select(.outcome == "broken")'
    """  # noqa: D301  # a mark of click's: do not wrap
    function = name or image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    if ":" in function and program:
        raise InvalidArgumentError(
            f"{function} is called by Muster's harness, which is the program.", remedy="Leave PROGRAM out."
        )
    spec = _spec(image, function, _object(params), environment, program, here=kind == "process")
    if execute(_check(terminal, spec, arguments_of(pairs), kind, limit_s)):
        ctx.exit(1)


async def _check(
    terminal: Terminal, spec: ContainerSpec, inputs: dict[str, Any], kind: str, limit_s: float
) -> bool:
    """Whether a rule was broken."""
    from contextlib import aclosing

    from muster_agents.conformance.showing import Shown
    from muster_agents.conformance.verdict import Examination, examine

    found: list[Verdict] = []
    async with _runtime(kind) as (runtime, options):
        shown = Shown(terminal)
        bytes_max = options.function_message_bytes
        what = Examination(spec=spec, inputs=inputs, message_bytes=bytes_max, limit_s=limit_s)
        async with aclosing(examine(runtime, what, shown.said)) as verdicts:
            async for verdict in verdicts:
                found.append(verdict)
                shown.verdict(verdict)
        shown.concluded(found, spec)
    return any(verdict.outcome == "broken" for verdict in found)


@asynccontextmanager
async def _runtime(kind: Any) -> AsyncIterator[tuple[Runtime, AgentOptions]]:
    """A runtime of its own; nothing of it is left after."""
    import logging
    from datetime import UTC, datetime
    from tempfile import TemporaryDirectory

    from muster_agents.options import AgentOptions
    from muster_agents.runtimes.choice import choose

    logging.getLogger("muster_agents").setLevel(logging.ERROR)
    options = AgentOptions(name="function", runtime=kind)
    with TemporaryDirectory(prefix="muster-function-", ignore_cleanup_errors=True) as folder:
        runtime = await choose(options, Path(folder), datetime.now(UTC), 1)
        try:
            yield runtime, options
        finally:
            await runtime.close()


def _spec(
    image: str,
    function: str,
    params: dict[str, Any],
    environment: tuple[str, ...],
    program: tuple[str, ...] = (),
    *,
    here: bool,
) -> ContainerSpec:
    from muster.model.definition.workflow import ContainerSpec

    given = (one if "=" in one else f"{one}={os.environ.get(one, '')}" for one in environment)
    return ContainerSpec(
        image=image,
        function=function,
        params=params,
        entrypoint=list(program) or None,
        environment=pairs_of("env", given),
        working_dir=str(Path.cwd()) if here else None,
    )


def _present(name: str, path: str) -> Path:
    found = Path(path).expanduser()
    if not found.is_file():
        raise InvalidArgumentError(
            f"--input-file {name}: there is no file {path}.", remedy="Name a file of this machine."
        )
    return found


def _object(text: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidArgumentError(
            f"--params is no JSON object: {error}.", remedy="""Write it like --params '{"size": 4}'."""
        ) from None


function.add_command(run)
function.add_command(check)
