"""Expressions written in Python: ``inputs.count + 1`` is the text ``${{ inputs.count + 1 }}``.

A term is text being made, nothing is evaluated. It has the operators that mean in CEL what they mean in Python:
``+ - *``, ``== != < <= > >=``, and ``& | ~`` for *and*, *or* and *not*, which Python keeps for itself. Division and
remainder differ between the two for negative and whole numbers, and ``in``, ``and``, ``or``, ``not`` and ``if`` ask
Python for a truth that is not known yet: for these there is ``cel``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from muster.model.errors import ExpressionError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WORDS: Final = frozenset(
    (
        *(
            "as",
            "break",
            "const",
            "continue",
            "else",
            "false",
            "for",
            "function",
            "if",
            "import",
            "in",
            "let",
            "loop",
        ),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    )
)
_SUM, _PRODUCT, _COMPARED, _ALL, _ANY, _ONE = 4, 5, 3, 2, 1, 6  # how strongly parts of a term hold together
_ASKED: Final = (
    "whether {} holds is not known before the workflow runs. Write & for and, | for or, ~ for not, each side in "
    "brackets; for a condition of a step give the expression itself: if_=..."
)


class Term:
    """An expression. Its members are expressions too: ``inputs.person.name``, ``inputs["first-name"]``, ``item[0]``."""

    __slots__ = ("_binds", "_source")
    __hash__ = None  # type: ignore[assignment] # == makes a term, so a term cannot be looked up

    def __init__(self, source: str, binds: int = _ONE) -> None:
        self._source = source
        self._binds = binds

    def __str__(self) -> str:
        """The expression as it stands in a workflow; an f-string makes mixed text of it."""
        return f"${{{{ {self._source} }}}}"

    def __repr__(self) -> str:
        """For people who debug."""
        return f"Term({self._source!r})"

    def __getattr__(self, name: str) -> Term:
        if name.startswith(
            "_"
        ):  # what Python and notebooks look for; an input of such a name is inputs["_name"]
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int | Term) -> Term:
        of = _held(self, _ONE)
        if isinstance(key, str) and _NAME.match(key) and key not in _WORDS:
            return Term(f"{of}.{key}")
        return Term(f"{of}[{source(key)}]")

    def __add__(self, other: Any) -> Term:
        return _joined(self, "+", other, _SUM)

    def __radd__(self, other: Any) -> Term:
        return _joined(other, "+", self, _SUM)

    def __sub__(self, other: Any) -> Term:
        return _joined(self, "-", other, _SUM)

    def __rsub__(self, other: Any) -> Term:
        return _joined(other, "-", self, _SUM)

    def __mul__(self, other: Any) -> Term:
        return _joined(self, "*", other, _PRODUCT)

    def __rmul__(self, other: Any) -> Term:
        return _joined(other, "*", self, _PRODUCT)

    def __eq__(self, other: object) -> Term:  # type: ignore[override]
        return _joined(self, "==", other, _COMPARED)

    def __ne__(self, other: object) -> Term:  # type: ignore[override]
        return _joined(self, "!=", other, _COMPARED)

    def __lt__(self, other: Any) -> Term:
        return _joined(self, "<", other, _COMPARED)

    def __le__(self, other: Any) -> Term:
        return _joined(self, "<=", other, _COMPARED)

    def __gt__(self, other: Any) -> Term:
        return _joined(self, ">", other, _COMPARED)

    def __ge__(self, other: Any) -> Term:
        return _joined(self, ">=", other, _COMPARED)

    def __and__(self, other: Term | bool) -> Term:
        return _joined(self, "&&", _truth(other), _ALL)

    def __rand__(self, other: Term | bool) -> Term:
        return _joined(_truth(other), "&&", self, _ALL)

    def __or__(self, other: Term | bool) -> Term:
        return _joined(self, "||", _truth(other), _ANY)

    def __ror__(self, other: Term | bool) -> Term:
        return _joined(_truth(other), "||", self, _ANY)

    def __invert__(self) -> Term:
        return Term(f"!{_held(self, _ONE)}", _PRODUCT)

    def __bool__(self) -> NoReturn:
        raise TypeError(_ASKED.format(self._source))

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(
            f"what is in {self._source} is not known before the workflow runs: cel('{{}} in {{}}', ...)."
        )

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"what is in {self._source} is not known before the workflow runs: use for_each or map_each."
        )


def cel(text: str, *values: Any) -> Term:
    """An expression in CEL; each ``{}`` stands for one of ``values``: a term, or any JSON value.

    Raises ExpressionError where their numbers differ, or a value cannot be written in CEL.
    """
    parts = text.split("{}")
    if len(parts) != len(values) + 1:
        message = f"{text!r} has {len(parts) - 1} places and is given {len(values)} values."
        raise ExpressionError(message, remedy="Give one value for each {}.")
    written = [_held(value, _ONE) for value in values]
    return Term("".join(part + value for part, value in zip(parts, [*written, ""], strict=True)), 0)


def source(value: Any) -> str:
    """A term's own text, or a JSON value as CEL writes it. Raises ExpressionError for anything else."""
    if isinstance(value, Term):
        return value._source
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(source, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{source(key)}: {source(part)}" for key, part in value.items()) + "}"
    raise ExpressionError(
        f"{value!r} cannot be written in an expression.", remedy="Use JSON values and terms."
    )


def written(value: Any) -> Any:
    """``value`` as it stands in a workflow: every term in it, however nested, becomes its text."""
    if isinstance(value, Term):
        return str(value)
    if isinstance(value, Mapping):
        return {key: written(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [written(part) for part in value]
    return value


def encoded(value: Any) -> str:
    """A term's text, for msgspec where it comes upon what it does not know."""
    if isinstance(value, Term):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _joined(left: Any, operator: str, right: Any, binds: int) -> Term:
    """Comparisons are no chain in CEL, and a - (b - c) needs its brackets."""
    tighter = binds + 1
    return Term(
        f"{_held(left, binds if binds != _COMPARED else tighter)} {operator} {_held(right, tighter)}", binds
    )


def _held(value: Any, binds: int) -> str:
    """The text, in brackets where what is around it would take it apart."""
    text = source(value)
    loose = value._binds < binds if isinstance(value, Term) else text.startswith("-")
    return f"({text})" if loose else text


def _truth(value: Any) -> Term | bool:
    if isinstance(value, Term | bool):
        return value
    raise TypeError(
        f"& and | join conditions, not {value!r}: put each side in brackets, (a == 1) & (b == 2)."
    )


inputs: Final = Term("inputs")
"""The inputs of the execution: ``inputs.NAME``."""
steps: Final = Term("steps")
"""Other steps: ``steps.ID.outputs.NAME``; from a step itself it is shorter: ``words.output.count``."""
variables: Final = Term("vars")
"""What steps have set: ``variables.NAME``."""
execution: Final = Term("execution")
"""``execution.id`` and ``execution.workflow``."""
item: Final = Term("item")
"""In ``for_each`` and ``map_each``: the member at hand; over a mapping ``item.key`` and ``item.value``."""
error: Final = Term("error")
"""In ``on_failure`` and ``on_finish``: what went wrong, ``error.name``, ``error.message``."""
machine: Final = Term("machine")
"""In what a container runs: ``machine.name`` and ``machine.labels``."""
