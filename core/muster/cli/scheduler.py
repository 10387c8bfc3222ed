"""``muster scheduler``: decide what runs where."""

from __future__ import annotations

import click

from muster.cli.serving import serve_one
from muster.cli.terminal import Terminal, command, execute


@command("scheduler", short_help="Decide what runs where.")
@click.option("--name", help="Its name in the log; the host's and a number by default.")
def scheduler(terminal: Terminal, name: str | None) -> None:
    """Run a scheduler until Ctrl-C. Several may run: one leads, and another takes over where it stops answering.

    Examples:
      muster scheduler
      muster scheduler --url nats://10.0.0.1:4222,nats://10.0.0.2:4222 --name a
    """
    from muster.scheduler.service import serve

    options = {} if name is None else {"name": name}
    execute(serve_one(terminal, "scheduler", serve, **options))
