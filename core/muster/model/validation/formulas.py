"""Whether expressions can be evaluated: syntax, names, functions, bounds, and whether what they ask for is declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec

from muster.model import bounds, tokens
from muster.model.errors import (
    ExpressionError,
    InputMissingError,
    MusterError,
    SourceNodeMissingError,
    ValueMissingError,
)
from muster.model.evaluation import evaluate, program
from muster.model.expressions import ROOTS, Expression, Reference, compile_template, templates
from muster.model.inputs import meant
from muster.model.plan import templated
from muster.model.problems import Path, Report
from muster.model.workflow import Input, Step, Workflow

_CONVERSIONS: Final = ("bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint")
_TESTS: Final = ("contains", "endsWith", "has", "matches", "size", "startsWith")
_DAYS: Final = ("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth")
_TIMES: Final = ("getHours", "getMilliseconds", "getMinutes", "getSeconds")
FUNCTIONS: Final = frozenset((*_CONVERSIONS, *_TESTS, *_DAYS, *_TIMES))
_TYPES: Final = frozenset((*_CONVERSIONS, "bool", "list", "map", "null_type"))
_FACTS: Final = ("id", "workflow")
# CEL reads a-b as a minus b, and 7x as a number; ids may be both.
_DASHED: Final = re.compile(r"(?<![\w.])(steps|inputs|outputs)\.([A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)")
_MEMBER: Final = re.compile(r"\.outputs\.([A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Known(msgspec.Struct):
    """What expressions of the workflow may refer to."""

    inputs: Mapping[str, Input]
    steps: Mapping[str, Step]
    outputs: frozenset[str]


def check(workflow: Workflow, report: Report) -> list[set[str]]:
    """Report expressions that cannot work. Returns which steps each step refers to."""
    steps = {step.id: step for step in workflow.steps}
    outputs = frozenset(name for step in workflow.steps for name in step.outputs)
    known = _Known(workflow.inputs, steps, outputs)
    sources: list[set[str]] = []
    for at, step in enumerate(workflow.steps):
        asked = _check_all(templated(step), ("steps", at), known, report)
        sources.append({r.name for r in asked if r.root == "steps" and r.name in known.steps and r.name})
    _check_all(workflow.outputs, ("outputs",), known, report)
    return sources


def _check_all(value: Any, path: Path, known: _Known, report: Report) -> list[Reference]:
    asked: list[Reference] = []
    for inner, text in templates(value):
        if report.full:
            break
        place = (*path, *inner)
        try:
            template = compile_template(text)
        except ExpressionError as error:
            report.add_error(place, error)
            continue
        for expression in template.expressions:
            _check_one(expression, place, known, report)
            asked += expression.references
    return asked


def _check_one(expression: Expression, place: Path, known: _Known, report: Report) -> None:
    try:
        if not expression.plain:
            _check_source(expression, known)
        for reference in expression.references:
            _check_reference(reference, known)
    except MusterError as error:
        report.add_error(place, error)


# ---- what is asked for


def _check_reference(reference: Reference, known: _Known) -> None:
    if reference.root == "inputs":
        if reference.path and reference.path[0] not in known.inputs:
            name = reference.path[0]
            message = (
                f"the expression {reference.source!r} refers to the input {name}, which is not declared."
            )
            raise InputMissingError(message, remedy=_meant(name, known.inputs, "Declare it under inputs."))
    elif reference.root == "execution":
        if not reference.path or reference.path[0] not in _FACTS:
            message = f"the expression {reference.source!r} asks for what is not known of an execution."
            raise ValueMissingError(message, remedy="Known are execution.id and execution.workflow.")
    else:
        _check_step(reference, known)


def _check_step(reference: Reference, known: _Known) -> None:
    name, source = reference.name, reference.source
    if name is None:
        message = f"the expression {source!r} does not say which step it means."
        raise ExpressionError(message, remedy='Write steps.ID.outputs.NAME, or steps["ID"].outputs.NAME.')
    step = known.steps.get(name)
    if step is None:
        if "" in known.steps:  # the id of some step is missing, which is reported; it may well be this one
            return
        message = f"the expression {source!r} refers to the step {name}, which does not exist."
        raise SourceNodeMissingError(message, remedy=_meant(name, known.steps, SourceNodeMissingError.remedy))
    if len(reference.path) > 1 and reference.path[1] != "outputs":
        asked = reference.path[1]
        message = f"the expression {source!r} asks for {asked} of the step {name}; a step has outputs only."
        raise ValueMissingError(message, remedy=f"Write steps.{name}.outputs.NAME.")
    if len(reference.path) > 2 and reference.path[2] not in step.outputs:
        output = reference.path[2]
        message = (
            f"the expression {source!r} asks for the output {output}, which the step {name} does not declare."
        )
        raise ValueMissingError(
            message, remedy=_meant(output, step.outputs, f"Declare it under outputs of {name}.")
        )


def _meant(name: Any, known: Iterable[str], otherwise: str) -> str:
    return meant(name, known) or otherwise


# ---- the expression itself


def _check_source(expression: Expression, known: _Known) -> None:
    source = expression.source
    if not source:
        raise ExpressionError(
            "an expression is empty.", remedy="Write one between ${{ and }}, or remove both."
        )
    _check_dashes(source, known)
    found = tokens.listed(source)
    bound = bounds.variables(source)
    if hidden := bound.intersection(ROOTS):
        message = f"the expression {source!r} names a variable {min(hidden)}, which hides the {min(hidden)}."
        raise ExpressionError(message, remedy="Call it x.")
    compiled = program(source)
    for function in compiled.functions():
        _check_function(source, function)
    for _, token in tokens.names(found):
        if token.text not in ROOTS and token.text not in bound and token.text in compiled.variables():
            _check_name(source, token.text, known)
    if any(a.kind == "name" and b.text == "{" for a, b in pairwise(found)):
        raise ExpressionError(
            f"the expression {source!r} makes a typed object.", remedy='Write {"key": value}.'
        )
    if not expression.references:
        _check_constant(source)


def _check_name(source: str, name: str, known: _Known) -> None:
    if name in _TYPES:
        return
    message = f"the expression {source!r} uses the name {name}, which does not exist."
    if name in known.inputs:
        remedy = f"Write inputs.{name}."
    elif name in known.steps:
        remedy = f'Write steps["{name}"].outputs.NAME.'
    else:
        remedy = meant(name, ROOTS) or f'Names are inputs, steps and execution; write text as "{name}".'
    raise ExpressionError(message, remedy=remedy)


def _check_function(source: str, function: str) -> None:
    if not function[0].isalpha() or function in FUNCTIONS:
        return
    if function in bounds.MACROS:
        message = f"the expression {source!r} gives {function} the wrong arguments."
        raise ExpressionError(message, remedy=f"Write LIST.{function}(x, ...x...).")
    known = FUNCTIONS | bounds.MACROS
    message = f"the expression {source!r} calls {function}, which does not exist."
    raise ExpressionError(
        message, remedy=meant(function, known) or "The functions are listed in docs/workflow.md."
    )


def _check_dashes(source: str, known: _Known) -> None:
    bare = _without_strings(source)
    names: list[tuple[str, str, Iterable[str]]] = [
        (match[1], match[2], known.steps if match[1] == "steps" else known.inputs)
        for match in _DASHED.finditer(bare)
    ]
    names += [("outputs", match[1], known.outputs) for match in _MEMBER.finditer(bare)]
    for root, name, there in names:
        if name in there and not _IDENTIFIER.match(name):
            reading = f"{name.replace('-', ' minus ')}" if "-" in name else "a number"
            message = f"the expression {source!r} is not understood, because CEL reads {name} as {reading}."
            raise ExpressionError(message, remedy=f'Write {root}["{name}"].')


def _without_strings(source: str) -> str:
    """The source with every string blanked out."""
    text = source
    for token in tokens.listed(source):
        if token.kind == "string":
            text = (
                text[: token.start]
                + '"'
                + " " * (len(token.text) - 2)
                + '"'
                + text[token.start + len(token.text) :]
            )
    return text


def _check_constant(source: str) -> None:
    """What refers to nothing gives the same every time: then its failure can be told now."""
    try:
        evaluate(source, {}, list)
    except KeyError as error:
        raise ValueMissingError(
            f"the expression {source!r} asks for {error}, which does not exist."
        ) from None
