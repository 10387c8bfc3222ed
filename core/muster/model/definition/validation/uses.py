"""Whether what is put somewhere is of the type that place takes: conditions, lists to go over, times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from muster.model import values
from muster.model.definition.ports import mismatch, words
from muster.model.definition.problems import Path, Report
from muster.model.definition.validation import feeds, written
from muster.model.definition.validation.formulas import conditions
from muster.model.definition.validation.origins import Declared
from muster.model.definition.validation.reading import read
from muster.model.definition.validation.tree import Scope, scopes
from muster.model.definition.workflow import Port, Step, Workflow
from muster.model.errors import InvalidTypeError
from muster.model.expressions.template import OPENING, compile_template, templates
from muster.model.plan.conditions import formula
from muster.model.plan.tree import templated

_COMPARE: Final = "Compare it: value != null, size(text) > 0, count > 0."
_LIST: Final = "Give a list, or a mapping; write ${{ }} around an expression."


class _Use(msgspec.Struct, frozen=True):
    """A place: what it is called, the types it takes (none: any), and what to do about another."""

    what: str = ""
    takes: tuple[Port, ...] = ()
    remedy: str = ""


_ANY: Final = _Use()
# Null is refused when it is there: most of what may be null never is.
_TRUTH: Final = _Use("the condition", (Port(type="boolean", required=False),), _COMPARE)
_MEMBERS: Final = (Port(type="array", required=False), Port(type="object", required=False))
_TIME: Final = _Use(
    "sleep_until", (Port(type="string", required=False),), "Give a time such as 2026-11-21T18:00:00Z."
)


def check(workflow: Workflow, report: Report) -> None:
    """Report expressions whose types never go together, and values that do not fit where they stand."""
    whole = written.whole(workflow)
    known: dict[int, tuple[Scope, Declared]] = {}
    for scope in scopes(workflow):
        around = known[id(scope.around)][1] if scope.around is not None else whole
        declared = written.within(scope, around)
        known[id(scope)] = scope, declared
        for path, step in scope.members:
            _check_step(step, path, workflow, declared, report)
    for name, value in workflow.outputs.items():
        _check(value, ("outputs", name), _ANY, whole, report)


def _check_step(step: Step, path: Path, workflow: Workflow, declared: Declared, report: Report) -> None:
    taker = feeds.taker(step, workflow)
    if taker is not None:
        feeds.check(step, taker, path, declared, report)
    for place, value, use in _uses(step, fed=taker is not None):
        _check(value, (*path, *place), use, declared, report)
    if step.map is not None and step.map.reduce is not None:  # its item is another one
        plain = msgspec.structs.replace(declared, item=None)
        _check(step.map.reduce, (*path, "map", "reduce"), _ANY, plain, report)


def _uses(step: Step, *, fed: bool) -> Iterator[tuple[Path, Any, _Use]]:
    """Every value of a step that is evaluated, with its place and what that takes; without its inputs, if ``fed``."""
    for place, condition in conditions(step):
        yield place, formula(condition), _TRUTH
    fields = templated(step)
    for key, name in (("for_each", "in"), ("map", "over")):
        if key in fields:
            yield (key, name), fields[key].pop(name), _Use(name, _MEMBERS, _LIST)
            fields[key].pop("reduce", None)
    if "sleep_until" in fields:
        yield ("sleep_until",), fields.pop("sleep_until"), _TIME
    if fed:
        fields.pop("inputs", None)
    yield (), fields, _ANY


def _check(value: Any, path: Path, use: _Use, declared: Declared, report: Report) -> None:
    found = list(templates(value))
    if use.takes and not found:
        given = None if value is None else written.of(value, declared)
        _check_fits((given,), value, path, use, report)
        if use is _TIME and isinstance(value, str):
            _check_time(value, path, report)
    for inner, text in found:
        if report.full:
            return
        whole = read(text, (*path, *inner), declared, report)
        if whole and not inner and use.takes:
            _check_fits(whole, text, path, use, report)


def _check_fits(found: Sequence[Port | None], value: Any, path: Path, use: _Use, report: Report) -> None:
    if any(one is not None and mismatch(one, taken) is None for one in found for taken in use.takes):
        return
    kinds = " or ".join(words(one) for one in found)
    taken = "true or false" if use is _TRUTH else " or ".join(map(words, use.takes))
    shown = values.shown(_bare(value))
    report.add(path, f"{use.what} must be {taken}, and {shown} is {kinds}.", use.remedy, InvalidTypeError)


def _bare(value: Any) -> Any:
    """An expression without what is around it, as most people write conditions."""
    if isinstance(value, str) and OPENING in value and (whole := compile_template(value).whole):
        return whole.source
    return value


def _check_time(text: str, path: Path, report: Report) -> None:
    try:
        zoned = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        message = f"sleep_until: {values.shown(text)} is no time with its zone."
        report.add(path, message, "Write it like 2026-11-21T18:00:00Z.")
