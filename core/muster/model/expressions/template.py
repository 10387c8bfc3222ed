"""Templates: text with CEL expressions inside ``${{ }}``.

A string that is one expression keeps the expression's type; in mixed text each value is written out. A plain path
(``steps.words.outputs.count``) is looked up without CEL, which is what nearly every expression is. ``$${{`` stands for
a literal ``${{``. The scope an expression sees:

    inputs.NAME                 steps.ID.outputs.NAME, steps.ID.status     execution.id, execution.workflow
    vars.NAME                   item (in for_each and map)                 error (in on_failure and on_finish)
    machine.name, machine.labels (in what a container runs)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from muster.model import values
from muster.model.errors import ExpressionError, ValueMissingError
from muster.model.expressions import bounds, tokens
from muster.model.expressions.evaluation import evaluate
from muster.model.limits import EXPRESSION_BYTES_MAX, EXPRESSION_COST_MAX

ROOTS: Final = ("inputs", "steps", "vars", "execution", "item", "error", "machine")
OPENING: Final = "${{"
_OVERHEAD: Final = 500  # units that evaluating takes outside CEL
_CACHED_LENGTH_MAX: Final = 4 * EXPRESSION_BYTES_MAX  # longer texts are rare and would make the cache large
_Path = tuple[str | int, ...]


class Reference(msgspec.Struct, frozen=True):
    """What an expression asks for: ``path`` is what follows the root, so (step, "outputs", output, ...) for steps."""

    root: str
    path: _Path
    source: str

    @property
    def name(self) -> str | None:
        """The step's id, or the input's name; None where the expression does not name it literally."""
        return self.path[0] if self.path and isinstance(self.path[0], str) else None

    @property
    def output(self) -> str | None:
        """The output asked for, of a step; None where the whole step, or all its outputs, are meant."""
        if self.root != "steps" or len(self.path) < 3 or self.path[1] != "outputs":
            return None
        return self.path[2] if isinstance(self.path[2], str) else None


class Expression(msgspec.Struct, frozen=True):
    """One ``${{ }}``. ``plain`` means it is just the path of its only reference."""

    source: str
    start: int
    references: tuple[Reference, ...] = ()
    plain: bool = False


class Scope(dict[str, Any]):
    """What expressions see, and how much evaluating one of them may cost."""

    limit: int = EXPRESSION_COST_MAX


def limit_of(scope: Mapping[str, Any]) -> int:
    """How much evaluating an expression may cost there."""
    return scope.limit if isinstance(scope, Scope) else EXPRESSION_COST_MAX


class Template(msgspec.Struct, frozen=True):
    """A text taken apart: literal strings and expressions in turn."""

    parts: tuple[str | Expression, ...]

    @property
    def whole(self) -> Expression | None:
        """The expression, if the text is nothing else."""
        first = self.parts[0] if len(self.parts) == 1 else None
        return first if isinstance(first, Expression) else None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in the text."""
        return tuple(part for part in self.parts if isinstance(part, Expression))


# ---- reading


def compile_template(text: str) -> Template:
    """Take ``text`` apart. Raises ExpressionError where an expression has no end, or is longer than allowed."""
    return _cached(text) if len(text) <= _CACHED_LENGTH_MAX else _take_apart(text)


def references(template: Template) -> list[Reference]:
    """What the expressions of ``template`` ask for, in order."""
    return [reference for expression in template.expressions for reference in expression.references]


