"""The bars that a person sees while a long stretch of the log is read, or a file is moved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from muster.cli.terminal import Terminal

LONG: Final = 20_000  # events; reading so many takes about a second, long enough for a person to wonder


@contextmanager
def transferring(terminal: Terminal) -> Iterator[Callable[[str, int, int], None]]:
    """Call what it gives with a file's name, how many of its bytes were moved, and how many it has.

    The bars are drawn on stderr, where that is a terminal, and leave nothing behind.
    """
    if not sys.stderr.isatty() or terminal.json:
        yield lambda _, __, ___: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=terminal.console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def moved(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(terminal.safe(name), total=total)
            bars.update(tasks[name], completed=done)

        yield moved


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
