"""What type an expression gives, where the types of all it refers to are known before anything runs.

Types are not inferred from the source: the expression is evaluated on values of the declared types. That it fails
there because of its types, and on each of the values, means that it always will; anything else (a missing key, an
index, a division) depends on the values, and nothing is said about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from muster.model import values
from muster.model.errors import ExpressionError, MusterError
from muster.model.evaluation import evaluate
from muster.model.expressions import ROOTS, Expression, Reference
from muster.model.workflow import Input, Step

_SAMPLES: Final[tuple[Mapping[str, Any], ...]] = (
    {"string": "a", "boolean": True, "integer": 1, "number": 1, "array": [], "object": {}},
    {"string": "a", "boolean": False, "integer": 1, "number": 1.5, "array": [], "object": {}},
)
_SCALARS: Final = ("string", "boolean", "integer", "number")
_TYPE_ERRORS: Final = ("types do not go together", "undefined variable or function")
"""What evaluation says of types; that every function exists was checked before."""


class Declared(msgspec.Struct, frozen=True):
    """What the types come from: the inputs of the workflow, and the steps seen from the expression."""

    inputs: Mapping[str, Input]
    steps: Mapping[str, Step]


def given(expression: Expression, declared: Declared) -> set[str]:
    """The types the expression may give; empty where that cannot be known.

    Raises ExpressionError where the types of what it refers to rule out that it ever gives anything.
    """
    known = [type_of(reference, declared) for reference in expression.references]
    for reference, (name, rest) in zip(expression.references, known, strict=True):
        if rest and name in _SCALARS:
            message = f"the expression {expression.source!r} asks for {rest[0]!r} of {values.article(name)}."
            whole = _written(reference, len(reference.path) - len(rest))
            raise ExpressionError(message, remedy=f"{whole} is {values.article(name)}: use it as a whole.")
    if any(not name or rest for name, rest in known):
        return set()
    if expression.plain:
        return {known[0][0]}
    return _tried(expression, [name for name, _ in known])


def type_of(reference: Reference, declared: Declared) -> tuple[str, tuple[Any, ...]]:
    """The declared type of what the reference begins with, and what of its path comes after; empty if unknown."""
    for length, name in _declarations(reference, declared):
        return ("" if name == "any" else name), reference.path[length:]
    return "", ()


def _declarations(reference: Reference, declared: Declared) -> Iterator[tuple[int, str]]:
    path = reference.path
    if reference.root == "execution" and path:
        yield 1, "string"
    elif reference.root == "inputs" and path and path[0] in declared.inputs:
        yield 1, declared.inputs[str(path[0])].type
    elif reference.root == "steps" and len(path) > 1 and path[0] in declared.steps:
        if path[1] == "status":
            yield 2, "string"
        elif len(path) > 2:
            yield 3, output_type(declared.steps[str(path[0])], str(path[2]))


def output_type(step: Step, name: str) -> str:
    """The type of an output of the step, ``any`` where it is not known."""
    if step.image is not None and name in step.outputs:
        return step.outputs[name].type
    if step.log is not None:
        return "string"
    if (step.for_each is not None or step.map is not None) and name == "items":
        return "array"
    return "any"


def _tried(expression: Expression, names: list[str]) -> set[str]:
    """The types of the results; raises ExpressionError where each try fails because of the types."""
    found: set[str] = set()
    failed = 0
    for samples in _SAMPLES:
        scope = _scope(expression, [samples[name] for name in names])
        try:
            found.add(values.type_name(evaluate(expression.source, scope)))
        except KeyError:
            return set()
        except MusterError as error:
            if not any(text in error.message for text in _TYPE_ERRORS):
                return set()
            failed += 1
    if failed == len(_SAMPLES):
        raise _never(expression, names)
    return found if not failed else set()


def _scope(expression: Expression, found: list[Any]) -> dict[str, Any]:
    scope: dict[str, Any] = {root: {} for root in ROOTS}
    for reference, value in zip(expression.references, found, strict=True):
        place = scope[reference.root]
        for key in reference.path[:-1]:
            place = place.setdefault(key, {})
        place[reference.path[-1]] = value
    return scope


def _never(expression: Expression, names: list[str]) -> ExpressionError:
    said = dict.fromkeys(
        f"{_written(reference, len(reference.path))} is {values.article(name)}"
        for reference, name in zip(expression.references, names, strict=True)
    )
    message = f"the types in the expression {expression.source!r} do not go together: {' and '.join(said)}."
    return ExpressionError(
        message if said else message.replace(": .", "."),
        remedy="CEL never converts: use int(), double() or string().",
    )


def _written(reference: Reference, length: int) -> str:
    parts = (f".{key}" if str(key).isidentifier() else f"[{key!r}]" for key in reference.path[:length])
    return reference.root + "".join(parts)
