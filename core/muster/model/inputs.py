"""The inputs of an execution: what was given, checked against what the workflow declares, defaults filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from msgspec import UNSET

from muster.model import values
from muster.model.errors import InputMissingError, InvalidArgumentError, InvalidTypeError
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.workflow import Input, Workflow

_CANDIDATES_MAX: Final = 500  # comparing takes some 10 microseconds for each


NAME_SEARCHED_MAX: Final = 100  # characters; looking for what is like a name of megabytes would take seconds


def accept(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs an execution runs with, in the order in which they are declared.

    Raises InputMissingError, InvalidTypeError, or InvalidArgumentError for what is not declared, is no JSON or is too
    large.
    """
    for name in given:
        if name not in workflow.inputs:
            raise _unknown(workflow, name)
    accepted = {name: _value(name, declared, given) for name, declared in workflow.inputs.items()}
    if (total := values.size(accepted)) > VALUES_BYTES_MAX:
        raise InvalidArgumentError(
            f"the inputs are {total} bytes as JSON, more than {VALUES_BYTES_MAX}.",
            remedy="Put large data where the steps can read it, and give its address as the input.",
        )
    return accepted


def _value(name: str, declared: Input, given: Mapping[str, Any]) -> Any:
    if name not in given:
        if declared.default is not UNSET:
            return declared.default
        if declared.required:
            raise InputMissingError(input=name)
        return None
    value = given[name]
    if reason := values.defect(value):
        raise InvalidArgumentError(f"the input {name} cannot travel as JSON: {reason}.", input=name)
    if value is None and not declared.required:
        return None
    if not values.fits(value, declared.type):
        found = values.type_name(value)
        raise InvalidTypeError(
            f"the input {name} must be {values.article(declared.type)}, not {values.article(found)}: "
            f"{values.shown(value)}.",
            input=name,
            expected=declared.type,
            found=found,
        )
    return value


def _unknown(workflow: Workflow, name: str) -> InvalidArgumentError:
    remedy = meant(name, workflow.inputs) or (
        f"It has {', '.join(workflow.inputs)}." if workflow.inputs else "It has no inputs; give none."
    )
    return InvalidArgumentError(
        f"the workflow {workflow.name} has no input {name}.", remedy=remedy, input=name
    )


def meant(name: Any, known: Iterable[str]) -> str:
    """The question that ends most searches for a mistake, or the empty string."""
    text = str(name)[:NAME_SEARCHED_MAX]
    candidates = sorted(known, key=lambda one: abs(len(one) - len(text)))[:_CANDIDATES_MAX]
    close = get_close_matches(text, candidates, n=1)
    return f"Did you mean {close[0]}?" if close else ""