def templates(value: Any) -> Iterator[tuple[_Path, str]]:
    """Every string with an expression in ``value``, however nested, with the path to it."""
    waiting: list[tuple[_Path, Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, str):
            if OPENING in item:
                yield path, item
        elif isinstance(item, Mapping):
            waiting.extend(((*path, key), part) for key, part in reversed([*item.items()]) if _may_hold(part))
        elif isinstance(item, list | tuple):
            parts = reversed([*enumerate(item)])
            waiting.extend(((*path, index), part) for index, part in parts if _may_hold(part))


def _may_hold(value: Any) -> bool:
    """Whether an expression may be in it: not in the strings, numbers and empty lists that make up most values."""
    return OPENING in value if isinstance(value, str) else bool(value)


def _take_apart(text: str) -> Template:
    parts: list[str | Expression] = []
    literal, position = "", 0
    while (opening := text.find(OPENING, position)) >= 0:
        if opening > position and text[opening - 1] == "$":
            literal += text[position : opening - 1] + OPENING
            position = opening + len(OPENING)
            continue
        literal += text[position:opening]
        expression, position = _expression(text, opening + len(OPENING))
        parts += [literal, expression] if literal else [expression]
        literal = ""
    literal += text[position:]
    return Template((*parts, literal) if literal or not parts else tuple(parts))


_cached = lru_cache(maxsize=16_384)(_take_apart)


def _expression(text: str, start: int) -> tuple[Expression, int]:
    window = text[start : start + EXPRESSION_BYTES_MAX + 2]
    found: list[tokens.Token] = []
    depth = 0
    for token in tokens.scan(window):
        if token.text == "}" and depth == 0 and window.startswith("}}", token.start):
            source = window[: token.start].strip()
            return _described(source, found, start), start + token.start + 2
        if token.kind == "operator":
            depth += (token.text in "([{") - (token.text in ")]}")
        found.append(token)
    beginning = values.shown(window[:40].strip())
    raise ExpressionError(
        f"the expression that begins with {beginning} has no end.",
        remedy=f"Close it with }}}} within {EXPRESSION_BYTES_MAX} characters, or write $${{{{ for a literal ${{{{.",
        expression=window,
    )


def _described(source: str, found: list[tokens.Token], start: int) -> Expression:
    asked: list[Reference] = []
    end = 0
    for index, token in tokens.names(found):
        if token.text in ROOTS:
            path, end = tokens.path(found, index)
            asked.append(Reference(token.text, path, source))
    plain = len(asked) == 1 and end == len(found) and found[0].text == asked[0].root
    return Expression(source, start, tuple(asked), plain)


# ---- evaluating


Written = Callable[[Any], str]
"""How a value stands inside other text."""


def render(value: Any, scope: Mapping[str, Any], written: Written = values.text) -> Any:
    """``value`` with every expression in it evaluated, lists and objects included.

    Raises ValueMissingError where something referenced is not there, ExpressionError for all else.
    """
    if isinstance(value, str):
        return _render_text(value, scope, written) if OPENING in value else value
    if isinstance(value, dict):
        return {key: render(part, scope, written) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [render(part, scope, written) for part in value]
    return value


def _render_text(text: str, scope: Mapping[str, Any], written: Written) -> Any:
    template = compile_template(text)
    if whole := template.whole:
        return _evaluate(whole, scope)
    return "".join(
        part if isinstance(part, str) else written(_evaluate(part, scope)) for part in template.parts
    )


def _evaluate(expression: Expression, scope: Mapping[str, Any]) -> Any:
    if expression.plain:
        return look_up(expression.references[0], scope)
    narrow = narrowed(expression, scope)
    try:
        return evaluate(expression.source, narrow, limit_of(scope))
    except KeyError as error:
        # CEL only says which key; most often it is one of the references, and then the whole path can be named.
        for reference in expression.references:
            look_up(reference, scope)
        raise ValueMissingError(
            f"the expression {expression.source!r} asks for {error.args[0]!r}, which does not exist.",
            expression=expression.source,
        ) from None


def narrowed(expression: Expression, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``scope`` the expression names: CEL copies all it is given, and there may be 10,000 steps."""
    asked = _asked(expression.references)
    return {str(root): _part(scope.get(str(root), {}), inner) for root, inner in asked.items()}


@lru_cache(maxsize=4_096)
def _asked(asking: tuple[Reference, ...]) -> dict[str | int, Any]:
    """What is asked for, as a tree of names; what is asked for as a whole has no names below it."""
    tree: dict[str | int, Any] = {}
    for reference in sorted(asking, key=lambda one: -len(one.path)):
        node = tree
        for key in (reference.root, *reference.path):
            last, node = node, node.setdefault(key, {})
        last[key] = {}
    return tree


def _part(value: Any, asked: dict[str | int, Any]) -> Any:
    if not asked or not isinstance(value, Mapping):
        return value
    return {key: _part(value[key], inner) for key, inner in asked.items() if key in value}


def cost(text: str, scope: Mapping[str, Any]) -> int:
    """What evaluating the template can cost at most, in units of 0.1 microseconds.

    Raises ExpressionError where that is more than is admitted.
    """
    asked = [expression for expression in compile_template(text).expressions if not expression.plain]
    return _OVERHEAD + sum(
        _OVERHEAD + bounds.check_cost(expression.source, narrowed(expression, scope), limit_of(scope))
        for expression in asked
    )


def look_up(reference: Reference, scope: Mapping[str, Any]) -> Any:
    """The value of a plain path. Raises ValueMissingError that names what is missing."""
    value, known = _walk(reference, scope)
    if known == len(reference.path):
        return value
    raise ValueMissingError(
        f"{_missing(reference, known)} in the expression {reference.source!r} does not exist.",
        expression=reference.source,
    )


def _walk(reference: Reference, scope: Mapping[str, Any]) -> tuple[Any, int]:
    """What is at the end of the path, and how many of its keys exist."""
    value: Any = scope.get(reference.root, {})
    for known, key in enumerate(reference.path):
        if isinstance(value, Mapping):
            there = key in value
        else:
            there = isinstance(value, list) and type(key) is int and key < len(value)
        if not there:
            return None, known
        value = value[key]
    return value, len(reference.path)


def _missing(reference: Reference, known: int) -> str:
    path = reference.path
    if reference.root == "inputs" and known == 0:
        return f"the input {path[0]!r}"
    if reference.root == "steps" and known == 0:
        return f"the step {path[0]!r}"
    if reference.root == "steps" and known == 2 and path[1] == "outputs":
        return f"the output {path[2]!r} of the step {path[0]!r}"
    return f"{path[known]!r} after {'.'.join(str(key) for key in (reference.root, *path[:known]))}"
