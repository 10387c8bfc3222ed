"""Workflow definitions in the forms people have them in, made one: a checked ``Workflow``."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from muster.model.definition.terms import encoded
from muster.model.definition.workflow import Workflow

VALIDATION: Final = "muster.model.definition.validation"

Definition = Workflow | Mapping[str, Any] | Path | str | bytes


def workflow_of(definition: Definition) -> Workflow:
    """The checked workflow of a file (a Path), of YAML or JSON text, or of an object of the same shape.

    Raises WorkflowInvalidError with every problem found, each with its place.
    """
    from muster.model.definition import (
        validation,  # brings the expression library, which only those who submit need
    )

    if isinstance(definition, Path):
        return validation.load(definition.read_bytes(), name=str(definition))
    if isinstance(definition, str | bytes):
        text = definition.encode() if isinstance(definition, str) else definition
        return validation.load(text, name="workflow")
    return validation.from_object(serialize(definition))


async def load_checks() -> None:
    """Load what checks workflows, off the loop: the first time it takes a third of a second."""
    if VALIDATION not in sys.modules:
        await asyncio.to_thread(import_module, VALIDATION)


def serialize(workflow: Workflow | Mapping[str, Any]) -> dict[str, Any]:
    """``workflow`` as a plain object: what a submit carries, and what ``workflow_of`` takes back."""
    return cast("dict[str, Any]", plain(workflow))


def plain(value: Any) -> Any:
    """``value`` as JSON gives it back, terms as their text. Raises TypeError where it is no JSON value."""
    text = msgspec.json.encode(value, enc_hook=encoded)
    if b"null" in text:  # msgspec writes that for NaN and the infinities, too
        _refuse_infinite(msgspec.to_builtins(value, enc_hook=encoded))
    return msgspec.json.decode(text)


def _refuse_infinite(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise TypeError(f"{item} is not a number in JSON")
        if isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            waiting.extend(item)
