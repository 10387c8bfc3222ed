"""Stand-ins: for each value another of the same type and about the same size, which tells nothing but that.

Theory of operation. A stand-in is drawn from a keyed hash of what it stands for, so equal values have equal stand-ins,
in one fixture and in all that are made with the same key, and nobody without the key can tell whether a guess is right.
Different values have different stand-ins, as long as there are enough of that size. Rules:

1. A string gives as many letters and digits, each as wide in UTF-8 as what it stands for. Line ends and other control
   characters stay; so do the empty string and a single sign, which is syntax.
2. A string that is a number gives one, and a number the same digits as the string that it would be.
3. A number keeps its sign, its point, its exponent and how many digits it has; 0 and 1 stay. One that a computer's
   numbers can hold, which is neither infinite nor rounded to 0, gives another such.
4. ``true``, ``false`` and ``null`` stay: there is nothing else of their type and size.
5. An artifact stays one: its media type and execution stay, its hash gives another.
6. Words that are ``clear`` stay, because they are names that expressions look things up by.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from hashlib import shake_256
from typing import Any, Final

import msgspec

from muster.model.expressions import tokens
from muster.model.expressions.template import OPENING, compile_template
from muster.model.limits import INTEGER_MAX
from muster.model.plan import artifacts
from muster.model.plan.artifacts import Artifact

TRIES_MAX: Final = (
    64  # how often another stand-in is drawn where one is taken: only of one or two characters it may be
)
SIGNS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
KEPT_CALLS: Final = frozenset(
    ("duration", "timestamp")
)  # their literals are program text and must keep their form

_NUMBER: Final = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]+)?)((?:[eE][+-]?[0-9]+)?)\Z")
_PREFIX: Final = re.compile(r"[a-zA-Z]*")
_WIDE: Final = re.compile(r"[^ -~]")
_PLAIN: Final = bytes(ord(SIGNS[number % len(SIGNS)]) for number in range(256))
_SHAPES: Final = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX: Final = "0123456789abcdef"

Maker = Callable[[str, bytes], str]
"""Makes a stand-in of a text from as many bytes of chance."""


class Pseudonyms:
    """The stand-ins of one fixture."""

    def __init__(self, key: bytes, clear: Iterable[str] = ()) -> None:
        self._key = key
        self._clear = frozenset(clear) | {"0", "1"}
        self._known: dict[tuple[Maker, str], str] = {}
        self._taken: set[tuple[Maker, str]] = set()

    def value(self, value: Any) -> Any:
        """The stand-in of a JSON value, keys of objects included."""
        if isinstance(value, str):
            return self.text(value)
        if (artifact := artifacts.of(value)) is not None:
            return self._artifact(artifact)
        if isinstance(value, dict):
            return {self.text(key): self.value(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        if value is None or isinstance(value, bool):
            return value
        return self.number(value)

    def _artifact(self, artifact: Artifact) -> dict[str, Any]:
        """A file stays one, of its kind: ports take it or refuse it by that."""
        return msgspec.structs.replace(
            artifact,
            address=self.digest(artifact.address),
            size=self.number(artifact.size),
            name=self.shaped(artifact.name),
        ).value()

    def text(self, text: str) -> str:
        """The stand-in of a string."""
        if len(text) <= 1 and not text.isalnum():
            return text
        if found := _NUMBER.match(text):
            return self._number(found)
        return self._drawn(text, _lettered)

    def number(self, number: Any) -> Any:
        """The stand-in of a number."""
        text = repr(number) if isinstance(number, float) else str(number)
        found = _NUMBER.match(text)
        if found is None:
            return number
        drawn = self._number(found)
        return float(drawn) if isinstance(number, float) else int(drawn)

    def shaped(self, text: str) -> str:
        """The stand-in of what must keep its form, such as an image's name: letters for letters, digits for digits."""
        return self._drawn(text, _shaped)

    def digest(self, text: str) -> str:
        """The stand-in of a digest, with or without its algorithm: ``sha256:…``."""
        algorithm, colon, digits = text.rpartition(":")
        return algorithm + colon + self._drawn(digits, _hexadecimal)

    def template(self, text: str, make: Callable[[str], str] | None = None) -> str:
        """The stand-in of a text that may hold expressions: they stay, all but the strings in them."""
        make = self.text if make is None else make
        if OPENING not in text:
            return make(text)
        return "".join(
            make(part).replace(OPENING, "$" + OPENING)
            if isinstance(part, str)
            else f"{OPENING} {self.expression(part.source)} }}}}"
            for part in compile_template(text).parts
        )

    def expression(self, source: str) -> str:
        """The expression with stand-ins for its strings, without comments."""
        found, end = [], 0
        listed = tokens.listed(source)
        for index, token in enumerate(listed):
            gap = source[end : token.start]
            found.append(" " if gap.strip() else gap)
            found.append(token.text if token.kind != "string" else self._literal(listed, index))
            end = token.start + len(token.text)
        return "".join(found)

    def _literal(self, listed: tuple[tokens.Token, ...], index: int) -> str:
        token = listed[index]
        if index > 1 and listed[index - 1].text == "(" and listed[index - 2].text in KEPT_CALLS:
            return token.text
        mark = "b" if "b" in _PREFIX.match(token.text)[0].lower() else ""  # type: ignore[index]
        return mark + msgspec.json.encode(self.text(token.value)).decode()

    # ---- drawing

    def _number(self, found: re.Match[str]) -> str:
        sign, digits, exponent = found.groups()
        if float(digits) in (0, 1):
            return found[0]
        return sign + self._drawn(digits + exponent, _scientific if exponent else _numeric)

    def _drawn(self, text: str, make: Maker) -> str:
        if not text or text in self._clear:
            return text
        found = self._known.get((make, text))
        if found is None:
            found = self._draw(text, make)
            self._known[make, text] = found
            self._taken.add((make, found))
        return found

    def _draw(self, text: str, make: Maker) -> str:
        content = text.encode("utf-8", "surrogatepass")
        for number in range(TRIES_MAX):
            seed = b"%s\0%s\0%d\0%s" % (self._key, make.__name__.encode(), number, content)
            found = make(text, shake_256(seed).digest(len(text)))
            if found != text and found not in self._clear and (make, found) not in self._taken:
                return found
        return text if (make, text) not in self._taken else found


