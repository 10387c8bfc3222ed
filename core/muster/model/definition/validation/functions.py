"""Whether a step that calls a function says which, and nothing that only a command can have, and the other way round.

``module:callable`` is called by Muster's own harness, so that the step has no command. A plain name is for an image
that answers the calls itself; how it is started is the image's business, or the command's.
"""

from __future__ import annotations

import re
from typing import Final

from muster.model.definition.problems import Path, Report
from muster.model.definition.validation.declarations import value_name
from muster.model.definition.validation.kinds import written
from muster.model.definition.workflow import Step
from muster.model.expressions.template import OPENING
from muster.model.values import shown

_NAME: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FORM: Final = re.compile(rf"{_NAME}:{_NAME}\Z")
_PLAIN: Final = re.compile(r"\w[\w-]*\Z")
_DOTTED: Final = re.compile(rf"({_NAME})\.([^\W\d]\w*)\Z")
_FILE: Final = re.compile(r"(?:\./)?([\w./]+?)\.py(?::|::|\.)(\w+(?:\.\w+)*)\Z")
_FORMS: Final = (
    "Write module:callable, such as app.text:shout, or the plain name of what the image itself answers for."
)
FUNCTION_MAX: Final = 200
"""Characters of module and callable together: they stand in events and views."""


def check(step: Step, path: Path, report: Report) -> None:
    """Report what is wrong with the function of a step, or with what it has of one without it."""
    function = step.function
    if function is None:
        _check_without(step, path, report)
        return
    _check_form(function, (*path, "function"), report)
    for name in step.params:
        value_name("param", name, (*path, "params", name), report)
    for key in ("command", "entrypoint"):
        if getattr(step, key) is not None and own(function):
            message = f"the step {step.id} has a function and {key}: Muster itself calls a function."
            report.add((*path, key), message, f"Remove {key}, or the function.")
    for name, output in step.outputs.items():
        if output.source == "stdout":
            message = f"the output {name} is what is printed, and what a function prints goes to the logs."
            remedy = "Return it from the function, and remove source."
            report.add((*path, "outputs", name, "source"), message, remedy)


def own(function: str) -> bool:
    """Whether it is Muster's harness that calls it: ``module:callable``, or surely meant so."""
    return _PLAIN.match(function) is None


def _check_without(step: Step, path: Path, report: Report) -> None:
    if step.image is None or report.known((*path, "function")):
        return  # which is reported, and would be said twice
    if written(step, "params"):
        message = f"params are what a function is loaded with, and the step {step.id} has no function."
        report.add((*path, "params"), message, "Add function: module:callable, or write them under inputs.")
    if written(step, "isolation"):
        message = f"isolation says who shares the container of a function, and the step {step.id} has none."
        report.add((*path, "isolation"), message, "Remove it: each run of a command has its own container.")


def _check_form(function: str, path: Path, report: Report) -> None:
    if OPENING in function:
        message = "function cannot be an expression: what is called must be known before anything runs."
        report.add(path, message, "Write module:callable, or a plain name.")
    elif len(function) > FUNCTION_MAX:
        report.add(path, f"function is longer than {FUNCTION_MAX} characters.", "Give it a shorter name.")
    elif own(function) and not _FORM.match(function):
        meant = _meant(function)
        remedy = f"Did you mean {meant}?" if meant else _FORMS
        report.add(path, f"function {shown(function)} is not module:callable.", remedy)


def _meant(function: str) -> str:
    if (file := _FILE.match(function)) is not None:
        module = file[1].strip("/").replace("/", ".")
        return f"{module}:{file[2]}" if _FORM.match(f"{module}:{file[2]}") else ""
    if (dotted := _DOTTED.match(function)) is not None:
        return f"{dotted[1]}:{dotted[2]}"
    plain = re.sub(r"\s|\(.*\)\Z", "", function.replace("/", ".").replace("::", ":"))
    return plain if _FORM.match(plain) else ""
