"""What bounds an expression before it runs, because nothing can stop it after.

An expression that could take longer than EXPRESSION_COST_MAX is refused: by validation where that is so whatever the
values are, and before it is evaluated where it is so on these values. ``muster.model.expressions.estimate`` says
how long it could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from muster.model.errors import ExpressionError
from muster.model.expressions import library, patterns, tokens
from muster.model.expressions.estimate import MACROS, LostError, estimated
from muster.model.expressions.extents import CHARACTERS, SCALAR, Extent, IntegerError, TooLargeError, measured
from muster.model.limits import (
    EXPRESSION_BYTES_MAX,
    EXPRESSION_COST_MAX,
    EXPRESSION_MACROS_MAX,
    EXPRESSION_NESTING_MAX,
    PATTERN_LENGTH_MAX,
    PATTERN_REPEAT_MAX,
)

__all__ = ["MACROS", "check", "check_cost", "variables"]

_SHORTER: Final = "Shorten it, or do the work in a step."
_SLOW: Final = "could take too long on values of this size"
_PER_TOKEN: Final = 20
Path = tuple[str | int, ...]


class Shape(msgspec.Struct, frozen=True):
    """What the cost of an expression depends on, beside the values. ``plain``: it has neither loops nor patterns, and
    calls nothing but CEL's own.
    """

    length: int
    macros: int
    nesting: int
    plain: bool


def check(source: str) -> None:
    """Raise ExpressionError if the expression is beyond its bounds whatever the values are."""
    if len(source.encode(errors="replace")) > EXPRESSION_BYTES_MAX:
        _refuse(source, f"is longer than {EXPRESSION_BYTES_MAX} bytes")
    shape = measure(source)
    if shape.macros > EXPRESSION_MACROS_MAX:
        _refuse(source, f"has {shape.macros} macros, more than {EXPRESSION_MACROS_MAX}")
    if shape.nesting > EXPRESSION_NESTING_MAX:
        _refuse(source, "has more than one macro inside another")
    try:
        cost = estimated(tokens.listed(source), (), lambda _, __: SCALAR)
    except LostError:
        return  # what cannot be read is no CEL, which compiling tells better; what CEL reads all the same, check_cost
    if cost > EXPRESSION_COST_MAX:
        _refuse(source, "could take too long, whatever the values are")


def check_cost(source: str, scope: Mapping[str, Any], limit: int = EXPRESSION_COST_MAX) -> int:
    """What the expression can cost on these values, which are all that CEL is given.

    Raises ExpressionError if that is more than ``limit``.
    """
    try:
        handed = measured(scope, limit // 2)
    except TooLargeError:
        _refuse(source, _SLOW)
    except IntegerError as error:
        _refuse(source, f"refers to {error.args[0]}, and CEL integers have 64 bits", "Pass it as a string.")
    if (cost := _cost(source, handed, scope, limit)) > limit:
        _refuse(source, _SLOW)
    return cost


def _cost(source: str, handed: Extent, scope: Mapping[str, Any], limit: int) -> int:
    shape = measure(source)
    if shape.plain:
        # Each token is one operation at most, and a value is copied into the next: no need to look closer if that is
        # little, as it is for nearly all.
        most = _handed(handed) * (2 + shape.length) + shape.length**2 * (_PER_TOKEN + handed.touched)
        if most <= limit:
            return most
    known: dict[tuple[str, Path], Extent] = {}

    def find(root: str, path: Path) -> Extent:
        if (root, path) not in known:
            known[root, path] = measured(_at(scope.get(root), path), EXPRESSION_COST_MAX)
        return known[root, path]

    try:
        return _handed(handed) + estimated(tokens.listed(source), scope.keys(), find)
    except LostError:
        _refuse(source, "is nested too deeply")


def _handed(values: Extent) -> int:
    """Handing values over, after weighing them here, and letting them go."""
    return 2 * (values.mass + values.characters // CHARACTERS)


def _at(value: Any, path: Path) -> Any:
    """What stands at the path; what is not there weighs nothing."""
    for key in path:
        listed = isinstance(value, list) and isinstance(key, int) and key < len(value)
        if not listed and not (isinstance(value, Mapping) and key in value):
            return None
        value = value[key]
    return value


# ---- measuring


@lru_cache(maxsize=4_096)
def measure(source: str) -> Shape:
    """The shape of the expression. Raises ExpressionError for a regular expression that is not a short literal."""
    found = tokens.listed(source)
    spans = _macros(found)
    matching = [index for index in range(len(found)) if _matches(found, index)]
    for index in matching:
        _check_pattern(source, found, index)
    return Shape(
        length=len(found),
        macros=len(spans),
        nesting=max((sum(1 for a, b, _ in spans if a <= start < b) for start, _, _ in spans), default=0),
        plain=not spans and not matching and not library.used(found),
    )


def variables(source: str) -> set[str]:
    """The names the macros of the expression bind."""
    return {name for _, _, name in _macros(tokens.listed(source))}


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


def _matches(found: Sequence[tokens.Token], index: int) -> bool:
    return found[index].text == "matches" and found[index].kind == "name" and tokens.is_call(found, index)


def _check_pattern(source: str, found: Sequence[tokens.Token], index: int) -> None:
    """The last argument of matches; a pattern made at run time could be any."""
    end = tokens.closing(found, index + 1)
    last = found[end - 1]
    if last.kind != "string" or found[end - 2].text not in ("(", ","):
        _refuse(source, "has a regular expression that is not a literal string")
    if len(last.value) > PATTERN_LENGTH_MAX:
        _refuse(source, f"has a regular expression longer than {PATTERN_LENGTH_MAX} characters")
    if patterns.measured(last.value).repeats > PATTERN_REPEAT_MAX:
        _refuse(source, f"has a regular expression that repeats more than {PATTERN_REPEAT_MAX} times")


def _refuse(source: str, reason: str, remedy: str = _SHORTER) -> NoReturn:
    short = source if len(source) <= 60 else source[:57] + "..."
    raise ExpressionError(f"the expression {short!r} {reason}.", remedy=remedy, expression=source)
