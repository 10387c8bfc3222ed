"""``muster agent``: run attempts on this machine."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from muster.cli.quantities import Duration, Size
from muster.cli.serving import serve_one
from muster.cli.terminal import Terminal, command, execute
from muster.cli.up import machine_name
from muster.cli.values import pairs_of
from muster.model.errors import InvalidArgumentError
from muster.services import Service
from muster_agents.options import RUNTIMES


@command("agent", short_help="Run attempts on this machine.")
@click.option("--name", metavar="NAME", help="The machine's name in the log; the host's by default.")
@click.option(
    "--label", "labels", metavar="K=V", multiple=True, help="What steps can ask for; may be repeated."
)
@click.option("--slots", type=click.IntRange(1), help="Attempts at once; twice the cpus by default.")
@click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="docker",
    show_default=True,
    help="What attempts run in; process isolates nothing, noop runs nothing.",
)
@click.option("--cpus", type=float, help="Cores that steps may ask for; those of the machine by default.")
@click.option("--memory", type=Size(), help="Memory that steps may ask for, such as 16Gi.")
@click.option(
    "--gpus",
    metavar="N|IDS",
    help="GPUs that steps may ask for: how many, or which, by uuid or index with commas; all by default.",
)
@click.option(
    "--function-idle",
    "function_idle_s",
    type=Duration(),
    help="How long a loaded function stays that nobody calls; 5m by default.",
)
@click.option(
    "--functions-max",
    type=click.IntRange(0),
    metavar="N",
    help="Containers with a loaded function that are kept; twice the slots by default.",
)
def agent(
    terminal: Terminal,
    name: str | None,
    labels: tuple[str, ...],
    slots: int | None,
    runtime: str,
    cpus: float | None,
    memory: int | None,
    gpus: str | None,
    function_idle_s: float | None,
    functions_max: int | None,
) -> None:
    """Run attempts on this machine until Ctrl-C, which ends them in order; a second one does not wait for that.

    One agent at a time runs under a name: a second one takes its place, and the first is told so and stops. An agent
    that was killed finds its containers again at the next start.

    Examples:
      muster agent
      muster agent --name gpu-1 --label gpu=true --label zone=a --slots 4
      muster agent --url nats://10.0.0.1:4222 --cpus 8 --memory 16Gi
      muster agent --function-idle 1h --functions-max 4
      muster agent --gpus 0                           a machine whose GPUs are not for steps
      muster agent --runtime process                  no container engine: for development only
    """
    from muster_agents.service import serve

    given: dict[str, Any] = {
        "slots": slots,
        "cpus": cpus,
        "memory": memory,
        "gpus": None if gpus is None else _gpus(gpus),
        "function_idle_s": function_idle_s,
        "functions_max": functions_max,
    }
    service: Service = partial(
        serve,
        name=name or machine_name(),
        labels=pairs_of("label", labels),
        runtime=runtime,
        **{key: value for key, value in given.items() if value is not None},
    )
    execute(serve_one(terminal, "agent", service))


def _gpus(text: str) -> int | list[str]:
    """A number alone is a count; ids are told by a comma, or by not being a number."""
    if text.strip().isdecimal():
        return int(text)
    ids = [one.strip() for one in text.split(",") if one.strip()]
    if not ids or any(one.startswith("-") for one in ids):
        raise InvalidArgumentError(
            f"--gpus: {text!r} names none.", remedy="Give a number, or ids: --gpus 0,1."
        )
    return ids
