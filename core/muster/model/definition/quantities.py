"""Durations (``500ms 10s 5m 1h``) and sizes (``64Mi 1Gi``), as people write them in workflow files."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))+\Z")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(|[kKMGT]i?)[bB]?\Z")
_BYTES: Final = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "ki": 2**10,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def seconds(duration: str | float) -> float:
    """Seconds of ``duration``; a bare number is seconds already. Raises ValueError with the accepted forms."""
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        if duration < 0:
            raise ValueError(f"{duration!r} is negative; write a duration such as 500ms, 10s, 5m or 1h")
        return float(duration)
    found = _read(duration) if isinstance(duration, str) else None
    if found is None:
        raise ValueError(f"{duration!r} is not a duration; write it like 500ms, 10s, 5m or 1h")
    return found


@lru_cache(maxsize=1024)  # a large workflow says the same few, seven times a step
def _read(duration: str) -> float | None:
    if not _DURATION.match(duration):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(duration))


def size_bytes(size: str | int) -> int:
    """Bytes of ``size``; a bare number is bytes already. Raises ValueError with the accepted forms."""
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    match = _SIZE.match(size) if isinstance(size, str) else None
    if match is None:
        raise ValueError(f"{size!r} is not a size; write it like 64Mi, 512M or 1Gi")
    return int(float(match[1]) * _BYTES[match[2]])
