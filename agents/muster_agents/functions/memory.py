"""How much memory the host has left."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

MEMINFO: Final = Path("/proc/meminfo")


def available_share(place: Path = MEMINFO) -> float:
    """Which share of the memory a program could still get; 1 where the kernel does not say. Reads a file."""
    with contextlib.suppress(OSError, ValueError, LookupError, ZeroDivisionError):
        lines = place.read_text(encoding="ascii").splitlines()
        known = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return known["MemAvailable"] / known["MemTotal"]
    return 1.0
