"""Whether the input that somebody gives is what the step that waits for it asks for."""

from __future__ import annotations

from typing import Any, Final

import jsonschema

from muster.model.values import shown

UNBOUNDED: Final = frozenset({"pattern", "patternProperties", "$ref", "$dynamicRef"})
"""Keywords that are not taken: nothing bounds how long a regular expression may search, or where a reference leads."""


def defect(value: Any, schema: dict[str, Any]) -> str:
    """What about ``value`` is not as ``schema`` asks, or the empty string."""
    found = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(value), key=lambda error: error.json_path
    )
    if not found:
        return ""
    first, more = found[0], len(found) - 1
    where = first.json_path.removeprefix("$").removeprefix(".")
    others = f" (and {more} more)" if more else ""
    return f"{where or 'it'}: {shortened(first.message)}{others}"


def shortened(message: str) -> str:
    """The library repeats the value, which may be long."""
    return message if len(message) <= 200 else f"{message[:160]} … {message[-30:]}"


def schema_defect(schema: Any) -> str:
    """Why ``schema`` cannot be used, or the empty string."""
    if unbounded := _unbounded(schema):
        return f"{shown(unbounded)} is not taken here"
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return shortened(error.message)
    return ""


def _unbounded(schema: Any) -> str:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if found := UNBOUNDED.intersection(part):
                return min(found)
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return ""
