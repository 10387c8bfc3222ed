r"""How much work a regular expression is, once its counts are unrolled: to compile, and for each character searched.

Measured on the library, which compiles a pattern each time it is used: a letter takes a microsecond, a class of all the
world's letters (``\w``) half a millisecond; searching takes at most some ten nanoseconds per place and character.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

# Units are those of muster.model.expressions.estimate: 0.1 microseconds.
_LETTER: Final = 20
_ANY: Final = 150  # the dot, and classes
_DIGITS: Final = 300
_WORDS: Final = 6_000  # classes of Unicode with hundreds of ranges: \w \p{L}
_FOLDED: Final = 4  # times, where upper and lower case are the same
_BASE: Final = 200
_ESCAPED: Final = r"\\[pP](?:\{[^}]*\}|.)|\\x(?:\{[^}]*\}|..)|\\."
_ATOM: Final = re.compile(
    rf"""(?P<escaped>{_ESCAPED}) | (?P<class>\[\^?\]?(?:{_ESCAPED}|\[[^\]]*\]|[^\]\\])*\]) | (?P<flags>\(\?[^:)<P=!]*\))
    | (?P<group>\((?:\?[^:)]*:|\?P?<[^>]*>)?) | (?P<end>\)) | \{{(?P<low>\d{{1,9}})(?:,(?P<high>\d{{0,9}}))?\}}
    | (?P<sign>[*+?|]) | .""",
    re.VERBOSE | re.DOTALL,
)
_INSENSITIVE: Final = re.compile(r"\(\?[a-zA-Z-]*i")


class Pattern(msgspec.Struct, frozen=True):
    """``units`` is what compiling costs, ``places`` what a search goes through for each character.

    ``repeats`` is how often the most repeated part is repeated.
    """

    units: int
    places: int
    repeats: int


class _Part(msgspec.Struct):
    """A group that is being read: all that stands in it, and what stands last in it, which a count is for."""

    units: int = 0
    places: int = 0
    repeats: int = 1
    last: tuple[int, int, int] = (0, 0, 1)

    def add(self, units: int, places: int, repeats: int = 1) -> None:
        self.units += units
        self.places += places
        self.repeats = max(self.repeats, repeats)
        self.last = units, places, repeats

    def times(self, count: int) -> None:
        units, places, repeats = self.last
        self.units += units * (count - 1)
        self.places += places * (count - 1)
        self.repeats = max(self.repeats, repeats * count)
        self.last = units * count, places * count, repeats * count


@lru_cache(maxsize=1_024)
def measured(text: str) -> Pattern:
    """The work that the pattern is; too much rather than too little where it is no pattern at all."""
    stack = [_Part()]
    for match in _ATOM.finditer(text):
        if match["group"]:
            stack.append(_Part())
        elif match["end"]:
            _leave(stack)
        elif match["low"]:
            stack[-1].times(max(1, int(match["low"]), int(match["high"] or 0)))
        elif not match["sign"] and not match["flags"]:
            stack[-1].add(_units(match), 1)
    while len(stack) > 1:
        _leave(stack)
    whole = stack[0]
    folded = _FOLDED if _INSENSITIVE.search(text) else 1
    return Pattern(_BASE + whole.units * folded, whole.places + 1, whole.repeats)


def _leave(stack: list[_Part]) -> None:
    if len(stack) > 1:
        inner = stack.pop()
        stack[-1].add(inner.units, inner.places, inner.repeats)


def _units(match: re.Match[str]) -> int:
    if match["class"]:
        return _ANY + sum(_escape_units(found[0]) for found in re.finditer(_ESCAPED, match["class"]))
    return _escape_units(match[0]) if match["escaped"] else _ANY if match[0] == "." else _LETTER


def _escape_units(escape: str) -> int:
    if escape[1] in "wWpP":
        return _WORDS
    return _DIGITS if escape[1] in "dDsSbB" else _LETTER
