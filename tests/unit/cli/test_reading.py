"""The bar of a long reading."""

from __future__ import annotations

import io
import sys

import pytest

from muster.cli.reading import LONG, reading
from muster.cli.terminal import Terminal


class Screen(io.StringIO):
    """A terminal, or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def drawn(monkeypatch: pytest.MonkeyPatch, stop: int, *, terminal: bool) -> str:
    """What is on the screen after a reading up to ``stop``."""
    screen = Screen(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with reading(Terminal()) as read_to:
        for sequence in range(0, stop + 1, max(1, stop // 4)):
            read_to(sequence, stop)
    return screen.getvalue()


def test_a_person_sees_how_far_a_long_reading_is(monkeypatch: pytest.MonkeyPatch):
    """On a terminal a long reading has a bar that goes to its end."""
    text = drawn(monkeypatch, 4 * LONG, terminal=True)
    assert "Reading the log" in text
    assert "100%" in text


@pytest.mark.parametrize(("stop", "terminal"), [(LONG - 1, True), (4 * LONG, False)])
def test_nobody_is_bothered_else(monkeypatch: pytest.MonkeyPatch, stop: int, terminal: bool):
    """A short reading, and one whose stderr is no terminal, draws nothing to read."""
    assert "Reading" not in drawn(monkeypatch, stop, terminal=terminal)
