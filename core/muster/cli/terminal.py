"""What every command shares: the global options, the settings made of them, and where output goes."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from muster.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Terminal:
    """The global options and the two streams. ``json`` means: one object or line of JSON, and nothing else."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.data_dir: Path | None = None
        self.archive: Path | None = None
        self.json = False

    @property
    def settings(self) -> Settings:
        """The settings of flags and environment."""
        from muster.settings import load

        return load(url=self.url, data_dir=self.data_dir, archive=self.archive)

    @property
    def interactive(self) -> bool:
        """Whether a person sits at both ends."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def live(self) -> bool:
        """Whether output can be drawn over."""
        return sys.stdout.isatty() and not self.json

    def console(self, *, stderr: bool = False) -> Console:
        """A rich console; plain text in full width where the output is no terminal."""
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        return Console(
            stderr=stderr,
            highlight=False,
            soft_wrap=not stream.isatty(),
            width=None if stream.isatty() else 200,
        )

    def safe(self, text: str) -> str:
        """Text that is not ours: harmless on a terminal, as it is anywhere else."""
        if not sys.stdout.isatty():
            return text
        from muster.cli.words import harmless

        return harmless(text)

    def say(self, text: str) -> None:
        """A line for people: to stdout, or with ``--json`` to stderr, so that stdout stays JSON."""
        print(text, file=sys.stderr if self.json else sys.stdout, flush=True)

    def emit(self, value: Any) -> None:
        """A JSON value on a line of its own."""
        from msgspec.json import encode

        self.emit_line(encode(value, enc_hook=str))

    def emit_line(self, line: bytes) -> None:
        """A line that is JSON already."""
        text = line.decode() + "\n"
        raw = getattr(sys.stdout, "buffer", None)
        if isinstance(raw, io.RawIOBase):  # PYTHONUNBUFFERED: what a pipe did not take at once would be lost
            rest = memoryview(text.encode())
            while rest:
                rest = rest[raw.write(rest) or 0 :]
            return
        sys.stdout.write(text)
        sys.stdout.flush()


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and param.name is not None:
        setattr(ctx.ensure_object(Terminal), param.name, value)


def global_options(command: F) -> F:
    """``--url``, ``--data-dir`` and ``--json``, which may stand before or after the command's name."""
    for option in (
        click.option(
            "--json", is_flag=True, expose_value=False, callback=_remember, help="Machine-readable output, one JSON "
            "value a line.",
        ),
        click.option(
            "--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", expose_value=False,
            callback=_remember, help="Where the embedded broker, outboxes and the view are.  [env: MUSTER_DATA_DIR]",
        ),
        click.option(
            "--url", metavar="URL", expose_value=False, callback=_remember,
            help="The broker, such as nats://127.0.0.1:4222.  [env: MUSTER_URL]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


archive_option = click.option(
    "--archive",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    expose_value=False,
    callback=_remember,
    help="A directory for executions that are archived, instead of a bucket in the broker.  [env: MUSTER_ARCHIVE]",
)

pass_terminal = click.make_pass_decorator(Terminal, ensure=True)


def execute(work: Coroutine[Any, Any, T]) -> T:
    """Run the command's coroutine on a new loop."""
    _log_to_stderr()
    try:
        import uvloop
    except ImportError:  # not made for Windows
        runner: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run
    else:
        runner = uvloop.run
    try:
        return runner(work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _log_to_stderr() -> None:
    import logging  # here, like all that --help does not need

    level = logging.DEBUG if os.environ.get("MUSTER_DEBUG") else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def help_of(function: Callable[..., Any]) -> str:
    """The function's docstring as help; its examples keep their lines."""
    text = inspect.cleandoc(function.__doc__ or "")
    return text if "\b" in text else text.replace("\nExamples:\n", "\n\b\nExamples:\n")


def command(name: str, **options: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with the global options whose first parameter is the terminal."""

    def make(function: Callable[..., Any]) -> click.Command:
        decorate = click.command(name, cls=click.Command, help=help_of(function), **options)
        return decorate(global_options(pass_terminal(function)))

    return make
