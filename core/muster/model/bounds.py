"""What bounds an expression before it runs, because nothing can stop it after.

The cost is an estimate in units of about 0.1 microseconds, made to be too high rather than too low. Measured on the
library: a token in a loop takes some 3 units; map and filter copy their result for every element, so n elements cost
n*n/4; a string is copied at about 400 characters a unit; handing a value to CEL costs a unit per node.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from muster.model import tokens
from muster.model.errors import ExpressionError
from muster.model.limits import (
    EXPRESSION_BYTES_MAX,
    EXPRESSION_COST_MAX,
    EXPRESSION_MACROS_MAX,
    EXPRESSION_NESTING_MAX,
    INTEGER_MAX,
    PATTERN_LENGTH_MAX,
    PATTERN_REPEAT_MAX,
)

MACROS: Final = frozenset(("map", "filter", "all", "exists", "exists_one"))
_COPYING: Final = frozenset(("map", "filter"))
_COUNTED: Final = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")
_TOKEN_UNITS: Final = 3
_CHARACTERS_PER_UNIT: Final = 400
_SHORTER: Final = "Shorten it, or do the work in a step."


class Shape(msgspec.Struct, frozen=True):
    """What the cost of an expression depends on, beside the values.

    ``growth`` is by how much chained macros can multiply a value (``.map(x, [x, x])`` doubles it); ``pattern`` is the
    size of its regular expressions with their counts unrolled.
    """

    length: int
    macros: int
    nesting: int
    growth: int
    copying: bool
    pattern: int


class Weight(msgspec.Struct):
    """How much the values are that an expression refers to."""

    nodes: int = 0
    characters: int = 0
    longest: int = 0


def check(source: str) -> None:
    """Raise ExpressionError if the expression is beyond its bounds whatever the values are."""
    if len(source.encode(errors="replace")) > EXPRESSION_BYTES_MAX:
        _refuse(source, f"is longer than {EXPRESSION_BYTES_MAX} bytes")
    shape = measure(source)
    if shape.macros > EXPRESSION_MACROS_MAX:
        _refuse(source, f"has {shape.macros} macros, more than {EXPRESSION_MACROS_MAX}")
    if shape.nesting > EXPRESSION_NESTING_MAX:
        _refuse(source, "has more than one macro inside another")
    if _cost(shape, Weight()) > EXPRESSION_COST_MAX:
        _refuse(source, "could take too long, whatever the values are")


def check_cost(source: str, values: list[Any]) -> None:
    """Raise ExpressionError if the expression could take too long on these values."""
    shape = measure(source)
    weight = Weight()
    for value in values:
        _weigh(source, value, weight)
    if _cost(shape, weight) > EXPRESSION_COST_MAX:
        _refuse(source, "could take too long on values of this size")


def _cost(shape: Shape, weight: Weight) -> int:
    longest = (weight.longest + shape.length) * shape.growth
    rounds: int = longest**shape.nesting
    strings = weight.characters * shape.length // _CHARACTERS_PER_UNIT
    loops = shape.macros * rounds * (longest if shape.copying else 1) // 4
    patterns = shape.pattern * (weight.characters + shape.length) // 8
    return weight.nodes * shape.growth + rounds * (_TOKEN_UNITS * shape.length + strings + patterns) + loops


def _weigh(source: str, value: Any, weight: Weight) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        weight.nodes += 1
        if isinstance(item, str):
            weight.characters += len(item)
        elif isinstance(item, dict):
            weight.longest = max(weight.longest, len(item))
            weight.characters += sum(map(len, item))
            waiting.extend(item.values())
        elif isinstance(item, list):
            weight.longest = max(weight.longest, len(item))
            waiting.extend(item)
        elif isinstance(item, int) and abs(item) > INTEGER_MAX:
            _refuse(source, f"refers to {item}, and CEL integers have 64 bits", "Pass it as a string.")


# ---- measuring


@lru_cache(maxsize=4_096)
def measure(source: str) -> Shape:
    """The shape of the expression. Raises ExpressionError for a regular expression that is not a short literal."""
    found = tokens.listed(source)
    spans = list(_macros(found))
    return Shape(
        length=len(found),
        macros=len(spans),
        nesting=max((sum(1 for a, b, _ in spans if a <= start < b) for start, _, _ in spans), default=0),
        growth=_growth(found, spans),
        copying=any(found[start].text in _COPYING for start, _, _ in spans),
        pattern=sum(
            _pattern(source, found, index) for index, token in enumerate(found) if _matches(found, index)
        ),
    )


def variables(source: str) -> set[str]:
    """The names the macros of the expression bind."""
    found = tokens.listed(source)
    return {name for _, _, name in _macros(found)}


def _macros(found: Sequence[tokens.Token]) -> list[tuple[int, int, str]]:
    """Each macro: where it begins and ends, and the variable it binds."""
    return [
        (index, tokens.closing(found, index + 1), found[index + 2].text)
        for index, token in enumerate(found)
        if token.text in MACROS
        and token.kind == "name"
        and tokens.is_call(found, index)
        and index + 2 < len(found)
    ]


def _growth(found: Sequence[tokens.Token], spans: list[tuple[int, int, str]]) -> int:
    growth = 1
    for start, end, variable in spans:
        if found[start].text == "map":
            growth *= max(1, sum(1 for token in found[start + 3 : end] if token.text == variable))
    return growth


def _matches(found: Sequence[tokens.Token], index: int) -> bool:
    return found[index].text == "matches" and found[index].kind == "name" and tokens.is_call(found, index)


def _pattern(source: str, found: Sequence[tokens.Token], index: int) -> int:
    """The last argument of matches; a pattern made at run time could be any."""
    end = tokens.closing(found, index + 1)
    last = found[end - 1]
    if last.kind != "string" or found[end - 2].text not in ("(", ","):
        _refuse(source, "has a regular expression that is not a literal string")
    if len(last.value) > PATTERN_LENGTH_MAX:
        _refuse(source, f"has a regular expression longer than {PATTERN_LENGTH_MAX} characters")
    repeats = 1
    for low, high in _COUNTED.findall(last.value):
        repeats *= max(1, int(low), int(high or 0))
    if repeats > PATTERN_REPEAT_MAX:
        _refuse(source, f"has a regular expression that repeats more than {PATTERN_REPEAT_MAX} times")
    return len(last.value) * repeats


def _refuse(source: str, reason: str, remedy: str = _SHORTER) -> NoReturn:
    short = source if len(source) <= 60 else source[:57] + "..."
    raise ExpressionError(f"the expression {short!r} {reason}.", remedy=remedy, expression=source)
