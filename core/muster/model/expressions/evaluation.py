"""CEL itself: compile, bound, run, and bring the result back as plain JSON values with errors people can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NoReturn

from muster.model import values
from muster.model.errors import ExpressionError
from muster.model.expressions import bounds, library, tokens
from muster.model.expressions.language import cel
from muster.model.limits import EXPRESSION_COST_MAX

_SYNTAX_NOISE: Final = "ERROR: <input>:"
_SENTENCES: Final = {
    "TypeError": "the types do not go together (CEL never converts: use int(), double() or string())",
    "IndexError": "the index is outside the list",
}


_CALLED: Final = "Python function call failed: "


@lru_cache(maxsize=4_096)
def program(source: str) -> cel.Program:
    """The compiled expression. Raises ExpressionError for a syntax error or an expression beyond its bounds."""
    bounds.check(source)
    try:
        return cel.compile(source)
    except ValueError as error:
        raise _syntax_error(source, str(error)) from None


def evaluate(source: str, scope: Mapping[str, Any], limit: int = EXPRESSION_COST_MAX) -> Any:
    """The value of the expression; ``scope`` holds what it refers to, and no more, because CEL copies all it is given.

    Raises KeyError for a missing key (the caller knows the path), ExpressionError for all else.
    """
    compiled = program(source)
    bounds.check_cost(source, scope, limit)
    try:
        result = compiled.execute({**scope, **_functions(source)})
    except KeyError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError, IndexError) as error:
        _fail(source, _reason(error))
    except BaseException as error:
        # A panic of the library is no Exception; let through, one expression would end every scheduler that leads.
        if type(error).__name__ != "PanicException":
            raise
        _fail(source, "the CEL library gave up on it")
    return _plain(source, result)


@lru_cache(maxsize=4_096)
def _functions(source: str) -> dict[str, Callable[..., Any]]:
    return library.used(tokens.listed(source))


def _reason(error: Exception) -> str:
    """In a sentence; of a function that the library called back, by the kind of its error."""
    said = str(error).split(". Check ")[0].split("\n")[0]
    where, called, inner = said.partition(_CALLED)
    name, _, rest = inner.partition(": ")
    kind = "TypeError" if name == "AttributeError" else name if called else type(error).__name__
    reason = _SENTENCES.get(kind) or rest or said
    function = f"{where.split(chr(39))[1]}: " if called else ""
    return function + reason[:1].lower() + reason[1:].rstrip(".")


def _syntax_error(source: str, text: str) -> ExpressionError:
    """The library repeats the source and draws an arrow; the first error's line says it all."""
    _, _, rest = text.partition(_SYNTAX_NOISE)
    line, _, after = rest.partition(":")
    column, _, reason = after.partition(": ")
    reason = reason.split("\n")[0].removeprefix("Syntax error: ").split(" expecting ")[0] or "it is empty"
    if reason.endswith("'<EOF>'"):
        reason = "it ends too early" if source else "it is empty"
    where = f" at character {column}" if line == "1" and column.isdecimal() else ""
    return ExpressionError(f"the expression {source!r} is no CEL{where}: {reason}.", expression=source)


def _fail(source: str, reason: str) -> NoReturn:
    raise ExpressionError(f"the expression {source!r} failed: {reason}.", expression=source)


def _plain(source: str, result: Any) -> Any:
    plain = _converted(result)
    if reason := values.defect(plain):
        _fail(source, f"its result cannot travel as JSON: {reason}")
    return plain


def _converted(value: Any) -> Any:
    """Timestamps and durations as CEL's own string() writes them; the rest is JSON already, or refused after."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{values.text(value.total_seconds())}s"
    if isinstance(value, dict):
        return {key: _converted(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_converted(part) for part in value]
    return value
