"""Ports: what a place takes or gives, whether the one goes with the other, and whether a value fits.

Theory of operation. A port has a type. Each type takes itself; beyond that a ``number`` takes integers, a ``file``
takes every kind of file, and ``any`` takes and may give everything. An array goes with another if its items do. An
object goes with another if it has each property that must be there, and those that both have go together. What is not
said (``any``, an array without ``items``, an object without ``properties``) cannot be checked before the value is
there.

Values are checked in two ways. What people and programs write is taken exactly: a property that is not declared is a
mistake, and refused. What flows from one port to another is cut to what the second declares. In both, properties that
are left out get their defaults. So a value that fits the port it comes from fits every port that goes with that one.

Going together is reflexive. It is transitive as long as everything is said and nothing may be left out: a default fills
in what was missing, and a port in the middle may cut off a property that the last one has of another type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model import values
from muster.model.definition.filetypes import described, fits_file, is_file
from muster.model.definition.workflow import Port
from muster.model.errors import InvalidTypeError
from muster.model.log.names import meant
from muster.model.plan.artifacts import FILE_TYPES, KEY

ANY: Final = Port()
_PLURALS: Final = {"any": "values", "audio": "audio files", "csv": "csv files", "pdf": "pdf files"}
_WORDS: Final = {"any": "anything", "audio": "an audio file", "csv": "a csv file", "pdf": "a pdf file"}


def items(port: Port) -> Port:
    """What each member of an array is."""
    if port.items is None:
        return ANY
    return Port(type=port.items) if isinstance(port.items, str) else port.items


def takes_null(port: Port) -> bool:
    """Whether null fits."""
    return not port.required or port.type == "any"


def words(port: Port | None) -> str:
    """The port in words: an image, an array of strings; None is null."""
    if port is None:
        return "null"
    if port.type == "array" and port.items is not None:
        return f"an array of {_plural(items(port))}"
    return _WORDS.get(port.type) or values.article(port.type)


def _plural(port: Port) -> str:
    if port.type == "array" and port.items is not None:
        return f"arrays of {_plural(items(port))}"
    return _PLURALS.get(port.type) or f"{port.type}s"


def short(port: Port) -> str:
    """The port as it is written: image, array of string."""
    return (
        f"array of {short(items(port))}"
        if port.type == "array" and port.items is not None
        else str(port.type)
    )


# ---- whether ports go together


class Mismatch(msgspec.Struct, frozen=True):
    """Why ports do not go together. ``path`` leads to the part that is meant: ``.name``, ``[].name``.

    ``found`` is in words what is there; empty where nothing is.
    """

    path: str
    wanted: Port
    found: str


def mismatch(source: Port | None, target: Port) -> Mismatch | None:
    """Why what ``source`` gives is not what ``target`` takes; None where it is. A source of None gives null."""
    return _mismatch(source, target, "")


def _mismatch(source: Port | None, target: Port, path: str) -> Mismatch | None:
    if target.type == "any":
        return None
    if source is None:
        return None if takes_null(target) else Mismatch(path, target, "null")
    if source.type == "any":
        return None
    if not _same(source.type, target.type):
        return Mismatch(path, target, words(source))
    if (not source.required or source.default is None) and not takes_null(target):
        return Mismatch(path, target, "null")
    if target.type == "array":
        return _mismatch(items(source), items(target), f"{path}[]")
    return _property_mismatch(source, target, path) if source.properties else None


def _same(source: str, target: str) -> bool:
    if source == target or (source == "integer" and target == "number"):
        return True
    return target == "file" and source in FILE_TYPES


def _property_mismatch(source: Port, target: Port, path: str) -> Mismatch | None:
    for name, wanted in target.properties.items():
        place = path + written((name,))
        if name in source.properties:
            if (found := _mismatch(source.properties[name], wanted, place)) is not None:
                return found
        elif wanted.required and wanted.default is UNSET:
            return Mismatch(place, wanted, "")
    return None


def written(path: tuple[str | int, ...]) -> str:
    """The way to a part of a value: ``[3].name``."""
    return "".join(
        f"[{key}]" if isinstance(key, int) else f".{key}" if key.isidentifier() else f'["{key}"]'
        for key in path
    )


# ---- whether a value fits


class Misfit(Exception):  # noqa: N818 - nobody sees it: it becomes the error of the place
    """A value does not fit: ``path`` leads to the part that is meant, ``text`` says what about it."""

    def __init__(self, text: str, *, expected: str, found: str, remedy: str | None = None) -> None:
        super().__init__(text)
        self.path: tuple[str | int, ...] = ()
        self.text = text
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def sentence(self, place: str, said: str = "") -> str:
        """What is wrong with the value of this place."""
        return f"{place}{written(self.path)}{said} {self.text}"


def fitted(value: Any, port: Port, place: str, said: str = "", *, exact: bool = True, **data: Any) -> Any:
    """The value as the port takes it, with the defaults of properties that were left out.

    ``exact``: properties that are not declared are refused; otherwise they are cut off. Raises InvalidTypeError, whose
    message is ``place``, the path in the value, ``said`` and what is wrong; ``data`` are its attributes.
    """
    try:
        return fit(value, port, exact=exact)
    except Misfit as misfit:
        about = {"expected": misfit.expected, "found": misfit.found, **data}
        raise InvalidTypeError(misfit.sentence(place, said), remedy=misfit.remedy, **about) from None


def fit(value: Any, port: Port, *, exact: bool) -> Any:
    """As ``fitted``. Raises Misfit."""
    if port.type == "any" or (value is None and not port.required):
        return value
    if not _of(value, port):
        raise Misfit(
            f"must be {words(port)}, not {what_it_is(value)}.",
            expected=port.type,
            found="file" if is_file(value) else values.type_name(value),
        )
    if port.type == "array" and port.items is not None:
        return _members(value, items(port), exact=exact)
    if port.type == "object" and port.properties:
        return _properties(value, port.properties, exact=exact)
    return value


def _of(value: Any, port: Port) -> bool:
    if is_file(value):
        return port.type in FILE_TYPES and fits_file(value, port.type)
    found = values.type_name(value)
    return found == port.type or (port.type == "number" and found == "integer")


def what_it_is(value: Any) -> str:
    """The value for a message, behind what it is; a file by its name."""
    if is_file(value):
        return f"{described(value)}: {values.shown(value.get('name') or value[KEY])}"
    return values.what_it_is(value)


def _members(value: list[Any], port: Port, *, exact: bool) -> list[Any]:
    found: list[Any] = []
    try:
        found.extend(fit(member, port, exact=exact) for member in value)
    except Misfit as misfit:
        misfit.path = (len(found), *misfit.path)
        raise
    return found


def _properties(value: Mapping[str, Any], declared: Mapping[str, Port], *, exact: bool) -> dict[str, Any]:
    if exact:
        _refuse_unknown(value, declared)
    found: dict[str, Any] = {}
    for name, port in declared.items():
        if name not in value and port.required and port.default is UNSET:
            raise Misfit(f"has no property {name}, which it must have.", expected="object", found="object")
        otherwise = None if port.default is UNSET else port.default
        try:
            found[name] = fit(value.get(name, otherwise), port, exact=exact)
        except Misfit as misfit:
            misfit.path = (name, *misfit.path)
            raise
    return found


def _refuse_unknown(value: Mapping[str, Any], declared: Mapping[str, Port]) -> None:
    for name in value:
        if name not in declared:
            text = f"has the property {name}, which is not declared."
            remedy = meant(name, declared) or f"It can have {', '.join(declared)}."
            raise Misfit(text, expected="object", found="object", remedy=remedy)
