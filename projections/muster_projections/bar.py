"""How far a fold of the whole log is, drawn where somebody watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from muster.cli.terminal import Terminal

if TYPE_CHECKING:
    from muster_projections.shadow import Progress, Watch

WORDS = {"fold": "folding the log", "compare": "comparing"}


@contextmanager
def bar(terminal: Terminal) -> Iterator[Watch | None]:
    """Events, events a second, and the time left; gone when the block ends."""
    if not terminal.live:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Shown

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Shown(*columns, console=terminal.console(stderr=True), transient=True) as shown:
        task = shown.add_task(WORDS["fold"], total=None, rate="")

        def update(done: Progress) -> None:
            elapsed = shown.tasks[0].elapsed or 0.0
            rate = f"{done.events / elapsed:,.0f} events/s" if elapsed and done.doing == "fold" else ""
            shown.update(
                task, description=WORDS[done.doing], completed=done.sequence, total=done.last, rate=rate
            )

        yield update
