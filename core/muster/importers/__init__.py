"""Workflows of other systems, made Muster's.

Each importer takes the data of a file and gives a workflow and a list of notes: what could not be carried, and what is
carried in another way. What a system runs inside its own process becomes a container step; the image that holds the
code is the input ``image`` of the workflow, because nobody but its owner can say what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from muster.importers.draft import Imported, Note, refuse

__all__ = ["SYSTEMS", "Imported", "Note", "imported"]

SYSTEMS: Final = {
    "pyconduit": "muster.importers.pyconduit",
    "hymir": "muster.importers.hymir",
    "julep": "muster.importers.julep",
}


def imported(system: str, data: Any, *, name: str, image: str | None = None) -> Imported:
    """The workflow in ``data``, which a file of that system holds.

    ``name`` is what it is called where it does not say; ``image`` the default of the input of that name. Raises
    WorkflowInvalidError where it is no file of that system.
    """
    carry: Callable[..., Imported] = import_module(SYSTEMS[system]).carry
    try:
        return carry(data, name=name, image=image)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        # A file of another make may have any shape; each part of it is asked for what that system writes there.
        refuse(
            f"this is no file of {system}, or a damaged one: {error}.",
            "Is it the right system, and the whole file?",
        )
