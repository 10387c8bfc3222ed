"""Names that are made here and nowhere else in the world: UUIDs of version 7, which sort by the time they
were made.

https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
"""

from __future__ import annotations

import os
import time
from uuid import UUID


def uuid7() -> str:
    """A new id: 48 bits of milliseconds, then chance, written as ``01890a5d-ac96-774b-bcce-b302099a8057``."""
    return str(from_parts(time.time_ns() // 1_000_000, os.urandom(10)))


def from_parts(milliseconds: int, chance: bytes) -> UUID:
    """The version 7 UUID of this time and these ten bytes, of which 74 bits are used."""
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(chance[:10], "big")
    number = number & ~(0xF << 76) | 7 << 76
    return UUID(int=number & ~(0x3 << 62) | 0x2 << 62)
