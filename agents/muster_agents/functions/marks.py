"""The marks with which calls end what they print, as ``Printed`` finds them: how long they are waited for.

The answer and the prints of a call come through two pipes. Where the answer is there, the last prints are waited for a
moment: a machine that is busy may take one.
"""

from __future__ import annotations

import asyncio
from typing import Final

MARK_S: Final = 0.5
"""How long a mark is waited for when the answer is there. A function that sends none is not waited for."""
UNMARKED_MAX: Final = 3
"""After so many calls in a row without a mark it is believed that the function lost its stderr: none waits for one."""


class Marks:
    """Of one container."""

    def __init__(self) -> None:
        self._expected: dict[str, asyncio.Event] = {}
        self._missed = 0

    def expect(self, id_: str) -> None:
        """The mark of this call will come. Until ``forget``."""
        self._expected[id_] = asyncio.Event()

    def forget(self, id_: str) -> None:
        """Nobody waits for it any more."""
        self._expected.pop(id_, None)

    def came(self, id_: str) -> bool:
        """A mark is there; whether it was expected."""
        mark = self._expected.get(id_)
        if mark is not None:
            mark.set()
        return mark is not None

    async def wait(self, id_: str) -> None:
        """Until the mark of this call is there, or was waited for long enough."""
        mark = self._expected.get(id_)
        if mark is None or mark.is_set() or self._missed >= UNMARKED_MAX:
            return
        try:
            async with asyncio.timeout(MARK_S):
                await mark.wait()
        except TimeoutError:
            self._missed += 1
        else:
            self._missed = 0
