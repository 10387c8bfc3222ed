"""The functions of expressions beside CEL's own: of text, lists and numbers, from the extensions of the CEL library.

They are Python, called back by the library, which hands every operand over and takes the result back. So each call has
its price, by the size of what it is given and the largest that it can give; units are those of
``muster.model.expressions.extents``. Left out are functions of which that cannot be said (``lists.range``), that
replace one of CEL's own, or that give what is no JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from muster.model.expressions import tokens
from muster.model.expressions.extents import ARRAY, CHARACTERS, SCALAR, STRING, Extent, within
from muster.model.expressions.language import stdlib
from muster.model.limits import INTEGER_MAX

TEXT: Final = (
    "charAt", "indexOf", "join", "lastIndexOf", "lowerAscii", "replace", "split", "substring", "trim", "upperAscii",
)  # fmt: skip
LISTS: Final = ("distinct", "max", "min", "reverse", "slice", "sort", "sum")
MATH: Final = (
    "math.abs", "math.bitAnd", "math.bitNot", "math.bitOr", "math.bitXor", "math.ceil", "math.floor", "math.round",
    "math.sqrt", "math.trunc",
)  # fmt: skip
ROOT: Final = "math"
_LISTED: Final = frozenset(("distinct", "join", "slice", "sort"))


def _typed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """To Python text is a list of letters; to CEL it is not, nor is a list of letters text.

    Python's whole numbers have no end; those of CEL have 64 bits, and what it is handed beyond them it makes another
    number of.
    """
    wanted = list if name in _LISTED else str if name in TEXT else object

    def call(first: Any, *more: Any) -> Any:
        if not isinstance(first, wanted):
            raise TypeError
        found = function(first, *more)
        if isinstance(found, int) and not -INTEGER_MAX - 1 <= found <= INTEGER_MAX:
            raise OverflowError("The result is a whole number of more than 64 bits")
        return found

    return call


_CALLS: Final[dict[str, Callable[..., Any]]] = {
    name: _typed(name, stdlib.STDLIB_FUNCTIONS[name]) for name in (*TEXT, *LISTS, *MATH)
}
_FULL: Final = {name.rpartition(".")[2]: name for name in _CALLS}
NAMES: Final = frozenset(_FULL)
"""As they stand before the bracket."""

_CALL: Final = 100
_NUMBERS: Final = frozenset(("indexOf", "lastIndexOf", "sum", *(name.rpartition(".")[2] for name in MATH)))
_LETTER: Final = 3  # units for each letter that is looked at in Python
_COMPARED: Final = 2

# It says each failure of a function on a log of its own, beside raising it.
logging.getLogger("cel").setLevel(logging.CRITICAL)


def used(found: Sequence[tokens.Token]) -> dict[str, Callable[..., Any]]:
    """Those that the expression calls, as the library wants them."""
    return {
        _FULL[token.text]: _CALLS[_FULL[token.text]]
        for index, token in enumerate(found)
        if token.text in NAMES and token.kind == "name" and tokens.is_call(found, index)
    }


def priced(name: str, operands: Sequence[Extent]) -> tuple[int, Extent]:
    """What a call costs at most, and the largest that it gives."""
    first = operands[0] if operands else SCALAR
    given = _given(name, first, operands)
    handed = [*operands, given, given]  # the result is made, and then brought to CEL
    return _CALL + sum(map(_handed, handed)) + _work(name, first), given


def _handed(value: Extent) -> int:
    return value.mass + value.characters // CHARACTERS


def _given(name: str, first: Extent, operands: Sequence[Extent]) -> Extent:
    if name in _NUMBERS:
        return SCALAR
    if name == "split":
        return within([Extent(STRING, 1, 1)], first.characters + 1)
    if name == "join":
        between = first.length * sum(operand.characters for operand in operands[1:])
        return Extent(STRING, 1, first.characters + between)
    if name == "replace":
        times = 1 + operands[2].characters if len(operands) > 2 else 1
        return Extent(STRING, 1, (first.characters + 1) * times)
    if name in ("min", "max"):
        return within(operands) if len(operands) > 1 else first.member
    if name in ("distinct", "reverse", "slice", "sort"):
        return first
    return Extent(STRING, 1, first.characters)


def _work(name: str, first: Extent) -> int:
    count = first.length
    if name in ("lowerAscii", "upperAscii"):
        return first.characters * _LETTER
    if name == "distinct":
        return count * count * (_COMPARED + first.member.touched) // 2
    if name == "sort":
        return count * count.bit_length() * first.member.touched // _COMPARED
    if name in ("min", "max", "sum"):
        return count * first.member.touched
    return ARRAY + first.characters // CHARACTERS
