"""``muster scheduler --shadow``: what a scheduler that only listens has to say."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from muster.cli import failures
from muster.cli.replay import as_object, side_by_side
from muster.cli.serving import Shutdown, connect
from muster.clock import Clock
from muster.model.proof.replay import key
from muster.model.proof.shadow import Disagreement
from muster.scheduler.report import Notice, Standing
from muster.scheduler.shadow import Shadow

if TYPE_CHECKING:
    from muster.cli.terminal import Terminal
    from muster.scheduler.options import ShadowOptions

REFRESH_S: Final = 0.25
TITLES: Final = ("the leader decided", "this version decides")


async def shadow(
    terminal: Terminal, options: ShadowOptions, *, start: int = 0, lasts_s: float | None = None
) -> int:
    """Follow silently until the time is over or Ctrl-C; the exit code: 1 where anything disagreed."""
    broker = await connect(terminal.settings, "muster-shadow")
    try:
        status = terminal.console().status("reading the log") if terminal.live else None
        with Shutdown() as shutdown, status or nullcontext():
            found = Shadow(
                broker,
                options,
                Clock(),
                lambda said: _tell(terminal, said),
                start=start,
                lasts_s=lasts_s,
            )
            drawing = asyncio.create_task(_draw(status, found))
            try:
                standing = await found.run(shutdown.asked)
            finally:
                drawing.cancel()
    finally:
        await broker.close()
    _conclude(terminal, standing)
    return failures.EXECUTION_FAILED if standing.disagreements else failures.OK


async def _draw(status: Any, found: Shadow) -> None:
    while status is not None:
        status.update(progress(found.standing))
        await asyncio.sleep(REFRESH_S)


def progress(standing: Standing) -> str:
    """The status line."""
    behind = standing.end - standing.sequence
    where = (
        f"at {standing.sequence} of {standing.end}" if behind else f"at the end of the log ({standing.end})"
    )
    return f"{where} · {_counts(standing)}"


def _counts(standing: Standing) -> str:
    parts = [f"{standing.rounds} rounds compared", _some(standing.disagreements, "disagreement")]
    if standing.doubtful:
        parts.append(f"{standing.doubtful} in doubt")
    return " · ".join(parts)


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _tell(terminal: Terminal, said: Disagreement | Notice) -> None:
    if isinstance(said, Notice):
        if terminal.json:
            terminal.emit({"kind": said.kind, "sequence": said.sequence, "text": said.text})
        else:
            terminal.say(terminal.safe(f"{said.sequence:>8}  {said.text}"))
    elif terminal.json:
        terminal.emit(_as_object(said))
    else:
        _print(terminal, said)


def _as_object(found: Disagreement) -> dict[str, Any]:
    difference = found.difference
    return {
        "kind": found.kind,
        "sequence": difference.sequence,
        "basis": str(difference.basis),
        "leader": found.leader,
        "software": found.software,
        "then": as_object(difference.then),
        "now": as_object(difference.now),
        "grounds": difference.grounds,
        "error": found.error,
    }


def _print(terminal: Terminal, found: Disagreement) -> None:
    difference = found.difference
    terminal.say(terminal.safe(f"{difference.sequence:>8}  DISAGREEMENT  {sentence(found)}"))
    if difference.grounds:
        side_by_side(terminal, difference, TITLES)


def sentence(found: Disagreement) -> str:
    """The disagreement in a line."""
    then, now = found.difference.then, found.difference.now
    if found.kind == "failed":
        after = f" over {then.kind}" if then is not None else ""
        return f"this version fails{after}: {found.error}"
    if found.kind == "owed":
        return f"the leader {found.leader} has not decided {_about(now)}"
    if then is None or found.key is not None:
        return f"only this version decides {_about(now)}"
    if now is None:
        return f"only the leader decided {_about(then)}"
    if key(then) != key(now):
        return f"the leader decided {_about(then)} where this version decides {_about(now)}"
    return f"{_about(then)} comes out differently"


def _about(event: Any) -> str:
    where = "/".join(part for part in (event.execution, event.step) if part)
    return f"{event.kind} of {where}" + (f"#{event.attempt}" if event.attempt else "")


def _conclude(terminal: Terminal, standing: Standing) -> None:
    if terminal.json:
        from msgspec import to_builtins

        terminal.emit({"kind": "summary"} | to_builtins(standing))
        return
    beside = f" beside {standing.leader} ({standing.software})" if standing.leader else ""
    counted = f"{standing.rounds} rounds, {standing.decisions} decisions"
    found = _some(standing.disagreements, "disagreement")
    lines = [f"\nshadow ({standing.version}){beside}: {found} in {counted}"]
    if not standing.caught_up:
        lines.append(f"  only {standing.sequence} of {standing.end} events were read")
    if standing.doubtful:
        lines.append(f"  {standing.doubtful} rounds rest on what was cleared or archived since: not compared")
    if standing.repeated:
        lines.append(f"  {standing.repeated} more rounds differ by what was reported before")
    if standing.unanswered_s:
        lines.append(f"  no leader answered for {standing.unanswered_s:g} s")
    terminal.say(terminal.safe("\n".join(lines)))
