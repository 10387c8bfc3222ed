"""How large a value is, as far as the time matters that CEL takes for it.

``mass`` is what handing the value to CEL takes, in units of 0.1 microseconds, measured on the library: a number takes
one, a string ten, a list or an object some twenty, and so does each key. ``nodes`` is what copying it inside CEL goes
by, which the library does whenever a value is selected, put into a list, or carried on by ``map`` or ``filter``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from muster.model.limits import INTEGER_MAX

NUMBER: Final = 2
STRING: Final = 12
ARRAY: Final = 25
KEY: Final = 25
KEY_NODES: Final = 3
CHARACTERS: Final = 100  # a unit hands so many over; a letter that is not ASCII counts for several
_FOREIGN: Final = 8
_SIMPLE: Final = frozenset((int, float, bool, type(None)))


class Extent(msgspec.Struct, frozen=True):
    """The size of a value: all of it, and for macros its own length. ``inner`` bounds every value directly in it, or is
    None where those are no larger than a number.
    """

    mass: int = NUMBER
    nodes: int = 1
    characters: int = 0
    length: int = 0
    inner: Extent | None = None

    @property
    def member(self) -> Extent:
        """What bounds any value directly in it."""
        return self.inner or SCALAR

    @property
    def touched(self) -> int:
        """What reading, comparing or copying it once takes, in units."""
        return 1 + self.nodes // 2 + self.characters // 1_000


SCALAR: Final = Extent()


class TooLargeError(Exception):
    """The value has more mass than was asked for."""


class IntegerError(Exception):
    """A number is larger than CEL's, which would make a float of it in silence."""


class _Weighing:
    def __init__(self, limit: int) -> None:
        self.left = limit

    def of(self, value: Any) -> Extent:
        if isinstance(value, str):
            return self._counted(Extent(STRING, 1, _characters(value)))
        if isinstance(value, dict):
            keys = Extent(ARRAY + KEY * len(value), 1 + KEY_NODES * len(value), sum(map(_characters, value)))
            return self._with(value.values(), keys)
        if isinstance(value, list | tuple):
            return self._list(value)
        if isinstance(value, int):
            _check_integer(value)
        return self._counted(SCALAR)

    def _list(self, value: list[Any] | tuple[Any, ...]) -> Extent:
        """Lists of plain numbers or of strings are measured at once, because they may be long."""
        kinds = set(map(type, value))
        if kinds <= _SIMPLE:
            for number in value if int in kinds else ():
                _check_integer(number)
            return self._counted(Extent(ARRAY + NUMBER * len(value), 1 + len(value), 0, len(value)))
        if kinds == {str}:
            lengths = [_characters(text) for text in value]
            inner = Extent(STRING, 1, max(lengths))
            count = len(value)
            return self._counted(Extent(ARRAY + STRING * count, 1 + count, sum(lengths), count, inner))
        return self._with(value, Extent(ARRAY))

    def _with(self, parts: Iterable[Any], keys: Extent) -> Extent:
        self._counted(keys)
        mass, nodes, characters, length = keys.mass, keys.nodes, keys.characters, 0
        inner = Extent(STRING, 1, characters) if characters else None
        for part in parts:
            found = self.of(part)
            mass, nodes, characters = mass + found.mass, nodes + found.nodes, characters + found.characters
            length += 1
            inner = found if inner is None else larger(inner, found)
        return Extent(mass, nodes, characters, length, inner)

    def _counted(self, extent: Extent) -> Extent:
        self.left -= extent.mass + extent.characters // CHARACTERS
        if self.left < 0:
            raise TooLargeError
        return extent


def _characters(text: str) -> int:
    return len(text) * (1 if text.isascii() else _FOREIGN)


def _check_integer(value: Any) -> None:
    if type(value) is int and not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise IntegerError(value)


def measured(value: Any, limit: int) -> Extent:
    """The size of a JSON value. Raises TooLargeError, before it has looked at all of it, where it is over ``limit``,
    and IntegerError for a number that is none of CEL's.
    """
    return _Weighing(limit).of(value)


def larger(one: Extent, other: Extent) -> Extent:
    """What bounds both."""
    inner = None
    if one.inner is not None or other.inner is not None:
        inner = larger(one.member, other.member)
    return Extent(
        max(one.mass, other.mass),
        max(one.nodes, other.nodes),
        max(one.characters, other.characters),
        max(one.length, other.length),
        inner,
    )


def joined(one: Extent, other: Extent) -> Extent:
    """Both one behind the other, which lists and strings can be; numbers are added."""
    if not (one.length or other.length or one.characters or other.characters):
        return SCALAR
    inner = larger(one.member, other.member) if one.inner or other.inner else None
    return Extent(
        one.mass + other.mass,
        one.nodes + other.nodes,
        one.characters + other.characters,
        one.length + other.length,
        inner,
    )


def within(parts: Iterable[Extent], times: int = 1) -> Extent:
    """A list or object of these, repeated so often."""
    mass, nodes, characters, length = 0, 0, 0, 0
    inner: Extent | None = None
    for part in parts:
        mass, nodes = mass + part.mass + STRING, nodes + part.nodes + 1
        characters, length = characters + part.characters, length + 1
        inner = part if inner is None else larger(inner, part)
    return Extent(ARRAY + mass * times, 1 + nodes * times, characters * times, length * times, inner)
