"""The bar that a person sees while a long stretch of the log is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from muster.cli.terminal import Terminal

LONG: Final = 20_000  # events; reading so many takes about a second, long enough for a person to wonder


@contextmanager
def reading(terminal: Terminal, what: str = "Reading the log") -> Iterator[Callable[[int, int], None]]:
    """Call what it gives with how far the log was read and how far it has to be.

    The bar is drawn on stderr, where that is a terminal, and leaves nothing behind.
    """
    if not sys.stderr.isatty():
        yield lambda _, __: None
        return
    from rich.progress import Progress, TaskID

    with Progress(console=terminal.console(stderr=True), transient=True) as bar:
        task: list[TaskID] = []

        def read_to(sequence: int, stop: int) -> None:
            if stop >= LONG:
                task.extend([] if task else [bar.add_task(what, total=stop)])
                bar.update(task[0], completed=sequence)

        yield read_to
