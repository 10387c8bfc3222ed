"""``muster replay``: make recorded decisions again and compare; or see what other rules would have made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from muster.cli import failures
from muster.cli.terminal import Terminal, command

if TYPE_CHECKING:
    from muster.model.log.envelope import Event
    from muster.model.proof.replay import Difference, Replayed

LINES_MAX: Final = 60  # of what a decision rests on; --json has it whole


@command("replay", short_help="Make recorded decisions again and compare.")
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--policy",
    metavar="POLICY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What if: play it again under the retry, placement and heartbeat rules of this file.",
)
@click.option(
    "--assume",
    type=click.Choice(["repeat", "succeed"]),
    help="With --policy: an attempt that never was goes like the last one of its step (repeat, as if not given), or "
    "succeeds after the median of what the step took.",
)
@click.pass_context
def replay(
    ctx: click.Context, terminal: Terminal, files: tuple[str, ...], policy: Path | None, assume: Any
) -> None:
    """Fold each FILE, make every decision in it again from what it was made from, and compare. No broker is needed.

    A FILE is a fixture, plain or gzip'd; - is standard input. What somebody asked for and what heartbeats told is taken
    from the record. The first difference is shown side by side, with the state it rests on; the exit code is 1 then.

    With --policy nothing is proved but asked: what would have become of it under other rules? The answer stands beside
    what became of it, with everything that had to be assumed; the exit code is 0. See docs/replay.md for the file.

    Examples:
      muster events 0198f2c4-… --json > run.jsonl && muster replay run.jsonl
      muster events --json | muster replay -              every decision of the whole log
      muster replay tests/histories/*.jsonl --json
      muster replay run.jsonl --policy stricter.yaml --assume succeed
    """
    if policy is not None:
        from muster.cli.whatif import ask

        ask(terminal, files, policy, assume or "repeat")
        return
    if assume is not None:
        raise click.UsageError("--assume says how a what-if goes on; give the rules with --policy POLICY.")
    from muster.fixtures import load
    from muster.model.proof.replay import replay as make_again

    same = True
    for file in files:
        found = make_again(load(file))
        same = same and not found.differences
        if terminal.json:
            terminal.emit(_as_object(file, found))
        else:
            _print(terminal, file, found)
    ctx.exit(failures.OK if same else failures.EXECUTION_FAILED)


def _as_object(file: str, found: Replayed) -> dict[str, Any]:
    return {
        "file": file,
        "events": found.events,
        "rounds": found.rounds,
        "decisions": found.decisions,
        "given": found.given,
        "differences": [_difference(each) for each in found.differences],
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "sequence": found.sequence,
        "basis": str(found.basis),
        "then": as_object(found.then),
        "now": as_object(found.now),
        "grounds": found.grounds,
    }


def as_object(event: Event | None) -> dict[str, Any] | None:
    """What a decision says, without what every event has."""
    from msgspec.json import decode

    from muster.model.log.envelope import encode

    if event is None:
        return None
    whole = decode(encode(event))
    names = ("id", "execution", "step", "attempt", "machine", "cause", "data")
    return {"kind": event.kind} | {name: whole[name] for name in names if name in whole}


def _print(terminal: Terminal, file: str, found: Replayed) -> None:
    made = f"{found.decisions} decision{'' if found.decisions == 1 else 's'} in {found.rounds} rounds"
    if not found.differences:
        terminal.say(f"{file}: {made} come out the same ({found.events} events, {found.given} of them given)")
        return
    (difference,) = found.differences
    terminal.say(f"{file}: a difference at sequence {difference.sequence}, after {made}")
    side_by_side(terminal, difference)


def side_by_side(
    terminal: Terminal,
    difference: Difference,
    titles: tuple[str, str] = ("decided then", "would be decided now"),
) -> None:
    """What was decided then, what would be now, and what both rest on."""
    from rich.table import Table
    from rich.text import Text

    then, now = flat(as_object(difference.then)), flat(as_object(difference.now))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "", f"{titles[0]} ({difference.sequence})", titles[1]):
        table.add_column(column, overflow="fold")
    for name in dict.fromkeys([*then, *now]):
        left, right = then.get(name, "-"), now.get(name, "-")
        mark, style = ("", "") if left == right else ("≠", "bold red")
        cells = (Text(terminal.safe(text), style) for text in (left, right))
        table.add_row(Text(mark, style), Text(name, style="dim"), *cells)
    console = terminal.console()
    console.print(table)
    basis = difference.basis
    console.print(
        Text(f"\nIt rests on the log up to {basis.sequence}, at {basis.now.isoformat()}:", style="bold")
    )
    lines = [f"{name}: {value}" for name, value in flat(difference.grounds).items()]
    for text in lines[:LINES_MAX]:
        console.print(Text("  " + terminal.safe(text)))
    if len(lines) > LINES_MAX:
        console.print(Text(f"  … {len(lines) - LINES_MAX} more; --json shows all"))


def flat(value: Any, name: str = "") -> dict[str, str]:
    """The leaves of a JSON value by their paths."""
    from msgspec.json import encode

    if isinstance(value, dict) and value:
        return {
            k: v
            for key, part in value.items()
            for k, v in flat(part, f"{name}.{key}" if name else key).items()
        }
    if isinstance(value, list) and value and not all(isinstance(part, str | int | float) for part in value):
        return {k: v for place, part in enumerate(value) for k, v in flat(part, f"{name}[{place}]").items()}
    if not name:
        return {}
    return {name: value if isinstance(value, str) else encode(value).decode()}
