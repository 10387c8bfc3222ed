"""What is shown on a terminal that is narrow, and of text that would steer it."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from muster.cli.functions import Loaded, show
from muster.cli.list import Row, _print, columns, shortened
from muster.cli.roster import Machine
from muster.cli.terminal import Terminal
from muster.cli.words import LINE_MAX, harmless
from muster.client.timeline import CONTAINER
from muster.model.log.commands import FunctionStatus

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ROWS = [
    Row(
        id=f"019abcde-0000-7000-8000-00000000000{number}",
        workflow="wordcount",
        status="succeeded",
        steps=3,
        created_at=NOW,
        ended_at=NOW + timedelta(seconds=3),
    )
    for number in range(2)
]


class Tty(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_the_id_gives_way_before_the_status(width: int, monkeypatch: pytest.MonkeyPatch):
    """However narrow the terminal, each execution is one line with its status and the end of its id."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "25")  # without it, a dumb terminal has 80 columns whatever is said
    monkeypatch.setenv("TERM", "dumb")
    screen = Tty()
    monkeypatch.setattr(sys, "stdout", screen)
    _print(Terminal(), ROWS)
    _, first, second = screen.getvalue().splitlines()
    for row, line in zip(ROWS, (first, second), strict=True):
        assert len(line.rstrip()) <= width
        assert "succeeded" in line
        assert line.split()[0].endswith(row.id[-12:])
    assert (ROWS[0].id in first) == (width == 200)


def test_nothing_is_dropped_where_the_id_can_be_shortened():
    """On 80 columns all columns stay, and the id gets what is left."""
    chosen, room = columns(ROWS, 80)
    assert chosen == ["execution", "workflow", "status", "steps", "queued", "took"]
    assert len(shortened(ROWS[0].id, room)) == room < 36


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢\ttab", "plain ü 漢\ttab"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("a\u202eb", "a\\u202eb"),
        ("one\r\ntwo\rthree", "one\ntwo\\rthree"),
    ],
)
def test_what_would_steer_a_terminal_is_written_out(text: str, shown: str):
    """Control characters of foreign text are escaped; text, tabs and lines stay."""
    assert harmless(text) == shown


def test_a_long_line_is_cut():
    """A line is cut, and says how long it is."""
    assert harmless("x" * 5000) == f"{'x' * LINE_MAX}… (5000 characters)"


def test_only_a_terminal_needs_it(monkeypatch: pytest.MonkeyPatch):
    """Into a file or a pipe text goes as it is."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Terminal().safe("\x1b[31m") == "\x1b[31m"
    monkeypatch.setattr(sys, "stdout", Tty())
    assert Terminal().safe("\x1b[31m") == "\\x1b[31m"


@pytest.mark.parametrize(("width", "wide"), [(60, False), (80, False), (200, False), (80, True)])
def test_a_function_and_its_container_are_shown_whole(
    width: int, wide: bool, monkeypatch: pytest.MonkeyPatch
):
    """On a narrow terminal the container stands below its function; --wide has long lines rather than half words."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "25")
    monkeypatch.setenv("TERM", "dumb")
    screen = Tty()
    monkeypatch.setattr(sys, "stdout", screen)
    status = FunctionStatus(
        function="app.text:Shout", image="registry.example/text:1", container="0123456789abcdef", state="idle"
    )
    status = msgspec.structs.replace(status, used_at=NOW, since=NOW, load_s=2.4, calls=17)
    show(Terminal(), [Loaded(machine=Machine(name="vm"), functions=[status])], NOW, wide=wide)
    lines = screen.getvalue().splitlines()
    assert "…" not in screen.getvalue()
    if width >= 80:
        assert sum("app.text:Shout" in line for line in lines) == 1
        assert sum(status.container[:CONTAINER] in line for line in lines) == 1
    assert ("registry.example/text:1" in screen.getvalue()) == wide
    if not wide and width >= 80:
        assert len(lines) == (2 if width == 200 else 4)
        assert max(len(line.rstrip()) for line in lines) <= width
