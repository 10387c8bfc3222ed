"""Old event data brought to the present version on read; what is in the log is never rewritten.

An upcaster takes the data of one version as a plain object and returns that of the next. There are none yet:
every kind is at version 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

UPCASTERS: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {}


def upcast(kind: str, version: int, target: int, data: dict[str, Any]) -> dict[str, Any]:
    """``data`` of ``kind`` at ``version``, brought to ``target``. Raises ValueError where a step is missing."""
    while version < target:
        step = UPCASTERS.get((kind, version))
        if step is None:
            raise ValueError(f"no upcaster for {kind} from version {version}")
        data, version = step(data), version + 1
    return data
