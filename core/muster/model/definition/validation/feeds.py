"""What is put into ports: the inputs of a step against what it accepts, those of a child against what it declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model import values
from muster.model.definition import ports
from muster.model.definition.ports import Mismatch, mismatch, words
from muster.model.definition.problems import Path, Report
from muster.model.definition.validation.origins import Declared
from muster.model.definition.validation.reading import read
from muster.model.definition.validation.written import of
from muster.model.definition.workflow import Input, Port, Step, Workflow
from muster.model.errors import InputMissingError, InvalidArgumentError, InvalidTypeError
from muster.model.expressions.template import OPENING, compile_template, templates
from muster.model.log.names import meant
from muster.model.plan.artifacts import KEY

_CONVERSIONS: Final[Mapping[tuple[str, str], str]] = {
    **{(kind, "string"): "string" for kind in ("boolean", "integer", "number")},
    **{(kind, "integer"): "int" for kind in ("string", "number")},
    ("string", "number"): "double",
}


class Taker(msgspec.Struct, frozen=True):
    """Who takes values, by which ports, and where these are declared."""

    name: str
    ports: Mapping[str, Input]
    declared: str


def taker(step: Step, workflow: Workflow) -> Taker | None:
    """Who takes the inputs of the step; None where any will do."""
    inner = workflow.workflows.get(step.workflow or "")
    if inner is not None:
        name = f"the workflow {inner.name}"
        return Taker(name, inner.inputs, f"inputs of {name}")
    name = f"the step {step.id}"
    return Taker(name, step.accepts, f"accepts of {name}") if step.accepts else None


def check(step: Step, to: Taker, path: Path, declared: Declared, report: Report) -> None:
    """Report inputs that nobody takes, that are missing, or that do not fit."""
    for name, value in step.inputs.items():
        place = (*path, "inputs", name)
        if name in to.ports:
            _Feed(to, name, declared, report).check(value, to.ports[name], place, "")
            continue
        remedy = meant(name, to.ports) or (
            f"It has {', '.join(to.ports)}." if to.ports else "It has no inputs; give none."
        )
        report.add(place, f"{to.name} has no input {name}.", remedy, InvalidArgumentError)
    missing = [name for name in _needed(to.ports) if name not in step.inputs]
    if missing:
        message = f"{to.name} is not given its input {' and '.join(missing)}."
        key = "workflow" if step.workflow is not None else "inputs"
        report.add((*path, key), message, f"Add inputs: {{{missing[0]}: ...}}.", InputMissingError)


def _needed(declared: Mapping[str, Port]) -> Iterator[str]:
    return (name for name, port in declared.items() if port.required and port.default is UNSET)


class _Feed:
    """One input that is checked; ``way`` leads from there to the part at hand."""

    def __init__(self, to: Taker, name: str, declared: Declared, report: Report) -> None:
        self.to = to
        self.name = name
        self.declared = declared
        self.report = report

    def check(self, value: Any, port: Port, place: Path, way: str) -> None:
        """Report what does not fit the port."""
        if isinstance(value, str) and OPENING in value:
            self._expression(value, port, place, way)
        elif isinstance(value, dict) and KEY not in value and port.type == "object" and port.properties:
            self._object(value, port.properties, place, way)
        elif isinstance(value, list) and port.type == "array":
            for at, part in enumerate(value):
                self.check(part, ports.items(port), (*place, at), f"{way}[{at}]")
        else:
            for inner, text in templates(value):
                read(text, (*place, *inner), self.declared, self.report)
            found = mismatch(None if value is None else of(value, self.declared), port)
            if found is not None:
                self._report(found, values.shown(value), place, way)

    def _expression(self, text: str, port: Port, place: Path, way: str) -> None:
        given = read(text, place, self.declared, self.report)
        found = [mismatch(one, port) for one in given]
        if not given or any(one is None for one in found):
            return
        whole = compile_template(text).whole
        shown = values.shown(text if whole is None else whole.source)
        convert = _CONVERSIONS.get((given[0].type, port.type)) if whole is not None else None
        remedy = f"Write ${{{{ {convert}({whole.source}) }}}}" if whole is not None and convert else ""
        first = next(one for one in found if one is not None)
        if len(given) > 1:
            said = " or ".join(words(one) for one in given)
            first = msgspec.structs.replace(first, found=said)
        self._report(first, shown, place, way, remedy)

    def _object(self, value: Mapping[str, Any], declared: Mapping[str, Port], place: Path, way: str) -> None:
        for name, part in value.items():
            inside = way + ports.written((name,))
            if name in declared:
                self.check(part, declared[name], (*place, name), inside)
                continue
            remedy = meant(name, declared) or f"It can have {', '.join(declared)}."
            message = f"the input {self.name}{inside} is not declared in {self.to.declared}."
            self.report.add((*place, name), message, remedy, InvalidTypeError)
        for name in _needed(declared):
            if name not in value:
                message = f"the input {self.name}{way} is not given its {name}."
                self.report.add(place, message, f"Add {name}: ... to it.", InputMissingError)

    def _report(self, found: Mismatch, shown: str, place: Path, way: str, remedy: str = "") -> None:
        what = f"the input {self.name}{way}{found.path}"
        otherwise = f"change {self.to.declared}"
        if not found.found:
            message = f"{what} is required, and {shown} has none."
            remedy = f"Give it, or {otherwise}."
        elif shown == "None":
            message = f"{what} must be {words(found.wanted)}, and is null."
            remedy = f"Leave it out, or write required: false in {self.to.declared}."
        elif found.found == "null":
            message = f"{what} must be {words(found.wanted)}, and {shown} may be null."
            remedy = f"Give it a default, or write required: false in {self.to.declared}."
        else:
            there = f"is {found.found}" if not found.path else f"has {found.found} there"
            message = f"{what} must be {words(found.wanted)}, and {shown} {there}."
            remedy = f"{remedy or f'Give it {words(found.wanted)}'}, or {otherwise}."
        self.report.add(place, message, remedy, InvalidTypeError)
