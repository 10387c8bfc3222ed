"""How long an expression can take at most, worked out from its text and the sizes of the values it refers to.

Theory of operation. The text is read once, as CEL reads it, and each part of it gives the largest value that it can be
and adds what it can cost: an operation has a price of its own, and reads or copies its operands. The body of a macro is
read once, with its variable as large as the largest member of what the macro goes over, and costs that much for each
member; ``map`` and ``filter`` of the library copy their result for every member. Nothing is evaluated. The unit is 0.1
microseconds, and prices are about twice what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from muster.model.expressions import library, patterns, tokens
from muster.model.expressions.extents import CHARACTERS, SCALAR, STRING, Extent, joined, larger, within

MACROS: Final = frozenset(("map", "filter", "all", "exists", "exists_one"))
DEPTH_MAX: Final = (
    40  # brackets in brackets; the library refuses somewhat more, and reading must not run out of stack
)
Find = Callable[[str, tuple[str | int, ...]], Extent]
"""How large what stands at a path of a root is."""

_COPYING: Final = frozenset(("map", "filter"))
_SAME: Final = frozenset(("dyn", "type"))
_OPERATION: Final = 6
_RETURNED: Final = 3  # times the mass of the result: it is brought back, converted and checked
_SQUARE: Final = 2  # a list that grows to n members is copied n times: n * n / 2 nodes of each
_LONGEST_NUMBER: Final = 40  # characters of a number, time or duration as text
_BINDING: Final = {
    "||": 1, "&&": 2, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
}  # fmt: skip


class LostError(Exception):
    """The text is not one that can be read, or too deep."""


def estimated(found: Sequence[tokens.Token], roots: Collection[str], find: Find) -> int:
    """The largest cost. Raises LostError where the text cannot be read."""
    reading = _Reading(found, roots, find)
    result = reading.whole()
    return reading.cost + result.mass * _RETURNED + result.characters // CHARACTERS


class _Reading:
    def __init__(self, found: Sequence[tokens.Token], roots: Collection[str], find: Find) -> None:
        self.tokens = found
        self.roots = roots
        self.find = find
        self.at = 0
        self.cost = 0
        self.depth = 0
        self.bound: dict[str, Extent] = {}

    # ---- the text

    @property
    def text(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def take(self) -> tokens.Token:
        if self.at >= len(self.tokens):
            raise LostError
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, text: str) -> bool:
        there = self.text == text and self.tokens[self.at].kind != "string"
        self.at += there
        return there

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise LostError

    def whole(self) -> Extent:
        result = self.expression()
        if self.at < len(self.tokens):
            raise LostError
        return result

    # ---- operators

    def expression(self) -> Extent:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise LostError
        result = self.operation(1)
        if self.accept("?"):
            one = self.operation(1)
            self.expect(":")
            result = larger(one, self.expression())
            self.cost += result.touched
        self.depth -= 1
        return result

    def operation(self, least: int) -> Extent:
        left = self.unary()
        while (binding := _BINDING.get(self.text, 0)) >= least and self.tokens[self.at].kind != "string":
            operator = self.take().text
            right = self.operation(binding + 1)
            self.cost += _OPERATION
            if binding > 2:
                self.cost += left.touched + right.touched + (right.length if operator == "in" else 0)
            left = joined(left, right) if operator == "+" else SCALAR
        return left

    def unary(self) -> Extent:
        while self.text in ("!", "-") and self.tokens[self.at].kind == "operator":
            self.at += 1
            self.cost += _OPERATION
        return self.member()

    # ---- members, calls and macros

    def member(self) -> Extent:
        value = self.primary()
        while True:
            if self.accept("["):
                self.cost += _OPERATION + self.expression().touched
                self.expect("]")
                value = self.selected(value)
            elif self.accept("."):
                name = self.take().text
                value = self.called(name, value) if self.accept("(") else self.selected(value)
                self.cost += _OPERATION
            else:
                return value

    def selected(self, value: Extent) -> Extent:
        """What is selected is copied."""
        self.cost += value.member.touched
        return value.member

    def called(self, name: str, target: Extent | None) -> Extent:
        if target is not None and name in MACROS:
            return self.macro(name, target)
        operands = [target] if target is not None else []
        first = self.at
        operands += self.listed(")")
        if name in library.NAMES:
            cost, given = library.priced(name, operands)
            self.cost += cost
            return given
        self.cost += _OPERATION + sum(operand.touched for operand in operands)
        if name == "matches" and operands:
            self.cost += self.pattern(first, operands[0])
        if name in _SAME and operands:
            return operands[0]
        characters = sum(operand.characters for operand in operands)
        return Extent(STRING, 1, characters + _LONGEST_NUMBER)

    def pattern(self, first: int, searched: Extent) -> int:
        """The pattern is the last of the arguments that begin at ``first``."""
        literals = [token for token in self.tokens[first : self.at] if token.kind == "string"]
        found = patterns.measured(literals[-1].value) if literals else patterns.measured("")
        return found.units + found.places * searched.characters // 10

    def macro(self, name: str, over: Extent) -> Extent:
        variable = self.take().text
        self.expect(",")
        before, self.cost = self.cost, 0
        hidden, self.bound = self.bound, {**self.bound, variable: over.member}
        parts = self.listed(")")
        self.bound = hidden
        if not parts:
            raise LostError
        each = self.cost + _OPERATION + over.member.touched + sum(part.touched for part in parts)
        count = max(1, over.length)
        self.cost = before + over.touched + count * each
        if name not in _COPYING:
            return SCALAR
        result = over if name == "filter" else parts[-1]
        carried = over.member if name == "filter" else result
        self.cost += count * count * (carried.nodes + carried.characters // 300) // _SQUARE
        return result if name == "filter" else within([result], count)

    # ---- what stands alone

    def primary(self) -> Extent:
        token = self.take()
        if token.kind == "string":
            return Extent(STRING, 1, len(token.text))
        if token.kind == "number":
            return SCALAR
        if token.kind == "name":
            return self.named(token.text)
        if token.text == "(":
            value = self.expression()
            self.expect(")")
            return value
        if token.text == "[":
            return self.made(self.listed("]"))
        if token.text == "{":
            return self.made(self.entries())
        if token.text == ".":
            return self.primary()
        raise LostError

    def named(self, name: str) -> Extent:
        self.cost += _OPERATION
        if name in self.bound:
            return self.bound[name]
        if self.accept("("):
            return self.called(name, None)
        if name not in self.roots:
            return SCALAR
        path, self.at = tokens.path(self.tokens, self.at - 1)
        for length in range(1, len(path) + 1):
            self.cost += _OPERATION + self.find(name, path[:length]).touched
        return self.find(name, path)

    def made(self, parts: list[Extent]) -> Extent:
        self.cost += sum(part.touched + _OPERATION for part in parts)
        return within(parts)

    def listed(self, closing: str) -> list[Extent]:
        parts: list[Extent] = []
        while not self.accept(closing):
            parts.append(self.expression())
            if not self.accept(","):
                self.expect(closing)
                break
        return parts

    def entries(self) -> list[Extent]:
        parts: list[Extent] = []
        while not self.accept("}"):
            parts.append(self.expression())
            self.expect(":")
            parts.append(self.expression())
            if not self.accept(","):
                self.expect("}")
                break
        return parts
