"""Inputs as they are given on the command line: ``--input k=v``, ``--input k=@path``, ``--inputs file.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from muster.model.definition.ports import items
from muster.model.definition.workflow import Port, Workflow
from muster.model.errors import InvalidArgumentError, InvalidTypeError
from muster.model.plan.artifacts import FILE_TYPES


def inputs_of(workflow: Workflow, pairs: Iterable[str], files: Iterable[Path]) -> dict[str, Any]:
    """The inputs of all files and then of all pairs; the later one of two for the same name counts."""
    found: dict[str, Any] = {}
    for path in files:
        found |= {
            name: _with_files(value, workflow.inputs[name]) if name in workflow.inputs else value
            for name, value in _file(path).items()
        }
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise InvalidArgumentError(
                f"{pair!r} is not an input.", remedy="Write --input NAME=VALUE, or --input NAME=@FILE."
            )
        declared = workflow.inputs.get(name)
        if declared is not None and declared.type in FILE_TYPES:
            found[name] = _sent(name, text)
            continue
        value = _value(name, _said(text), "any" if declared is None else declared.type)
        found[name] = value if declared is None else _with_files(value, declared)
    return found


def _sent(name: str, text: str) -> Any:
    """A file of this machine, or an artifact that is there already."""
    if text.startswith("@"):
        return Path(text[1:]).expanduser()
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    if isinstance(value, dict):
        return value
    raise InvalidTypeError(
        f"The input {name} is a file, and {text[:60]!r} names none.",
        remedy=f"Write --input {name}=@FILE, or the artifact that another execution gave, as JSON.",
    )


def _with_files(value: Any, port: Port) -> Any:
    """The value, in which ``@FILE`` is a file of this machine wherever one is declared."""
    if port.type in FILE_TYPES and isinstance(value, str) and value.startswith("@"):
        return Path(value[1:]).expanduser()
    if port.type == "array" and isinstance(value, list):
        return [_with_files(member, items(port)) for member in value]
    if isinstance(value, dict) and port.properties:
        declared = port.properties
        return {
            key: _with_files(part, declared[key]) if key in declared else part for key, part in value.items()
        }
    return value


def _said(text: str) -> str:
    """The text, or that of the file which ``@FILE`` names."""
    return text_of(Path(text[1:]).expanduser()) if text.startswith("@") else text


def text_of(path: Path) -> str:
    """The file's text. Raises InvalidArgumentError where it is not UTF-8, as every input must be."""
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"{path} is not UTF-8: its byte {error.start + 1} is 0x{content[error.start]:02x}.",
            remedy=f"Convert it, for example: iconv -f latin1 -t utf-8 {path}",
        ) from error


def pairs_of(what: str, pairs: Iterable[str]) -> dict[str, str]:
    """``k=v`` pairs as they are."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InvalidArgumentError(
                f"--{what}: {pair!r} is no pair.", remedy=f"Write it like --{what} NAME=VALUE."
            )
        found[name] = value
    return found


def values_of(what: str, pairs: Iterable[str]) -> dict[str, Any]:
    """``k=v`` pairs whose values may be JSON."""
    return {name: _value(name, text, "any") for name, text in pairs_of(what, pairs).items()}


def arguments_of(pairs: Iterable[str], strings: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The arguments of a function: JSON where it is some, but for those that it wants as text, or of a file."""
    given = pairs_of("input", pairs)
    texts = strings | {name for name, text in given.items() if text.startswith("@")}
    return {
        name: _value(name, _said(text), "string" if name in texts else "any") for name, text in given.items()
    }


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "string":
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if kind == "any":
            return text
        raise InvalidTypeError(
            f"The input {name} must be of type {kind}, and {text[:60]!r} is not JSON.",
            remedy=f"Write it as JSON, for example --input '{name}={_EXAMPLES.get(kind, '1')}'.",
        ) from error


_EXAMPLES = {"array": '["a", "b"]', "object": '{"a": 1}', "boolean": "true", "number": "1.5"}


def _file(path: Path) -> dict[str, Any]:
    found = _document(path)
    if not isinstance(found, dict):
        raise InvalidArgumentError(
            f"{path} does not hold an object.", remedy='Give the inputs as an object: {"name": value}.'
        )
    return found


def _document(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(text_of(path))
    except yaml.YAMLError as error:
        raise InvalidArgumentError(
            f"{path} is neither JSON nor YAML: {str(error).splitlines()[0]}.", remedy="Mend the file."
        ) from error


def answer_of(given: Iterable[str], schema: Mapping[str, Any]) -> Any:
    """The input for a step that asks for ``schema``: one JSON value or ``@FILE``, or pairs that make an object."""
    parts = list(given)
    if not parts:
        return None
    if len(parts) == 1 and (whole := _whole(parts[0])) is not UNSET:
        return whole
    found: dict[str, Any] = {}
    for part in parts:
        name, separator, text = part.partition("=")
        if not separator or not name:
            raise InvalidArgumentError(
                f"{part!r} is neither JSON nor a pair.",
                remedy="Write --input '{\"ok\": true}', --input @FILE, or --input NAME=VALUE as often as needed.",
            )
        properties = schema.get("properties", {})
        declared = properties.get(name) if isinstance(properties, dict) else None
        kind = declared.get("type") if isinstance(declared, dict) else None
        found[name] = _value(name, _said(text), kind if kind == "string" else "any")
    return found


def _whole(text: str) -> Any:
    """The value that is given as a whole, UNSET where it is none."""
    if text.startswith("@"):
        return _document(Path(text[1:]).expanduser())
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if text[:1] in {"{", "[", '"'}:
            raise InvalidTypeError(
                f"The input {text[:60]!r} is not JSON: {error}.",
                remedy="Write it like '{\"ok\": true}', or as pairs: --input ok=true.",
            ) from error
        return UNSET
