"""Whether what a workflow declares makes sense: names and types of inputs and outputs, what is in them, defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import UNSET

from muster.model.definition import ports
from muster.model.definition.filetypes import says
from muster.model.definition.mediatypes import UNKNOWN, examples, media_type
from muster.model.definition.problems import Path, Report
from muster.model.definition.workflow import Output, Port
from muster.model.errors import InvalidTypeError, NameInvalidError
from muster.model.expressions.template import templates
from muster.model.plan.artifacts import FILE_TYPES, path_defect
from muster.model.values import shown

PLAIN: Final = (
    "Write the value itself: expressions belong in image, command, entrypoint, environment, working_dir, user, params "
    "and inputs of a step, and in outputs of the workflow."
)
_VALUE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}\Z")


def check(kind: str, declared: Mapping[str, Port], path: Path, report: Report) -> None:
    """Report what is wrong with inputs or outputs, which is their ``kind``."""
    for name, port in declared.items():
        place = (*path, name)
        value_name(kind, name, place, report)
        _port(f"the {kind} {name}", port, place, report, name)
        if isinstance(port, Output) and port.path is not None:
            _file(name, port, port.path, place, report)


def value_name(what: str, name: str, path: Path, report: Report) -> None:
    """Report a name of a value that expressions could not speak of."""
    if not _VALUE_NAME.match(name):
        remedy = "Use 1 to 63 of a-z, A-Z, 0-9, _ and -, beginning with a letter or _."
        report.add(path, f"the {what} {name!r} is not a legal name.", remedy, NameInvalidError)


def _port(what: str, port: Port, path: Path, report: Report, name: str) -> None:
    """What a port declares: parts only where its type has some, and a default that fits it."""
    parts = (("items", "array", port.items is not None), ("properties", "object", bool(port.properties)))
    for key, kind, there in parts:
        if there and port.type != kind:
            message = f"{what} has {key}, and its type is {port.type}."
            report.add((*path, key), message, f"Write type: {kind}, or remove {key}.", InvalidTypeError)
    if isinstance(port.items, Port):
        _port(f"each member of {name}", port.items, (*path, "items"), report, f"{name}[]")
    for key, inner in port.properties.items():
        inside = f"{name}{ports.written((key,))}"
        _port(f"the property {inside}", inner, (*path, "properties", key), report, inside)
    _default(what, port, (*path, "default"), report)


def _default(what: str, declared: Port, path: Path, report: Report) -> None:
    value = declared.default
    if value is UNSET:
        return
    try:
        ports.fit(value, declared, exact=True)
    except ports.Misfit as misfit:
        remedy = misfit.remedy or "Correct the default or the type."
        report.add(path, misfit.sentence(f"the default of {what}"), remedy, InvalidTypeError)
        return
    if any(templates(value)):
        report.add(path, f"the default of {what} cannot be an expression.", PLAIN)


def _file(name: str, output: Output, place: str, path: Path, report: Report) -> None:
    """An output that is a file."""
    if any(templates(place)):
        report.add((*path, "path"), f"the path of the output {name} cannot be an expression.", PLAIN)
    elif wrong := path_defect(place):
        message = f"the path of the output {name} is {shown(place)}: {wrong}."
        report.add((*path, "path"), message, "Write where the step puts the file, below /muster/out.")
    if output.type != "any" and output.type not in FILE_TYPES:
        message = f"the output {name} is the file {place}, and of the type {output.type}."
        report.add((*path, "type"), message, "Write type: file, or leave the path out.", InvalidTypeError)
    elif output.type in FILE_TYPES and not says(media := media_type(place), output.type):
        found = f"going by its end is {media}" if media != UNKNOWN else "has no end that says what it is"
        message = f"the output {name} is {ports.words(output)}, and its file {place} {found}."
        remedy = f"End it with {examples(output.type)}, or write type: file."
        report.add((*path, "path"), message, remedy, InvalidTypeError)
    if output.source != "file":
        message = f"the output {name} has a path and is what the step prints."
        report.add((*path, "source"), message, "Leave one of them out.")
    if output.default is not UNSET:
        message = f"the output {name} is a file, and a file has no default."
        report.add((*path, "default"), message, "Write required: false: without the file it is null.")
