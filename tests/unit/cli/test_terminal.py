"""What commands print arrives whole."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from muster.cli.terminal import Terminal


class Narrow(io.RawIOBase):
    """A pipe that takes little at a time, as one may whose reader is slow."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Some of it."""
        self.taken += bytes(data[:10])
        return min(10, len(data))


def test_a_line_is_whole_on_an_unbuffered_pipe(monkeypatch: pytest.MonkeyPatch):
    """With PYTHONUNBUFFERED, as in many images, Python itself drops what a pipe does not take at once."""
    pipe = Narrow()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, encoding="utf-8", write_through=True))  # type: ignore[type-var]
    Terminal().emit({"words": ["ä" * 50]})
    assert pipe.taken.decode() == '{"words":["' + "ä" * 50 + '"]}\n'
