"""Where the histories are, and what is expected of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

HISTORIES: Final = Path(__file__).parent / "histories"


def names() -> list[str]:
    """The names of all histories."""
    return sorted(path.stem for path in HISTORIES.glob("*.jsonl"))


def history(name: str) -> Path:
    """The file of a history."""
    return HISTORIES / f"{name}.jsonl"


def expectation(name: str) -> Path:
    """The file that says what comes of it."""
    return HISTORIES / f"{name}.expected.json"
