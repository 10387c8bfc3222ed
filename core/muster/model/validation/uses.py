"""Whether what is put somewhere is of the type that place takes: conditions, lists to go over, inputs of a child."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model import values
from muster.model.conditions import formula
from muster.model.errors import ExpressionError, InputMissingError, InvalidArgumentError, InvalidTypeError
from muster.model.expressions import OPENING, compile_template, templates
from muster.model.names import meant
from muster.model.plan import templated
from muster.model.problems import Path, Report
from muster.model.validation.formulas import conditions
from muster.model.validation.tree import scopes
from muster.model.validation.types import Declared, given
from muster.model.workflow import Input, Step, Workflow

_COMPARE: Final = "Compare it: value != null, size(text) > 0, count > 0."
_LIST: Final = "Give a list, or a mapping; write ${{ }} around an expression."


class _Use(msgspec.Struct, frozen=True):
    """A place: what it is called, the types it takes (none: any), and what to do about another."""

    what: str = ""
    takes: tuple[str, ...] = ()
    remedy: str = ""


_ANY: Final = _Use()


def check(workflow: Workflow, report: Report) -> None:
    """Report expressions whose types never go together, and values that do not fit where they stand."""
    for scope in scopes(workflow):
        declared = Declared(workflow.inputs, scope.seen)
        for path, step in scope.members:
            if step.workflow in workflow.workflows:
                _check_call(step, workflow.workflows[step.workflow], path, report)
            for place, value, use in _uses(step, workflow):
                _check(value, (*path, *place), use, declared, report)
    declared = Declared(workflow.inputs, {step.id: step for step in _outermost(workflow)})
    for name, value in workflow.outputs.items():
        _check(value, ("outputs", name), _ANY, declared, report)


def _outermost(workflow: Workflow) -> list[Step]:
    return [step for _, step in next(iter(scopes(workflow))).members]


def _uses(step: Step, workflow: Workflow) -> Iterator[tuple[Path, Any, _Use]]:
    """Every value of a step that is evaluated, with its place and what that takes."""
    for place, condition in conditions(step):
        yield place, formula(condition), _Use("the condition", ("boolean",), _COMPARE)
    fields = templated(step)
    for key, name in (("for_each", "in"), ("map", "over")):
        if key in fields:
            yield (key, name), fields[key].pop(name), _Use(name, ("array", "object"), _LIST)
    if "sleep_until" in fields:
        use = _Use("sleep_until", ("string",), "Give a time such as 2026-11-21T18:00:00Z.")
        yield ("sleep_until",), fields.pop("sleep_until"), use
    inner = workflow.workflows.get(step.workflow or "")
    if inner is not None:
        for name, value in fields.pop("inputs", {}).items():
            yield ("inputs", name), value, _input_use(inner, name, inner.inputs.get(name))
    yield (), fields, _ANY


def _input_use(inner: Workflow, name: str, declared: Input | None) -> _Use:
    if declared is None or declared.type == "any":
        return _ANY
    takes = ("integer", "number") if declared.type == "number" else (declared.type,)
    nullable = ("null",) if not declared.required else ()
    remedy = f"The workflow {inner.name} takes {values.article(declared.type)}."
    return _Use(f"the input {name}", (*takes, *nullable), remedy)


def _check(value: Any, path: Path, use: _Use, declared: Declared, report: Report) -> None:
    found = list(templates(value))
    if use.takes and not found:
        _check_fits({values.type_name(value)}, value, path, use, report)
        if use.what == "sleep_until" and isinstance(value, str):
            _check_time(value, path, report)
    for inner, text in found:
        if report.full:
            return
        whole = _check_text(text, (*path, *inner), declared, report)
        if whole and not inner and use.takes:
            _check_fits(whole, text, path, use, report)


def _check_text(text: str, path: Path, declared: Declared, report: Report) -> set[str]:
    """The types the text may give; what cannot be read at all is reported elsewhere."""
    if report.known(path):
        return set()
    try:
        template = compile_template(text)
        found = [given(expression, declared) for expression in template.expressions]
    except ExpressionError as error:
        report.add(path, error.message, error.advice, type(error))
        return set()
    return found[0] if template.whole is not None else {"string"}


def _check_fits(found: set[str], value: Any, path: Path, use: _Use, report: Report) -> None:
    if found.intersection(use.takes):
        return
    kinds = " or ".join(values.article(name) for name in sorted(found))
    taken = "true or false" if use.takes == ("boolean",) else " or ".join(map(values.article, use.takes))
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


def _check_call(step: Step, inner: Workflow, path: Path, report: Report) -> None:
    """The inputs a child is given against those it declares."""
    for name in step.inputs:
        if name not in inner.inputs:
            message = f"the workflow {inner.name} has no input {name}."
            remedy = meant(name, inner.inputs) or _has(inner.inputs)
            report.add((*path, "inputs", name), message, remedy, InvalidArgumentError)
    missing = [
        name
        for name, declared in inner.inputs.items()
        if declared.required and declared.default is UNSET and name not in step.inputs
    ]
    if missing:
        message = f"the workflow {inner.name} is not given its input {' and '.join(missing)}."
        report.add((*path, "workflow"), message, f"Add inputs: {{{missing[0]}: ...}}.", InputMissingError)


def _has(inputs: Mapping[str, Input]) -> str:
    return f"It has {', '.join(inputs)}." if inputs else "It has no inputs; give none."
