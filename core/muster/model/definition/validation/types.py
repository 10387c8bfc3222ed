"""What type an expression gives, where the types of all it refers to are known before anything runs.

A plain reference gives what was declared, however deep it leads. All else is not inferred from the source: the
expression is evaluated on values of the declared types. That it fails there because of its types, and on each of the
values, means that it always will; anything else (a missing key, an index, a division) depends on the values, and
nothing is said about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from muster.model import values
from muster.model.definition.filetypes import FIELDS, MEDIA_TYPES
from muster.model.definition.ports import ANY, items, words, written
from muster.model.definition.validation.origins import Declared, declaration
from muster.model.definition.workflow import Port
from muster.model.errors import ExpressionError, MusterError
from muster.model.expressions.evaluation import evaluate
from muster.model.expressions.template import ROOTS, Expression, Reference
from muster.model.log.names import meant
from muster.model.plan.artifacts import ALGORITHM, FILE_TYPES, Artifact

_VARIANTS: Final = (0, 1)
_NULLS: Final = 2  # what may be null is
SAMPLE_PARTS_MAX: Final = 500
"""Of what is made up for one expression: thousands of steps may speak of one large input."""
_PLAIN: Final[Mapping[str, tuple[Any, ...]]] = {
    "string": ("a", "a"),
    "boolean": (True, False),
    "integer": (1, 1),
    "number": (1, 1.5),
}
_TYPE_ERRORS: Final = ("types do not go together", "undefined variable or function")
"""What evaluation says of types; that every function exists was checked before."""


class _Known(msgspec.Struct, frozen=True):
    """A reference: the first ``length`` keys of it lead to what was declared as ``root``, all of it to ``port``."""

    reference: Reference
    length: int
    root: Port
    port: Port


def given(expression: Expression, declared: Declared) -> tuple[Port, ...]:
    """What the expression may give, one of these; empty where that cannot be known.

    Raises ExpressionError where the types of what it refers to rule out that it ever gives anything.
    """
    found = [_known(expression, reference, declared) for reference in expression.references]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or any(one.port.type == "any" for one in known):
        return ()
    return (known[0].port,) if expression.plain else _tried(expression, known)


# ---- what a reference leads to


def _known(expression: Expression, reference: Reference, declared: Declared) -> _Known | None:
    length, root = declaration(reference, declared)
    if root is None:
        return None
    port = root
    for at in range(length, len(reference.path)):
        inner = _inside(port, reference.path[at])
        if inner is None:
            raise _not_there(expression, reference, at, port)
        port = inner
    return _Known(reference, length, root, port)


def _inside(port: Port, key: str | int) -> Port | None:
    """What stands under the key; ``any`` where that is not known, None where certainly nothing does."""
    if port.type in FILE_TYPES:
        return Port(type=FIELDS[key]) if key in FIELDS else None
    if port.type == "array":
        return items(port) if isinstance(key, int) else ANY
    if port.type == "object" and port.properties and isinstance(key, str):
        return port.properties.get(key)
    return None if port.type in _PLAIN else ANY


def _not_there(expression: Expression, reference: Reference, at: int, port: Port) -> ExpressionError:
    key, whole = reference.path[at], spelled(reference, at)
    if port.type == "object":
        message = f"the expression {expression.source!r} asks for {key!r}, which is no declared property of {whole}."
        return ExpressionError(
            message, remedy=meant(key, port.properties) or f"It has {', '.join(port.properties)}."
        )
    message = f"the expression {expression.source!r} asks for {key!r} of {words(port)}."
    if port.type in FILE_TYPES:
        return ExpressionError(
            message, remedy=f"It has {', '.join(FIELDS)}; what is in a file only a step can read."
        )
    return ExpressionError(message, remedy=f"{whole} is {words(port)}: use it as a whole.")


def spelled(reference: Reference, length: int) -> str:
    """The beginning of a reference as it is written."""
    return reference.root + written(reference.path[:length])


# ---- what an expression makes of it


def _tried(expression: Expression, known: list[_Known]) -> tuple[Port, ...]:
    """The types of the results; raises ExpressionError where each try fails because of the types."""
    found: set[str] = set()
    failed = 0
    for variant in _VARIANTS:
        scope = _scope(known, variant)
        if scope is None:
            return ()
        try:
            found.add(values.type_name(evaluate(expression.source, scope)))
        except KeyError:
            return ()
        except MusterError as error:
            if not any(text in error.message for text in _TYPE_ERRORS):
                return ()
            failed += 1
    if failed == len(_VARIANTS):
        raise _never(expression, known)
    if failed or "null" in found:
        return ()
    kinds: list[Any] = sorted(found | set(_without(expression, known)))
    return tuple(Port(type=kind) for kind in kinds)


def _without(expression: Expression, known: list[_Known]) -> Iterator[str]:
    """The type of the result where what may be null is null."""
    if all(one.root.required for one in known):
        return
    scope = _scope(known, _NULLS)
    try:
        found = values.type_name(evaluate(expression.source, scope or {}))
    except (KeyError, MusterError):
        return
    if found != "null":
        yield found


class _UnsaidError(Exception):
    """No value stands for all that may be there, or only one that is too large."""


def _scope(known: list[_Known], variant: int) -> dict[str, Any] | None:
    """A value for all that is referred to; None where some part of it may be anything, or it has too many parts."""
    scope: dict[str, Any] = {root: {} for root in ROOTS}
    parts = iter(range(SAMPLE_PARTS_MAX))
    try:
        for one in known:
            value = _sample(one.root, variant, parts)
            _place(scope, (one.reference.root, *one.reference.path[: one.length]), value)
    except _UnsaidError:
        return None
    return scope


def _place(scope: dict[str, Any], way: tuple[str | int, ...], value: Any) -> None:
    place: Any = scope
    for key in way[:-1]:
        place = place.setdefault(key, {})
    place[way[-1]] = value


def _sample(port: Port, variant: int, parts: Iterator[int]) -> Any:
    if variant == _NULLS and not port.required:
        return None
    if port.type == "any" or next(parts, None) is None:
        raise _UnsaidError
    if port.type == "array":
        return [] if port.items is None else [_sample(items(port), variant, parts)]
    if port.type == "object":
        return {name: _sample(inner, variant, parts) for name, inner in port.properties.items()}
    if port.type in FILE_TYPES:
        media_type = MEDIA_TYPES[port.type]
        return Artifact(address=ALGORITHM + "0" * 64, size=1, media_type=media_type, execution="x").value()
    return _PLAIN[port.type][variant % 2]


def _never(expression: Expression, known: list[_Known]) -> ExpressionError:
    said = dict.fromkeys(
        f"{spelled(one.reference, len(one.reference.path))} is {words(one.port)}" for one in known
    )
    message = f"the types in the expression {expression.source!r} do not go together: {' and '.join(said)}."
    return ExpressionError(
        message if said else message.replace(": .", "."),
        remedy="CEL never converts: use int(), double() or string().",
    )
