"""JSON values: what type one has, whether it can travel, how large it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from muster.model.definition.workflow import ValueType
from muster.model.limits import VALUE_DEPTH_MAX

_TYPES: Final[Mapping[type, ValueType]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    tuple: "array",
    dict: "object",
}
_SHOWN_MAX: Final = 60  # characters of a value in a message


def type_name(value: Any) -> str:
    """The JSON name of the type of ``value``: string, integer, number, boolean, array, object or null."""
    if value is None:
        return "null"
    return _TYPES.get(type(value), type(value).__name__)


def article(declared: str) -> str:
    """The type with its article, for messages: a string, an integer."""
    if declared == "null":
        return declared
    return ("an " if declared[0] in "aeiou" else "a ") + declared


def shown(value: Any) -> str:
    """The value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."


def what_it_is(value: Any) -> str:
    """The value for a message, behind its type: ``an integer: 5``."""
    return "null" if value is None else f"{article(type_name(value))}: {shown(value)}"


def defect(value: Any) -> str:
    """Why ``value`` cannot travel as JSON, or the empty string."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if depth > VALUE_DEPTH_MAX and isinstance(item, dict | list | tuple):
            return f"it is nested more than {VALUE_DEPTH_MAX} deep"
        if isinstance(item, dict):
            for wrong in (key for key in item if not isinstance(key, str)):
                return f"the key {wrong!r} of an object is not a string"
            waiting.extend((part, depth + 1) for part in item.values() if not _is_plain(part))
            waiting.extend((key, depth + 1) for key in item if not key.isascii())
        elif isinstance(item, list | tuple):
            waiting.extend((part, depth + 1) for part in item if not _is_plain(part))
        elif reason := _leaf_defect(item):
            return reason
    return ""


def _is_plain(item: Any) -> bool:
    """Whether it is a leaf without a defect, as nearly all are."""
    return type(item) in (int, bool, type(None)) or (type(item) is str and item.isascii())


def _leaf_defect(item: Any) -> str:
    if isinstance(item, str):
        return "" if item.isascii() or _encodes(item) else "it contains half a surrogate pair"
    if isinstance(item, float):
        return "" if math.isfinite(item) else f"{item} is not a number in JSON"
    if item is None or isinstance(item, bool | int):
        return ""
    return f"{type(item).__name__} is not a type of JSON"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def size(value: Any) -> int:
    """Bytes of ``value`` as JSON; only for values without a defect."""
    return len(msgspec.json.encode(value))


def text(value: Any) -> str:
    """The value as it stands inside other text: strings bare, the rest as JSON; 2.0 is 2, as CEL's string() has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return msgspec.json.encode(value).decode()
