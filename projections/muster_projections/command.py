"""``muster projections``: keep the view, rebuild it, and say what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from muster.cli.terminal import Terminal, command, execute

if TYPE_CHECKING:
    from muster.services import Service
    from muster_projections.rebuild import Progress, Rebuilt

_view = click.option(
    "--view",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The view file; view.db in the data folder by default.",
)


@click.group("projections", short_help="Keep and rebuild the view.")
def projections() -> None:
    """The projections fold the log into a SQLite file that anyone can query.

    \b
    Examples:
      muster projections run
      muster projections rebuild
      sqlite3 "$(muster projections path)" "SELECT id, status FROM executions"
    """  # noqa: D301  # a mark of click's: do not wrap


@command("run", short_help="Keep the view up to date until Ctrl-C.")
@_view
def run(terminal: Terminal, view: Path | None) -> None:
    """Fold the log into the view as it grows, until Ctrl-C. One process at a time keeps a view.

    A view that another release made is rebuilt first; the old one can be read meanwhile.

    \b
    Examples:
      muster projections run
      muster projections run --url nats://10.0.0.1:4222 --view ./view.db
    """  # noqa: D301  # a mark of click's: do not wrap
    from muster.cli.serving import serve_one
    from muster_projections.service import serve

    execute(serve_one(terminal, "projections", cast("Service", serve), view=view))


@command("rebuild", short_help="Fold the whole log anew and exchange the view.")
@_view
def rebuild(terminal: Terminal, view: Path | None) -> None:
    """Fold the log from its first event into a new file, and put that in the place of the view.

    The old view stays until the new one is whole, also where this is interrupted. The projections must not run.

    \b
    Examples:
      muster projections rebuild
      muster projections rebuild --json | jq .digest
      muster projections rebuild --view ./second.db        make a second view
    """  # noqa: D301  # a mark of click's: do not wrap
    path = view or terminal.settings.view_path
    done = execute(_rebuild(terminal, path))
    rate = done.events / done.seconds if done.seconds else 0.0
    if terminal.json:
        terminal.emit(
            {
                "view": path,
                "events": done.events,
                "seconds": done.seconds,
                "events_per_second": round(rate),
                "sequence": done.sequence,
                "digest": done.digest,
            }
        )
        return
    terminal.say(
        f"{path} was rebuilt from {done.events:,} events in {done.seconds:.1f} s ({rate:,.0f} events/s).\n"
        f"It is at sequence {done.sequence}; its digest is {done.digest}."
    )


async def _rebuild(terminal: Terminal, path: Path) -> Rebuilt:
    from muster.cli.serving import connect
    from muster_projections.rebuild import rebuild as fold

    broker = await connect(terminal.settings, "muster-rebuild")
    try:
        with _bar(terminal) as progress:
            return await fold(broker, terminal.settings, view=path, progress=progress)
    finally:
        await broker.close()


@contextmanager
def _bar(terminal: Terminal) -> Iterator[Callable[[Progress], None] | None]:
    """A bar with the rate, where somebody watches."""
    if not terminal.live:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=terminal.console(stderr=True), transient=True) as shown:
        task = shown.add_task("rebuild", total=None, rate="")

        def update(done: Any) -> None:
            elapsed = shown.tasks[0].elapsed or 0.0
            rate = f"{done.events / elapsed:,.0f} events/s" if elapsed else ""
            shown.update(task, completed=done.sequence, total=done.last, rate=rate)

        yield update


@command("path", short_help="Print where the view is.")
def path(terminal: Terminal) -> None:
    """Print the path of the view file, whether or not it is there yet.

    \b
    Examples:
      muster projections path
      sqlite3 -readonly "$(muster projections path)"
    """  # noqa: D301  # a mark of click's: do not wrap
    found = terminal.settings.view_path
    if terminal.json:
        terminal.emit({"view": found, "exists": found.exists()})
    else:
        terminal.say(str(found))


@command("schema", short_help="Print what the tables and columns of the view mean.")
def schema(terminal: Terminal) -> None:
    """Print every table and column of the view with its meaning, as Markdown or, with --json, as values.

    \b
    Examples:
      muster projections schema | less
      muster projections schema --json | jq -r '.[].table'
    """  # noqa: D301  # a mark of click's: do not wrap
    from muster_projections import documentation
    from muster_projections.registry import chosen

    if terminal.json:
        terminal.emit(documentation.schema(chosen()))
    else:
        terminal.say(documentation.page(chosen()).rstrip())


for each in (run, rebuild, path, schema):
    projections.add_command(each)