def _lettered(text: str, chance: bytes) -> str:
    drawn = chance.translate(_PLAIN).decode()
    if not _WIDE.search(text):
        return drawn
    signs = list(drawn)
    for found in _WIDE.finditer(text):
        place = found.start()
        signs[place] = _wide(found[0], chance[place])
    return "".join(signs)


def _wide(sign: str, chance: int) -> str:
    """A letter as wide as ``sign`` in UTF-8; what has no width on paper stays."""
    width = len(sign.encode("utf-8", "surrogatepass"))
    if width == 1:
        return sign
    return chr((0, 0, 0x100, 0x4E00, 0x20000)[width] + (chance % 0x80))


def _shaped(text: str, chance: bytes) -> str:
    return "".join(
        next((shape[drawn % len(shape)] for shape in _SHAPES if sign in shape), sign)
        for sign, drawn in zip(text, chance, strict=True)
    )


def _hexadecimal(text: str, chance: bytes) -> str:
    return "".join(
        _HEX[drawn % 16] if sign in _HEX else sign for sign, drawn in zip(text, chance, strict=True)
    )


def _numeric(text: str, chance: bytes) -> str:
    """Digits for digits: zeros before the first other digit, and all behind the point of a whole number, stay."""
    whole, point, rest = text.partition(".")
    kept = rest if not rest.strip("0") else ""
    signs, started = [], False
    for place, sign in enumerate(text if not kept else whole):
        last = point and place == len(text) - 1
        if sign == "." or (sign == "0" and not started):
            signs.append(sign)
            continue
        signs.append(str(chance[place] % 10 if started and not last else 1 + chance[place] % 9))
        started = True
    found = "".join(signs) + (point + kept if kept else "")
    too_large = not point and len(text) == len(str(INTEGER_MAX)) and int(found) > INTEGER_MAX >= int(text)
    return text if too_large else found  # which is refused, and drawn again


def _scientific(text: str, chance: bytes) -> str:
    """The digits before an exponent; beside the largest and the smallest number their first may have to stay."""
    found = _NUMBER.match(text)
    assert found is not None
    digits = _numeric(found[2], chance)
    tried = (each + found[3] for each in (digits, found[2][0] + digits[1:]))
    return next((each for each in tried if _range(each) == _range(text)), text)  # which is refused, as above


def _range(text: str) -> tuple[bool, bool]:
    """Whether a computer's numbers hold it only as 0, or as infinity."""
    return float(text) == 0, math.isinf(float(text))
