"""Whether a workflow, or another thing that people write, has the shape its types demand: keys, and types of values.

The types are msgspec's; the walk is ours, because msgspec ends at the first error and takes unknown keys. What is
wrong is replaced by a stand-in of the right type, so that the other checks can go on and name the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from muster.model.definition.problems import Path, Report
from muster.model.definition.workflow import Workflow
from muster.model.log.names import meant
from muster.model.values import article, shown, text, type_name

T = TypeVar("T")
_OTHER_WORDS: Final = {
    "args": ("command",),
    "ask": ("wait_for_input",),
    "body": ("steps",),
    "call": ("workflow",),
    "cases": ("switch",),
    "catch": ("on_failure",),
    "cmd": ("command",),
    "concurrent": ("concurrency",),
    "condition": ("if", "case"),
    "config": ("params",),
    "container": ("image",),
    "cpu": ("cpus",),
    "delay": ("sleep",),
    "depends_on": ("needs",),
    "do": ("steps", "then"),
    "elif": ("switch",),
    "env": ("environment",),
    "expects": ("accepts",),
    "fail": ("error",),
    "fields": ("properties",),
    "finally": ("on_finish",),
    "foreach": ("for_each",),
    "gpu": ("gpus",),
    "in": ("over",),
    "isolated": ("isolation",),
    "items": ("in", "over"),
    "loop": ("for_each",),
    "max_concurrency": ("concurrency",),
    "mem": ("memory",),
    "mutex": ("concurrency",),
    "mem_limit": ("memory",),
    "network": ("network_mode",),
    "of": ("items",),
    "optional": ("required",),
    "over": ("in",),
    "parallelism": ("max_parallel",),
    "parameters": ("params",),
    "print": ("log",),
    "question": ("prompt",),
    "raise": ("error",),
    "requires": ("needs",),
    "retries": ("retry",),
    "run": ("command",),
    "semaphore": ("concurrency",),
    "script": ("command",),
    "seq": ("chain",),
    "sequence": ("chain",),
    "takes": ("accepts",),
    "tasks": ("steps",),
    "timeout": ("timeouts",),
    "wait": ("sleep",),
    "when": ("if", "case"),
    "with": ("inputs",),
    "workdir": ("working_dir",),
}
_STEPS: Final = {"steps", "then", "else", "chain", "group", "parallel", "on_failure", "on_finish"}
_SIMPLE: Final[tuple[tuple[type[inspect.Type], str, tuple[str, ...], Any], ...]] = (
    # type, what people call it, the JSON types it takes, the stand-in
    (inspect.StrType, "string", ("string",), ""),
    (inspect.BoolType, "boolean", ("boolean",), False),
    (inspect.IntType, "integer", ("integer",), 1),
    (inspect.FloatType, "number", ("integer", "number"), 1.0),
    (inspect.NoneType, "null", ("null",), None),
    (inspect.ListType, "list", ("array",), []),
    (inspect.DictType, "mapping", ("object",), {}),
    (inspect.StructType, "mapping", ("object",), {}),
    (inspect.LiteralType, "word", ("string",), ""),
)
_SPOKEN: Final = {"array": "list", "object": "mapping"}
_TAKES: Final = {type_: takes for type_, _, takes, _ in _SIMPLE}


def repaired(data: Any, report: Report) -> Workflow:
    """The workflow in ``data``, with a stand-in for everything that is wrong; the report says what that is."""
    return fitted(Workflow, data, report) or Workflow(name="", steps=[])


def fitted(kind: type[T], data: Any, report: Report, path: Path = ()) -> T | None:
    """As ``repaired``, for any struct, which stands at ``path``; None where nothing can be made of it."""
    type_: Any = kind  # to mypy a type parameter cannot be hashed
    whole = _checked(_type(type_), data, path, report)
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        report.add(path, f"{error}.")
        return None


@cache
def _type(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _checked(kind: inspect.Type, value: Any, path: Path, report: Report) -> Any:
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        return _one_of(kind, value, path, report)
    if isinstance(kind, inspect.LiteralType):
        return _word(kind, value, path, report)
    if isinstance(kind, inspect.AnyType):
        return value
    if not _takes(kind, value):
        _wrong_type(_name(kind), value, path, report)
        return _stand_in(kind)
    if isinstance(kind, inspect.StructType):
        return _struct(kind, value, path, report)
    if isinstance(kind, inspect.ListType):
        return [_checked(kind.item_type, item, (*path, at), report) for at, item in enumerate(value)]
    if isinstance(kind, inspect.DictType):
        return _mapping(kind, value, path, report)
    return value


def _struct(kind: inspect.StructType, value: Mapping[str, Any], path: Path, report: Report) -> dict[str, Any]:
    fields = _fields(kind.cls)
    for key in value:
        if key not in fields:
            report.add(
                (*path, key), f"{_place(path, value, report)} has no key {key}.", _suggested(key, fields)
            )
    found: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            found[name] = _checked(field.type, value[name], (*path, name), report)
        elif field.required:
            report.add(
                (*path, name),
                f"{_place(path, value, report)} has no {name}.",
                f"Add {name}: {_example(name)}.",
            )
            found[name] = _stand_in(field.type)
    return found


@cache
def _fields(of: type) -> dict[str, inspect.Field]:
    kind = inspect.type_info(of)
    assert isinstance(kind, inspect.StructType)
    return {field.encode_name: field for field in kind.fields}


def _mapping(kind: inspect.DictType, value: Mapping[str, Any], path: Path, report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {}
    words = kind.key_type.values if isinstance(kind.key_type, inspect.LiteralType) else ()
    for key, part in value.items():
        if words and key not in words:
            keys = dict.fromkeys(map(str, words))
            report.add(
                (*path, key), f"{_place(path, value, report)} has no key {key}.", _suggested(key, keys)
            )
            continue
        found[key] = _checked(kind.value_type, part, (*path, key), report)
    return found


def _one_of(kind: inspect.UnionType, value: Any, path: Path, report: Report) -> Any:
    choices = kind.types
    for choice in choices:
        if isinstance(choice, inspect.AnyType) or _takes(choice, value):
            return _checked(choice, value, path, report)
    named = [_name(choice) for choice in choices if not isinstance(choice, inspect.NoneType)]
    _wrong_type(" or ".join(dict.fromkeys(named)), value, path, report)
    return _stand_in(choices[-1])


def _word(kind: inspect.LiteralType, value: Any, path: Path, report: Report) -> Any:
    words = [str(word) for word in kind.values]
    if value in kind.values and isinstance(value, str):
        return value
    remedy = meant(value, words) or f"Write one of {', '.join(words)}."
    report.add(path, f"{_leaf(path, report)} cannot be {shown(value)}.", remedy)
    return words[0]


def _takes(kind: inspect.Type, value: Any) -> bool:
    return type_name(value) in _TAKES.get(type(kind), ())


def _name(kind: inspect.Type) -> str:
    return next((name for type_, name, _, _ in _SIMPLE if isinstance(kind, type_)), "value")


def _stand_in(kind: inspect.Type) -> Any:
    if isinstance(kind, inspect.StructType):
        return {field.encode_name: _stand_in(field.type) for field in kind.fields if field.required}
    return next((value for type_, _, _, value in _SIMPLE if isinstance(kind, type_)), None)


def _wrong_type(expected: str, value: Any, path: Path, report: Report) -> None:
    found = type_name(value)
    message = f"{_leaf(path, report)} must be {article(expected)}, not {_spoken(value)}."
    if found == "null":
        remedy = f"Write {article(expected)}, or remove the line."
    elif expected == "boolean":
        remedy = "Write true or false."
    elif "string" in expected and found in ("boolean", "integer", "number"):
        remedy = "Put it in quotes."
    elif expected == "list":
        remedy = "Write it as a list: [a, b]."
    elif expected == "mapping":
        remedy = "Write it as KEY: VALUE."
    else:
        remedy = f"Write {article(expected)}."
    report.add(path, message, remedy)


def _spoken(value: Any) -> str:
    found = type_name(value)
    if found in ("null", "array", "object"):
        return "null" if found == "null" else article(_SPOKEN[found])
    return f"the {found} {text(value) if found == 'boolean' else shown(value)}"


def _place(path: Path, value: Mapping[str, Any], report: Report) -> str:
    """What people call the thing at ``path``."""
    if not path:
        return report.subject
    key = path[-1]
    around = path[-2] if len(path) > 1 else ""
    if isinstance(key, int) and around in _STEPS:
        named = value.get("id")
        if isinstance(named, str):
            return f"the step {named}"
        return (
            f"step {key + 1}" if path[:-1] == ("steps",) else f"step {key + 1} of {_leaf(path[:-1], report)}"
        )
    if isinstance(key, int) and around == "switch":
        return f"case {key + 1}"
    if around == "inputs" and (len(path) == 2 or path[0] == "workflows"):
        return f"the input {key}"
    if around in ("accepts", "properties"):
        return f"the {'input' if around == 'accepts' else 'property'} {key}"
    if around == "outputs" and len(path) > 2:
        return f"the output {key}"
    if around == "workflows":
        return f"the workflow {key}"
    return _leaf(path, report)


def _leaf(path: Path, report: Report) -> str:
    """The last key of the path, with the position where that is a list's item."""
    if not path:
        return report.subject
    if isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {_leaf(path[:-1], report)}"
    return str(path[-1])


def _suggested(key: str, fields: Mapping[str, Any]) -> str:
    for other in _OTHER_WORDS.get(key.lower(), ()):
        if other in fields:
            return f"Did you mean {other}?"
    return meant(key, fields) or f"It can have {', '.join(fields)}."


def _example(name: str) -> str:
    examples = {"name": "a-name", "id": "a-name", "image": "busybox:1", "steps": "and a list under it"}
    return examples.get(name, "a value")
