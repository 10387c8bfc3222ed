"""What a rehearsal had to assume, in words, each with what it was assumed of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from muster.model.log.body import AttemptRef

REFS_MAX: Final = 100  # attempts named under one assumption; the count goes on


class Assumption(msgspec.Struct, kw_only=True):
    """One thing that the record does not tell, ``count`` times; ``attempts`` are the first of those it is about."""

    text: str
    count: int = 0
    attempts: list[str] = []

    def __str__(self) -> str:
        return self.text if self.count <= 1 else f"{self.text} ({self.count} times)"


class Assumptions:
    """Collected in the order in which they were made; the same text is one assumption."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._found: dict[str, Assumption] = {}
        for text in texts:
            self.note(text)

    def note(self, text: str, ref: AttemptRef | None = None) -> None:
        """It is assumed (once more)."""
        found = self._found.setdefault(text, Assumption(text=text))
        found.count += 1
        if ref is not None and len(found.attempts) < REFS_MAX:
            found.attempts.append(f"{ref.execution}/{ref.step}#{ref.attempt}")

    def all(self) -> list[Assumption]:
        """All of them."""
        return list(self._found.values())
