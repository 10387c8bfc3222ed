"""What a function prints on stdout, told apart: lines that may be messages, and all the rest.

A line that begins with ``{`` may be a message, and is kept until its end has come; everything else passes at once. So
nothing is held in memory beyond ``limit`` bytes, whatever a function prints.
"""

from __future__ import annotations

from typing import Final, NamedTuple

ENDS_BYTES: Final = 4096
"""Of a line that is too long so much is kept of its beginning and of its end: its id stands in one of them."""


class TooLong(NamedTuple):
    """A line of more than the limit: its beginning, its end, and its size in bytes."""

    head: bytes
    tail: bytes
    size: int


class Lines:
    """The lines of one stream."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._tail = bytearray()
        self._size = 0
        self._passing = False

    def take(self, chunk: bytes) -> tuple[list[bytes | TooLong], bytes]:
        """The lines that came to their end and may be messages, and what can be none, line ends included."""
        if not self._size and b"{" not in chunk:
            self._passing = not chunk.endswith(b"\n")
            return [], chunk
        found: list[bytes | TooLong] = []
        passed: list[bytes] = []
        at = 0
        while at < len(chunk):
            end = chunk.find(b"\n", at) + 1
            piece = chunk[at : end or len(chunk)]
            at = end or len(chunk)
            if self._begins(piece):
                self._keep(piece)
                if end:
                    found.append(self._whole())
            else:
                passed.append(piece)
                self._passing = not end
        return found, b"".join(passed)

    def _begins(self, piece: bytes) -> bool:
        """Whether it belongs to a line that may be a message."""
        return bool(self._size) or (not self._passing and piece.startswith(b"{"))

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit:
            self._kept += piece
            return
        if len(self._kept) > ENDS_BYTES:
            self._tail += self._kept[-ENDS_BYTES:]
            del self._kept[ENDS_BYTES:]
        self._tail += piece[-ENDS_BYTES:]
        if room := ENDS_BYTES - len(self._kept):
            self._kept += piece[: max(room, 0)]
        del self._tail[:-ENDS_BYTES]

    def _whole(self) -> bytes | TooLong:
        size, kept, tail = self._size, bytes(self._kept), bytes(self._tail)
        self._kept.clear()
        self._tail.clear()
        self._size = 0
        return kept if size <= self._limit else TooLong(kept, tail, size)
