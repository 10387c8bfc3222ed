"""Which image a name means now: what the engine said a moment ago is believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

KEPT_MAX: Final = 1000
"""Images that are remembered: asking again costs little."""


class Digests:
    """``ask`` asks the engine, whose word is believed for ``believed_s`` seconds."""

    def __init__(
        self, ask: Callable[[str], Awaitable[str | None]], believed_s: float, now: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._believed_s = believed_s
        self._now = now
        self._known: dict[str, tuple[str | None, float]] = {}

    async def of(self, image: str) -> str | None:
        """Its digest; None where it is not here. Raises what the engine does."""
        found, until = self._known.get(image, (None, float("-inf")))
        if self._now() < until:
            return found
        found = await self._ask(image)
        if len(self._known) >= KEPT_MAX:
            self._known.clear()
        self._known[image] = (found, self._now() + self._believed_s)
        return found

    def forget(self, image: str) -> None:
        """It was pulled: the name may mean another one."""
        self._known.pop(image, None)
