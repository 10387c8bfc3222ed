"""A YAML or JSON text as plain data, and where each part of it stands.

YAML here is what YAML 1.2 calls the core schema: only true and false are booleans, 010 is ten, dates and 1:30 are
strings; keys are always strings. Anchors, aliases and tags are refused: with them a page of text can stand for
terabytes, or for code. JSON is read the same way, as YAML contains it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import msgspec
import yaml

from muster.model.definition.problems import Path, Position, Problem, refuse, written
from muster.model.limits import FILE_BYTES_MAX, FILE_DEPTH_MAX, FILE_NODES_MAX, INTEGER_MAX
from muster.model.values import shown

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # some builds of PyYAML come without libyaml

_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+\Z")
_BASED: Final = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_ESCAPE: Final = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_DIGITS_MAX: Final = 400  # no double has more before its point; Python refuses to read thousands

# What libyaml says -> what a person can use. The first that fits counts; {} is the character it stopped at.
_INDENT: Final = "Check the indentation, or put the value in quotes."
_BRACKET: Final = "Close it; put expressions inside { } or [ ] in quotes."
_SENTENCES: Final = (
    ("cannot start any token", "\t", "a tab cannot indent in YAML", "Indent with spaces."),
    ("cannot start any token", "", "a value cannot begin with {}", "Put the value in quotes."),
    ("control characters", "", "the file contains a control character", "Is this really a text file?"),
    ("mapping values are not allowed", "", "a colon makes no sense here", _INDENT),
    ("unexpected end of stream", "", "a quotation mark is never closed", "Close it."),
    ("did not find expected ',' or", "", "a bracket is not closed, or a comma is missing", _BRACKET),
    ("did not find expected node", "", "a value is missing here", "Complete or remove what was begun."),
    ("did not find expected", "", "the indentation does not fit what is above", "Align it with its neighbours."),
    ("could not find expected ':'", "", "a colon is missing after a key", "Write KEY: VALUE, with a space between."),
    ("escape", "", "an unknown escape stands in a quoted text", "Write \\\\ for a backslash, or use single quotes."),
)  # fmt: skip


class Document(msgspec.Struct, frozen=True):
    """The data of a file, and the position (line and column, from 1) of every part of it, by its path."""

    name: str
    data: Any
    positions: dict[Path, Position]


def parse(text: bytes, *, name: str) -> Document:
    """Read a YAML or JSON file. Raises WorkflowInvalidError with one sentence, and nothing else."""
    return _Reader(name, _decoded(text, name)).read()


# To YAML these end a line; in a JSON string they are characters like any other.
_BREAKS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _decoded(text: bytes, name: str) -> str:
    if len(text) > FILE_BYTES_MAX:
        message = f"the file has {len(text)} bytes, more than {FILE_BYTES_MAX}."
        _refuse(name, (1, 1), message, "Split the workflow, and keep data out of it.")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8", "replace")
        position = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"byte {error.start} of the file is not UTF-8."
        _refuse(name, position, message, "Save it as text in UTF-8; is this really a workflow file?")
    if not decoded.lstrip().startswith("{"):
        return decoded
    return _ESCAPE.sub(_joined, decoded.translate(_BREAKS))


def _joined(match: re.Match[str]) -> str:
    """JSON writes an emoji as two escapes, which YAML refuses; as one escape both agree."""
    if not match[1]:
        return match[0]
    return f"\\U{0x10000 + ((int(match[1], 16) & 0x3FF) << 10) + (int(match[2], 16) & 0x3FF):08x}"


def _refuse(name: str, position: Position, message: str, remedy: str, path: Path = ()) -> NoReturn:
    line, column = position
    refuse([Problem(path=written(path), message=message, remedy=remedy, line=line, column=column, file=name)])


class _Container:
    """An object or list that is being read; ``key`` is the key whose value comes next."""

    def __init__(self, path: Path, data: dict[str, Any] | list[Any]) -> None:
        self.path = path
        self.data = data
        self.key: str | None = None


class _Reader:
    """Builds the data from parser events: no recursion, and an end as soon as a limit is passed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.positions: dict[Path, Position] = {}
        self.open: list[_Container] = []
        self.nodes = 0
        self.documents = 0
        self.root: Any = None

    def read(self) -> Document:
        for event in self._events():
            self._take(event)
        if not self.nodes:
            _refuse(self.name, (1, 1), "the file is empty.", "Write a workflow with a name and steps.")
        return Document(self.name, self.root, self.positions)

    def _events(self) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(self.text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            self._no_yaml(error)
        except yaml.reader.ReaderError as error:
            position = self._position(error.position)
            _refuse(
                self.name, position, "the file contains a control character.", "Is this really a text file?"
            )

    def _position(self, offset: int) -> Position:
        before = self.text[:offset]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def _no_yaml(self, error: yaml.MarkedYAMLError) -> NoReturn:
        said = error.problem or "it cannot be read"
        mark = error.problem_mark or error.context_mark
        if "end of stream" in said and error.context_mark is not None:
            mark = error.context_mark  # where the quotation began, not where the file ends
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        lines = self.text.splitlines()
        character = lines[line][column : column + 1] if line < len(lines) else ""
        fitting = (row for row in _SENTENCES if row[0] in said and row[1] in character)
        _, _, message, remedy = next(fitting, ("", "", f"this is no YAML: {said}", "Correct it."))
        _refuse(self.name, (line + 1, column + 1), f"{message.replace('{}', character)}.", remedy)

    def _take(self, event: yaml.Event) -> None:
        assert event.start_mark is not None  # a parser's events have one
        position = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.NodeEvent):
            self._check_node(event, position)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, position)
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin({}, position)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin([], position)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                message = "a second document begins here."
                _refuse(self.name, position, message, "Keep one workflow to a file.")

    def _check_node(self, event: yaml.NodeEvent, position: Position) -> None:
        self.nodes += 1
        if self.nodes > FILE_NODES_MAX:
            message = f"the file has more than {FILE_NODES_MAX} keys and values."
            _refuse(self.name, position, message, "Split the workflow.")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            message = f"{sign}{event.anchor} is a YAML anchor or alias, and these are not accepted."
            _refuse(
                self.name, position, message, f"Write the value out, or quote it if the {sign} belongs to it."
            )
        if (tag := getattr(event, "tag", None)) is not None:
            message = f"{shown(tag)} is a YAML tag, and these are not accepted."
            _refuse(self.name, position, message, "Write the value without it; quote it if it begins with !.")

    def _begin(self, data: dict[str, Any] | list[Any], position: Position) -> None:
        if len(self.open) >= FILE_DEPTH_MAX:
            message = f"this is nested more than {FILE_DEPTH_MAX} deep."
            _refuse(self.name, position, message, "Flatten it.")
        self.open.append(_Container(self._put(data, position), data))

    def _scalar(self, event: yaml.ScalarEvent, position: Position) -> None:
        parent = self.open[-1] if self.open else None
        if parent is not None and isinstance(parent.data, dict) and parent.key is None:
            self._key(parent, event.value, position)
        else:
            plain = bool(event.implicit[0])
            self._put(self._resolved(event.value, position) if plain else event.value, position)

    def _key(self, parent: _Container, key: str, position: Position) -> None:
        path = (*parent.path, key)
        if path in self.positions:
            line = self.positions[path][0]
            message = f"the key {shown(key)} stands here and in line {line}."
            _refuse(self.name, position, message, "Keep one of the two.", path)
        self.positions[path] = position
        parent.key = key

    def _put(self, value: Any, position: Position) -> Path:
        """Put a value where it belongs. The position of a member is that of its key: there the eye looks for it."""
        if not self.open:
            self.root = value
            self.positions[()] = position
            return ()
        parent = self.open[-1]
        if isinstance(parent.data, list):
            path: Path = (*parent.path, len(parent.data))
            parent.data.append(value)
            self.positions[path] = position
            return path
        if parent.key is None:
            message = "a key must be text, not a list or an object."
            _refuse(self.name, position, message, "Quote a text that begins with a bracket.")
        path = (*parent.path, parent.key)
        parent.data[parent.key] = value
        parent.key = None
        return path

    def _resolved(self, text: str, position: Position) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if not _FLOAT.match(text) and not _BASED.match(text):
            return text
        number = _number(text)
        if number is None:
            message = f"{shown(text)} is too large for a number."
            _refuse(self.name, position, message, "Put it in quotes if it is meant as text.")
        return number


def _number(text: str) -> int | float | None:
    """The number, or None if 64 bits do not hold it."""
    if len(text) > _DIGITS_MAX:
        return None
    if _BASED.match(text) or _INTEGER.match(text):
        number = int(text, 0 if text[:2] in ("0o", "0x") else 10)
        return number if abs(number) <= INTEGER_MAX else None
    fraction = float(text)
    return fraction if abs(fraction) != float("inf") else None
