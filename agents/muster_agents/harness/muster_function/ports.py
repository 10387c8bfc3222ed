"""What type hints say of inputs and outputs, in Muster's words. Only simple ones say something."""

from __future__ import annotations

import collections.abc
import inspect
import typing

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
_ARRAYS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)


def inputs_of(function, given, hints):
    """By name; ``given`` are the names that come from elsewhere."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    named = (one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))
    return {
        one.name: {"type": type_of(hints.get(one.name)), "required": one.default is one.empty}
        for one in named
        if one.name not in given
    }


def outputs_of(hints):
    """By name, where what is returned has a type with names; else ``value``, where it is no mapping."""
    returned = hints.get("return")
    fields = getattr(returned, "__annotations__", None) if hasattr(returned, "__total__") else None
    if fields is not None:
        required = getattr(returned, "__required_keys__", fields)
        hints = typing.get_type_hints(returned)
        return {name: {"type": type_of(hints.get(name)), "required": name in required} for name in fields}
    kind = type_of(returned)
    return {} if kind in ("any", "object") else {"value": {"type": kind, "required": True}}


def type_of(hint):
    """``any`` where it is not simple."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        rest = [one for one in inner if one is not type(None)]
        return type_of(rest[0]) if len(rest) == 1 else "any"
    if origin in _ARRAYS:
        return "array"
    if origin in (dict, collections.abc.Mapping):
        return "object"
    return _TYPES.get(hint, "any") if isinstance(hint, type) else "any"
