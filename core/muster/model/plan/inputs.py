"""The inputs of an execution: what was given, checked against what the workflow declares, defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from muster.model import values
from muster.model.definition import ports
from muster.model.definition.workflow import Input, Workflow
from muster.model.errors import InputMissingError, InvalidArgumentError
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.log.names import meant


def accept(workflow: Workflow, given: Mapping[str, Any], *, exact: bool = True) -> dict[str, Any]:
    """The inputs an execution runs with, in the order in which they are declared. ``exact`` as in ``ports.fitted``:
    it is not where other ports gave the values.

    Raises InputMissingError, InvalidTypeError, or InvalidArgumentError for what is not declared, is no JSON or is too
    large.
    """
    for name in given:
        if name not in workflow.inputs:
            raise _unknown(workflow, name)
    accepted = {
        name: _value(name, declared, given, exact=exact) for name, declared in workflow.inputs.items()
    }
    if (total := values.size(accepted)) > VALUES_BYTES_MAX:
        raise InvalidArgumentError(
            f"the inputs are {total} bytes as JSON, more than {VALUES_BYTES_MAX}.",
            remedy="Put large data where the steps can read it, and give its address as the input.",
        )
    return accepted


def _value(name: str, declared: Input, given: Mapping[str, Any], *, exact: bool) -> Any:
    if name not in given:
        if declared.default is not UNSET:
            return ports.fitted(declared.default, declared, f"the default of the input {name}", input=name)
        if declared.required:
            raise InputMissingError(input=name)
        return None
    value = given[name]
    if reason := values.defect(value):
        raise InvalidArgumentError(f"the input {name} cannot travel as JSON: {reason}.", input=name)
    return ports.fitted(value, declared, f"the input {name}", exact=exact, input=name)


def _unknown(workflow: Workflow, name: str) -> InvalidArgumentError:
    remedy = meant(name, workflow.inputs) or (
        f"It has {', '.join(workflow.inputs)}." if workflow.inputs else "It has no inputs; give none."
    )
    return InvalidArgumentError(
        f"the workflow {workflow.name} has no input {name}.", remedy=remedy, input=name
    )
