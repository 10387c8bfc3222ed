"""The live picture of an execution on a terminal: one line per step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Self

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from muster.cli.overview import overview
from muster.cli.words import STATUS_STYLE, amount, doing, elapsed, harmless, sign
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.log.envelope import Recorded

REDRAW_S: Final = 0.125  # eight times a second looks continuous and costs next to nothing
_RANK: Final = {"running": 0, "preparing": 1, "waiting": 2, "scheduled": 3, "failed": 4, "cancelled": 5}


class Board:
    """Draws while its block runs, and leaves the last picture standing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view = ExecutionView("")
        self._live = self._new()
        self._task: asyncio.Task[None] | None = None

    def update(self, recorded: Recorded, step: StepView | None) -> None:
        """Nothing: what changed is seen at the next drawing."""

    def shows(self, view: ExecutionView) -> Self:
        """Draw this execution."""
        self._view = view
        return self

    async def __aenter__(self) -> Self:
        self.resume()
        self._task = asyncio.create_task(self._draw(), name="muster-board")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.pause()

    def pause(self) -> None:
        """Leave the picture as it is, so that something else can be written below it."""
        if self._live.is_started:
            self._live.update(picture(self._view, self._console.height), refresh=True)
            self._live.stop()

    def resume(self) -> None:
        """Draw again, below what was written."""
        if not self._live.is_started:
            self._live = self._new()
            self._live.start()

    def _new(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=False)

    async def _draw(self) -> None:
        while True:
            if self._live.is_started:
                self._live.update(picture(self._view, self._console.height), refresh=True)
            await asyncio.sleep(REDRAW_S)


def picture(view: ExecutionView, height: int = 40) -> ConsoleRenderable:
    """The execution now: what moves comes first where there is not room for all."""
    now = datetime.now(UTC)
    name = view.workflow.name if view.workflow else ""
    finished, total = view.progress
    title = Text.assemble(
        (name, "bold"),
        "  ",
        (view.status, STATUS_STYLE.get(view.status, "")),
        f"  {finished}/{total} steps  {view.id}",
    )
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    steps = overview(view)
    room = max(3, height - 4)
    for step in shown(steps, room):
        table.add_row(*_row(step, now))
    if len(view.steps) > (drawn := min(len(steps), room)):
        table.add_row("", f"… and {len(view.steps) - drawn} more", "", "", "", "")
    return Group(title, table)


def shown(steps: list[StepView], room: int) -> Iterable[StepView]:
    """At most ``room`` steps in the order of the definition, those that move before those that do not."""
    if len(steps) <= room:
        return steps
    chosen = {step.path for step in sorted(steps, key=lambda step: _RANK.get(step.status, 6))[:room]}
    return [step for step in steps if step.path in chosen]


def _row(step: StepView, now: datetime) -> tuple[ConsoleRenderable | str, ...]:
    style = STATUS_STYLE.get(step.status, "")
    bar: ConsoleRenderable | str = ""
    if step.progress is not None and step.progress.total:
        bar = ProgressBar(total=step.progress.total, completed=step.progress.current, width=20)
    return (
        Text(sign(step.status), style=style),
        Text(step.path, style="bold"),
        Text(harmless(doing(step, now)), style=style),
        bar,
        Text(harmless(amount(step.progress)) if step.progress else "", style="dim"),
        Text(step.machine or "", style="cyan"),
        Text(elapsed(step.scheduled_at, step.ended_at or now), style="dim"),
    )
