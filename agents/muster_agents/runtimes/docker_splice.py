"""Where what is heard live goes on from what a log said.

A container that is attached to while it runs may be in the middle of a line, and in the middle of much: its log has
whole lines only, and may already hold some of what comes live. So what comes live waits until a line end is among it;
the line it ended, and perhaps more, is by then at the end of the log, or will be in a moment. The two are laid over
each other, and what the log told is left out of what comes live.

Several places may fit where a container prints the same again and again. The one where most agrees is taken, and of
several the last: rather is a line told twice than not at all. Where the log is ahead of what came live, the rest of it
is waited for: nothing is left out that was not seen to be the same.
"""

from __future__ import annotations

from typing import Final

PROBE: Final = 32
"""So much of what came live is looked for in the log."""
PLACES_MAX: Final = 64
"""So many places are looked at: enough for all but a container that prints one thing all the time."""
KEPT: Final = 4 << 20
"""Of either side: some times what an engine holds for a connection, by which its log may be ahead. Who prints more than
this while it is looked for has to do with a line told twice."""


class Splice:
    """One stream of one container. ``joined`` when its log is needed no more; ``ahead`` when its log has the more."""

    def __init__(self) -> None:
        self._told = bytearray()
        self._live = bytearray()
        self.ahead = False
        self.joined = False

    def tell(self, chunk: bytes | bytearray) -> None:
        """The log said this."""
        self._told += chunk
        del self._told[:-KEPT]

    def hear(self, chunk: bytes) -> bytes:
        """This came live; what of it is new, once the two are joined."""
        if self.joined:
            return chunk
        self._live += chunk
        return b""

    @property
    def is_ready(self) -> bool:
        """Whether the log holds, or will in a moment, something of what came live."""
        return b"\n" in self._live or len(self._live) >= KEPT

    def join(self, *, anyhow: bool = False) -> bytes | None:
        """What came live and the log did not tell; None where they do not fit, unless they are joined ``anyhow``."""
        place = self._place()
        known = 0 if place is None else len(self._told) - place
        self.ahead = known > len(self._live)
        if not anyhow and (place is None or self.ahead):
            return None
        rest = bytes(self._live[known:])
        self.joined = True
        self._told.clear()
        self._live.clear()
        return rest

    def _place(self) -> int | None:
        """Where in the log what came live begins."""
        told, live = self._told, self._live
        best, agreed = None, 0
        for place in self._candidates():
            count = min(len(told) - place, len(live))
            if count > agreed and told[place : place + count] == live[:count]:
                best, agreed = place, count
        return best

    def _candidates(self) -> list[int]:
        """From the last to the first."""
        told, probe = self._told, bytes(self._live[:PROBE])
        found = [len(told) - count for count in range(1, min(len(probe), len(told) + 1))]
        end = len(told)
        while len(found) < PROBE + PLACES_MAX and (place := told.rfind(probe, 0, end)) >= 0:
            found.append(place)
            end = place + len(probe) - 1
        return found
