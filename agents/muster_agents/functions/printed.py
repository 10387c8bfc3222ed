"""What a function prints on stderr, given to the calls that were under way.

A function that says ``marks`` ends what a call printed with a line of its own: NUL and the call's id. Answer and prints
come through two pipes, so the mark says that everything is there. A container that was found again prints everything it
ever printed once more: until it is known where that ends, only what came after the last foreign mark is kept, since
earlier calls, perhaps of other executions, have their lines already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MARK: Final = b"\0"
MARK_BYTES_MAX: Final = 1024
"""A mark is no longer than an id may be; what is longer is what the function printed."""
SLASHES_MIN: Final = 2
"""In the id of any call: a mark that comes too late is dropped, a NUL that a program printed is not."""
AGAIN_BYTES_MAX: Final = 1 << 20
"""Of what comes again so much is kept, from its end."""

Give = Callable[[bytes], None]
Marked = Callable[[str], bool]


class Printed:
    """``give`` takes what was printed, ``marked`` the ids of marks, and says whether it knows them."""

    def __init__(self, give: Give, marked: Marked, *, again: bool = False) -> None:
        self._give = give
        self._marked = marked
        self._kept = bytearray() if again else None
        self._begun = b""

    @property
    def again(self) -> bool:
        """Whether what comes may have come before."""
        return self._kept is not None

    def foreign(self) -> None:
        """A call that is over had its answer: what was printed so far was its own, where it comes again."""
        if self._kept is not None:
            self._kept.clear()

    def take(self, chunk: bytes) -> None:
        """What came on stderr."""
        if self._begun:
            chunk, self._begun = self._begun + chunk, b""
        passed = at = 0
        while (at := chunk.find(MARK, at)) >= 0:
            end = chunk.find(b"\n", at, at + MARK_BYTES_MAX)
            if end < 0 and len(chunk) - at < MARK_BYTES_MAX:
                self._begun = chunk[at:]
                break
            if end < 0:
                at += 1
                continue
            at = chunk.rfind(MARK, at, end)
            self._pass(chunk[passed:at])
            self._mark(chunk[at : end + 1])
            passed = at = end + 1
        self._pass(chunk[passed : len(chunk) - len(self._begun)])

    def _mark(self, line: bytes) -> None:
        try:
            id_ = line[1:-1].decode()
        except UnicodeDecodeError:
            self._pass(line)
            return
        if self._kept is not None:
            if self._marked(id_):
                self.settle()
            else:
                self._kept.clear()
        elif not self._marked(id_) and id_.count("/") < SLASHES_MIN:
            self._pass(line)

    def _pass(self, text: bytes) -> None:
        if not text:
            return
        if self._kept is None:
            self._give(text)
            return
        self._kept += text
        del self._kept[:-AGAIN_BYTES_MAX]

    def settle(self) -> None:
        """From here on nothing comes again: what was kept belongs to the calls under way."""
        kept, self._kept = self._kept, None
        if kept:
            self._give(bytes(kept))
