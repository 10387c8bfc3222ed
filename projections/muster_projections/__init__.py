"""The projections: fold the log into views that anyone can query, rebuild and verify.

What is imported from here is for projections of one's own: docs/projections.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muster.model.log.envelope import Event, Recorded
    from muster_projections.projection import (
        Change,
        Column,
        Delete,
        Insert,
        Projection,
        Table,
        Upsert,
        moment,
        on,
        text,
    )

__all__ = [
    "Change",
    "Column",
    "Delete",
    "Event",
    "Insert",
    "Projection",
    "Recorded",
    "Table",
    "Upsert",
    "moment",
    "on",
    "text",
]


def __getattr__(name: str) -> Any:
    """Load the name when it is asked for: the command line imports this package and needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    place = "muster.model.log.envelope" if name in {"Event", "Recorded"} else "muster_projections.projection"
    return getattr(import_module(place), name)
