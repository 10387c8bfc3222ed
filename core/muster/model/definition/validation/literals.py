"""What is kept as it is written: an expression there would never be evaluated."""

from __future__ import annotations

from typing import Any

from muster.model.definition.problems import Path, Report
from muster.model.definition.validation.declarations import PLAIN
from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import Workflow
from muster.model.expressions.template import templates


def check(workflow: Workflow, report: Report) -> None:
    """Report expressions in labels, in metadata and in the schemas of answers."""
    _plain(workflow.labels, "a label", ("labels",), report)
    _plain(workflow.metadata, "metadata", ("metadata",), report)
    for path, step in members(workflow):
        if step.wait_for_input is not None:
            _plain(step.wait_for_input.schema, "a schema", (*path, "wait_for_input", "schema"), report)


def _plain(value: Any, what: str, path: Path, report: Report) -> None:
    for inside, _ in templates(value):
        report.add((*path, *inside), f"{what} cannot be an expression.", PLAIN)
