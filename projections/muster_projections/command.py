"""``muster projections``: keep the view, rebuild it, prove it, and say what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from muster.cli.terminal import Terminal, command, execute

if TYPE_CHECKING:
    from muster.services import Service
    from muster_projections.rebuild import Rebuilt
    from muster_projections.shadow import Compared
    from muster_projections.verify import Poison, Verified

_view = click.option(
    "--view",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The view file; view.db in the data folder by default.",
)


@click.group("projections", short_help="Keep, rebuild and verify the view.")
def projections() -> None:
    """The projections fold the log into a SQLite file that anyone can query.

    \b
    Examples:
      muster projections run
      muster projections verify
      sqlite3 "$(muster projections path)" "SELECT id, status FROM executions"
    """  # noqa: D301  # a mark of click's: do not wrap


@command("run", short_help="Keep the view up to date until Ctrl-C.")
@_view
def run(terminal: Terminal, view: Path | None) -> None:
    """Fold the log into the view as it grows, until Ctrl-C. One process at a time keeps a view.

    A view that other projections made (another release's, or one that was installed since) is rebuilt first.

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
    """Fold the log from its first event into a new file, compare it with the view, and put it in its place.

    The old view can be read all the time, and the projections may run: they go on with the new one. The old view
    stays until the new one is whole, also where this is interrupted.

    \b
    Examples:
      muster projections rebuild
      muster projections rebuild --json | jq .compared
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
                "compared": {**_plain(done.compared), "equal": done.compared.equal},
            }
        )
        return
    terminal.say(
        f"{path} was rebuilt from {done.events:,} events in {done.seconds:.1f} s ({rate:,.0f} events/s).\n"
        f"It is at sequence {done.sequence}. {_told(done.compared)}"
    )


async def _rebuild(terminal: Terminal, path: Path) -> Rebuilt:
    from muster.cli.serving import connect
    from muster_projections.bar import bar
    from muster_projections.rebuild import rebuild as fold

    broker = await connect(terminal.settings, "muster-rebuild")
    try:
        with bar(terminal) as progress:
            return await fold(broker, terminal.settings, view=path, progress=progress)
    finally:
        await broker.close()


def _told(compared: Compared) -> str:
    if compared.obstacle is not None:
        return f"There was nothing to compare it with: {compared.obstacle.rstrip('.')}."
    if compared.equal:
        return f"At {compared.sequence} it equals the old view, digest {compared.rebuilt}."
    return f"At {compared.sequence} the old view was different, and the new one was taken: {compared.difference}."


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


@command("verify", short_help="Prove the view: fold the log anew and compare.")
@click.option(
    "--at",
    type=click.IntRange(min=0),
    metavar="SEQUENCE",
    help="The digest at this place of the log; compared where the view is just there.",
)
@_view
@click.pass_context
def verify(ctx: click.Context, terminal: Terminal, view: Path | None, at: int | None) -> None:
    """Fold the log into a temporary file up to where the view is, and compare both, row by row.

    Says the digest of their canonical form, or names the first row that differs (exit code 1). The projections may
    run meanwhile. With --at there is only the digest of the fold, unless the view is at that very sequence.

    \b
    Examples:
      muster projections verify
      muster projections verify --at 1000                  the digest of the view as it was then
      muster projections verify --json | jq .difference
    """  # noqa: D301  # a mark of click's: do not wrap
    from muster.cli import failures

    path = view or terminal.settings.view_path
    done = execute(_verify(terminal, path, at))
    if terminal.json:
        terminal.emit({"view": path, **_plain(done), "equal": done.equal})
    else:
        terminal.say(_verdict(path, done))
        _say_poison(terminal, done.poison, done.poisoned)
    ctx.exit(failures.EXECUTION_FAILED if done.equal is False else failures.OK)


async def _verify(terminal: Terminal, path: Path, at: int | None) -> Verified:
    from muster.cli.serving import connect
    from muster_projections.bar import bar
    from muster_projections.verify import verify as prove

    broker = await connect(terminal.settings, "muster-verify")
    try:
        with bar(terminal) as progress:
            return await prove(broker, terminal.settings, view=path, at=at, progress=progress)
    finally:
        await broker.close()


def _verdict(path: Path, done: Verified) -> str:
    work = f"{done.events:,} events were folded in {done.seconds:.1f} s"
    if done.live is None:
        return f"The log folded up to {done.sequence} has the digest {done.rebuilt}; {done.reason}. {work}."
    if done.equal:
        return f"{path} equals the log folded up to {done.sequence}: both have the digest {done.rebuilt}. {work}."
    return (
        f"{path} is NOT what the log says at {done.sequence}: {done.difference}.\n"
        f"live     {done.live}\nrebuilt  {done.rebuilt}\n"
        f"{work}. To put it right: muster projections rebuild."
    )


def _say_poison(terminal: Terminal, number: int, first: list[Poison]) -> None:
    if number:
        terminal.say(f"{number:,} events could not be folded and were passed over (table poison):")
        for each in first:
            who = "all projections" if each.projection == "*" else each.projection
            terminal.say(terminal.safe(f"  {each.sequence} {each.kind} by {who}: {each.error}"))


@command("status", short_help="Say how far the view is and what it passed over.")
@_view
def status(terminal: Terminal, view: Path | None) -> None:
    """What the view reflects, the projections it was folded with, and the events that could not be folded.

    Asks the file alone, not the broker.

    \b
    Examples:
      muster projections status
      muster projections status --json | jq .poison
    """  # noqa: D301  # a mark of click's: do not wrap
    from muster_projections.status import status as look

    path = view or terminal.settings.view_path
    found = look(path)
    if terminal.json:
        terminal.emit({"view": path, **_plain(found)})
        return
    terminal.say(f"{path} is at sequence {found.sequence}, whose event is of {found.at or 'no known time'}.")
    terminal.say(
        "It was folded by " + ", ".join(f"{name} {is_}" for name, is_ in found.projections.items()) + "."
    )
    if found.unknown:
        terminal.say(f"{found.unknown:,} events are of kinds this release does not know (table unknown).")
    _say_poison(terminal, found.poison, found.poisoned)
    if not found.poison:
        terminal.say("No event was passed over for an error.")


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


for each in (run, rebuild, verify, status, path, schema):
    projections.add_command(each)
