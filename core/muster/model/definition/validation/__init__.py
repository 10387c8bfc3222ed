"""Whether a workflow is any good: everything that can be known before anything runs.

All problems are found at once, each with its place and its remedy; a workflow is either valid or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from muster.model import values
from muster.model.definition.document import parse
from muster.model.definition.problems import Path, Position, Problem, Report
from muster.model.definition.terms import encoded
from muster.model.definition.validation import excess, formulas, links, literals, ranges, shape, timing, uses
from muster.model.definition.workflow import Workflow
from muster.model.limits import DEFINITION_BYTES_MAX, FILE_NODES_MAX

__all__ = ["Problem", "from_object", "load", "validate"]


def load(text: bytes, *, name: str) -> Workflow:
    """The workflow in a YAML or JSON file called ``name``.

    Raises WorkflowInvalidError; its ``problems`` are all that is wrong, its message is the first.
    """
    document = parse(text, name=name)
    workflow, report = _examined(document.data, name, document.positions)
    report.stop()
    return workflow


def validate(data: Mapping[str, Any] | Workflow) -> list[Problem]:
    """Everything that is wrong with a workflow given as an object; empty if it is valid."""
    return _examined(_plain(data))[1].problems


def from_object(data: Mapping[str, Any] | Workflow) -> Workflow:
    """The workflow in ``data``. Raises WorkflowInvalidError as ``load`` does."""
    workflow, report = _examined(_plain(data))
    report.stop()
    return workflow


def _plain(data: Any) -> Any:
    return msgspec.to_builtins(data, enc_hook=encoded) if isinstance(data, msgspec.Struct) else data


def _examined(
    data: Any, file: str = "", positions: Mapping[Path, Position] | None = None
) -> tuple[Workflow, Report]:
    report = Report(file, positions)
    if reason := _too_much(data):
        report.add((), f"the workflow cannot be stored: {reason}.", "Make it smaller, of plain JSON values.")
        return Workflow(name="", steps=[]), report
    workflow = shape.repaired(data, report)
    _examine(workflow, report)
    return workflow, report


def _examine(workflow: Workflow, report: Report) -> None:
    ranges.check(workflow, report)
    literals.check(workflow, report)
    formulas.check(workflow, report)
    links.check(workflow, report)
    uses.check(workflow, report)
    timing.check(workflow, report)
    excess.check(workflow, report)
    for name, inner in workflow.workflows.items():
        part = report.within(("workflows", name))
        timing.check_inner(inner, part)
        _examine(inner, part)


def _too_much(data: Any) -> str:
    """Why the log could not hold it; a file was measured while it was read, an object was not."""
    if reason := values.defect(data):
        return reason
    if (size := values.size(data)) > DEFINITION_BYTES_MAX:
        return f"it is {size} bytes as JSON, more than {DEFINITION_BYTES_MAX}"
    if (nodes := _nodes(data)) > FILE_NODES_MAX:
        return f"it has {nodes} keys and values, more than {FILE_NODES_MAX}"
    return ""


def _nodes(data: Any) -> int:
    count, waiting = 0, [data]
    while waiting:
        item = waiting.pop()
        count += 1
        if isinstance(item, dict):
            count += len(item)
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    return count
