"""Old event data brought to the present version on read; what is in the log is never rewritten.

An upcaster takes the data of one version as a plain object and returns that of the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


def _cleared_v1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 said nothing of what was erased."""
    return {**data, "events": None, "sequences": [], "archived": ""}


UPCASTERS: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    ("execution.cleared", 1): _cleared_v1,
}


def upcast(kind: str, version: int, target: int, data: dict[str, Any]) -> dict[str, Any]:
    """``data`` of ``kind`` at ``version``, brought to ``target``. Raises ValueError where a step is missing."""
    while version < target:
        step = UPCASTERS.get((kind, version))
        if step is None:
            raise ValueError(f"no upcaster for {kind} from version {version}")
        data, version = step(data), version + 1
    return data
