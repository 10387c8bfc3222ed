"""Whether expressions can be evaluated: syntax, names, functions, bounds, and whether what they ask for is declared."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model.definition.problems import Path, Report
from muster.model.definition.validation.tree import block, members, returns, scopes
from muster.model.definition.workflow import Input, Step, Workflow
from muster.model.error import ErrorInfo
from muster.model.errors import (
    ExpressionError,
    InputMissingError,
    MusterError,
    SourceNodeMissingError,
    ValueMissingError,
)
from muster.model.expressions import bounds, library, tokens
from muster.model.expressions.evaluation import evaluate, program
from muster.model.expressions.template import ROOTS, Expression, Reference, compile_template, templates
from muster.model.log.names import meant
from muster.model.plan.conditions import formula
from muster.model.plan.lowering import spliced
from muster.model.plan.tree import templated

_CONVERSIONS: Final = ("bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint")
_TESTS: Final = ("contains", "endsWith", "has", "matches", "size", "startsWith")
_DAYS: Final = ("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth")
_TIMES: Final = ("getHours", "getMilliseconds", "getMinutes", "getSeconds")
FUNCTIONS: Final = frozenset((*_CONVERSIONS, *_TESTS, *_DAYS, *_TIMES)) | library.NAMES
_TYPES: Final = frozenset((*_CONVERSIONS, "bool", "list", "map", "null_type"))
_FACTS: Final = {
    "execution": ("id", "workflow"),
    "machine": ("name", "labels"),
    "error": tuple(field.encode_name for field in msgspec.structs.fields(ErrorInfo)),
}
_TEXTS: Final = frozenset({("execution", "id"), ("execution", "workflow"), ("machine", "name")})
_PYTHON: Final = {"and": "&&", "or": "||", "not": "!", "True": "true", "False": "false", "None": "null"}
_ALWAYS: Final = frozenset(("inputs", "steps", "vars", "execution"))
_BEFORE: Final = frozenset(("inputs", "execution"))
_WHERE: Final = {
    "item": "There is an item in the steps of for_each and map.",
    "error": "There is an error in the steps of on_failure and on_finish.",
    "machine": "There is a machine in what a container runs: its command, environment and inputs.",
    "steps": "Nothing has run yet where this is worked out: write it with inputs.",
    "vars": "Nothing has run yet where this is worked out: write it with inputs.",
}
_SET: Final = "Set it in a step: set: {NAME: VALUE}."
_GIVEN: Final = {"get": ("value",), "log": ("message",), "error": (), "sleep": (), "sleep_until": ()}
# CEL reads a-b as a minus b, and 7x as a number; ids may be both.
_DASHED: Final = re.compile(r"(?<![\w.])(steps|inputs|outputs)\.([A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)")
_MEMBER: Final = re.compile(r"\.outputs\.([A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Known(msgspec.Struct):
    """What expressions of a block may refer to; ``roots`` are the names that stand for something there, ``owners``
    the steps in whose blocks other steps stand.
    """

    inputs: Mapping[str, Input]
    steps: Mapping[str, Step]
    outputs: frozenset[str]
    variables: frozenset[str]
    roots: frozenset[str]
    owners: Mapping[str, str]
    children: Mapping[str, frozenset[str]]
    unnamed: bool = False


def check(workflow: Workflow, report: Report) -> None:
    """Report expressions that cannot work."""
    steps = [step for _, step in members(workflow)]
    outputs = frozenset(name for step in steps for name in step.outputs)
    variables = frozenset(name for step in steps for name in step.set or ())
    blocks = list(scopes(workflow))
    owners = {id_: block.owner.id for block in blocks if block.owner is not None for id_ in block.own}
    children = {
        name: frozenset(inner.outputs) for name, inner in workflow.workflows.items() if not returns(inner)
    }
    whole = _Known(workflow.inputs, {}, outputs, variables, _ALWAYS, owners, children)
    for scope in blocks:
        roots = _ALWAYS | {name for name in ("item", "error") if getattr(scope, name)}
        # A step whose id is missing, which is reported, may be what is meant anywhere.
        unnamed = any(not step.id and not spliced(step) for _, step in scope.members)
        known = msgspec.structs.replace(whole, steps=scope.seen, roots=roots, unnamed=unnamed)
        for path, step in scope.members:
            _check_step_of(step, path, known, report)
    seen = {step.id: step for _, step in block(workflow.steps, ())}
    _check_all(workflow.outputs, ("outputs",), msgspec.structs.replace(whole, steps=seen), report)
    if workflow.concurrency is not None:
        before = msgspec.structs.replace(whole, roots=_BEFORE)
        _check_all(workflow.concurrency.key, ("concurrency", "key"), before, report)


def _check_step_of(step: Step, path: Path, known: _Known, report: Report) -> None:
    inside = msgspec.structs.replace(known, roots=known.roots | _inside(step))
    fields = templated(step)
    for name in ("cache", "concurrency"):
        if (part := fields.pop(name, None)) is not None:
            _check_all(part, (*path, name), known, report)
    _check_all(fields, path, inside, report)
    for place, condition in conditions(step):
        text = formula(condition)
        if isinstance(text, str):
            _check_all(text, (*path, *place), known, report)
    if step.get is not None and step.get not in known.variables:
        message = f"the step {step.id} gets the variable {step.get}, which no step sets."
        report.add((*path, "get"), message, _meant(step.get, known.variables, _SET))


def _inside(step: Step) -> set[str]:
    return {name for name, there in (("machine", step.image), ("item", step.map)) if there is not None}


def conditions(step: Step) -> Iterator[tuple[Path, str | bool]]:
    """The conditions of a step and where they stand."""
    written: list[tuple[Path, Any]] = [(("if",), step.if_)]
    written += [(("switch", at, "case"), case.case) for at, case in enumerate(step.switch or ())]
    for place, condition in written:
        if isinstance(condition, list):
            yield from (((*place, at), part) for at, part in enumerate(condition))
        elif condition is not None and condition is not UNSET:
            yield place, condition


def _check_all(value: Any, path: Path, known: _Known, report: Report) -> None:
    for inner, text in templates(value):
        if report.full:
            break
        place = (*path, *inner)
        try:
            template = compile_template(text)
        except ExpressionError as error:
            report.add_error(place, error)
            continue
        report.add_errors(place, (wrong for each in template.expressions for wrong in _wrong(each, known)))


def _wrong(expression: Expression, known: _Known) -> Iterator[MusterError]:
    """What is wrong with how it is written, or else each thing that it asks for in vain."""
    try:
        if not expression.plain:
            _check_source(expression, known)
    except MusterError as error:
        yield error
        return
    for reference in expression.references:
        try:
            _check_reference(reference, known)
        except MusterError as error:
            yield error


# ---- what is asked for


def _check_reference(reference: Reference, known: _Known) -> None:
    if reference.root not in known.roots:
        message = f"the expression {reference.source!r} speaks of {reference.root}, and there is none here."
        raise ExpressionError(message, remedy=_WHERE[reference.root])
    if reference.root == "inputs":
        if reference.path and reference.path[0] not in known.inputs:
            name = reference.path[0]
            message = (
                f"the expression {reference.source!r} refers to the input {name}, which is not declared."
            )
            raise InputMissingError(message, remedy=_meant(name, known.inputs, "Declare it under inputs."))
    elif reference.root in _FACTS:
        _check_fact(reference)
    elif reference.root == "vars":
        _check_variable(reference, known)
    elif reference.root == "steps":
        _check_step(reference, known)


def _check_fact(reference: Reference) -> None:
    """What is known of an execution, a machine and an error is the same for each."""
    root, path, known = reference.root, reference.path, _FACTS[reference.root]
    if (path and path[0] not in known) or (root == "execution" and not path):
        article = "a" if root == "machine" else "an"
        message = f"the expression {reference.source!r} asks for what is not known of {article} {root}."
        listed = [f"{root}.{name}" for name in known]
        known_are = f"Known are {', '.join(listed[:-1])} and {listed[-1]}."
        close = meant(path[0], known) if path else ""
        raise ValueMissingError(message, remedy=close or known_are)
    if path[:1] and (root, path[0]) in _TEXTS and len(path) > 1:
        message = f"the expression {reference.source!r} asks for a part of {root}.{path[0]}, which is text."
        raise ValueMissingError(message, remedy=f"Write {root}.{path[0]}.")


def _check_variable(reference: Reference, known: _Known) -> None:
    if reference.path and reference.path[0] not in known.variables:
        name = reference.path[0]
        message = f"the expression {reference.source!r} asks for the variable {name}, which no step sets."
        raise ValueMissingError(message, remedy=_meant(name, known.variables, _SET))


def _check_step(reference: Reference, known: _Known) -> None:
    name, source = reference.name, reference.source
    if name is None:
        message = f"the expression {source!r} does not say which step it means."
        raise ExpressionError(message, remedy='Write steps.ID.outputs.NAME, or steps["ID"].outputs.NAME.')
    step = known.steps.get(name)
    if step is None:
        if known.unnamed:
            return
        if (owner := known.owners.get(name)) is not None:
            message = (
                f"the expression {source!r} refers to the step {name}, which stands in a block of {owner}."
            )
            raise SourceNodeMissingError(
                message, remedy=f"From here only the outputs of {owner} itself are seen."
            )
        message = f"the expression {source!r} refers to the step {name}, which does not exist."
        raise SourceNodeMissingError(message, remedy=_meant(name, known.steps, SourceNodeMissingError.remedy))
    if len(reference.path) > 1 and reference.path[1] not in ("outputs", "status"):
        asked = reference.path[1]
        message = (
            f"the expression {source!r} asks for {asked} of the step {name}; a step has outputs and a status."
        )
        raise ValueMissingError(message, remedy=f"Write steps.{name}.outputs.NAME.")
    given = outputs_of(step) if step.workflow is None else known.children.get(step.workflow)
    if given is not None and len(reference.path) > 2 and reference.path[2] not in given:
        output = reference.path[2]
        message = (
            f"the expression {source!r} asks for the output {output}, which the step {name} does not declare."
        )
        raise ValueMissingError(message, remedy=_meant(output, given, _declare(step, given)))


def _declare(step: Step, given: Collection[str]) -> str:
    if step.image is not None:
        return f"Declare it under outputs of {step.id}."
    if step.workflow is not None:
        return f"Declare it under outputs of the workflow {step.workflow}."
    return f"It gives {', '.join(given)}." if given else "It gives no outputs."


def outputs_of(step: Step) -> Collection[str] | None:
    """The names of the outputs a step gives, where that is known before it runs."""
    if step.image is not None:
        return None if step.function is not None and not step.outputs else step.outputs
    if step.for_each is not None or step.map is not None:
        return ("items", "result") if step.map is not None and step.map.reduce is not None else ("items",)
    if step.set is not None:
        return step.set
    return next((names for key, names in _GIVEN.items() if getattr(step, key) is not None), None)


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
    for _, token in tokens.names(found):
        if token.text in _PYTHON and token.text not in bound:
            message = f"the expression {source!r} has the word {token.text}, which CEL does not know."
            raise ExpressionError(message, remedy=f"Write {_PYTHON[token.text]}.")
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
    if name in _TYPES or name == library.ROOT:
        return
    message = f"the expression {source!r} uses the name {name}, which does not exist."
    if name in known.inputs:
        remedy = f"Write inputs.{name}."
    elif name in known.steps:
        remedy = f'Write steps["{name}"].outputs.NAME.'
    else:
        remedy = meant(name, ROOTS) or f'Names are {", ".join(ROOTS)}; write text as "{name}".'
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
        evaluate(source, {})
    except KeyError as error:
        raise ValueMissingError(
            f"the expression {source!r} asks for {error}, which does not exist."
        ) from None
