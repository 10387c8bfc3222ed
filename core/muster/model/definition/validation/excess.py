"""Whether a workflow certainly begins more than its own limits admit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import UNSET

from muster.model.definition.problems import Report
from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import Limits, Step, Workflow
from muster.model.errors import FunctionLimitError, StepLimitError
from muster.model.expressions.template import OPENING
from muster.model.plan.lowering import spliced, structure
from muster.model.sharing.ration import fitting, name


def check(workflow: Workflow, report: Report) -> None:
    """Report limits that nothing can keep to. A workflow that may return early keeps to any."""
    limits = workflow.limits
    if limits is None:
        return
    counts: dict[tuple[str, ...], int | None] = {("steps",): limits.steps}
    counts |= {("functions", glob): count for glob, count in limits.functions.items()}
    for place, count in counts.items():
        if count is not None and count < 0:
            report.add(("limits", *place), f"{place[-1]} is {count}, less than 0.", "Write 0 or more.")
    if any(step.return_ is not UNSET for _, step in members(workflow)):
        return
    steps, functions = _certain(workflow.steps, limits)
    if limits.steps is not None and 0 <= limits.steps < steps:
        message = f"the workflow begins {steps} steps or more, and limits.steps admits {limits.steps}."
        report.add(("limits", "steps"), message, StepLimitError.remedy, StepLimitError)
    for glob, count in limits.functions.items():
        if count is not None and 0 <= count < functions[glob]:
            message = f"the workflow begins {functions[glob]} of {glob} or more, and its limit is {count}."
            report.add(("limits", "functions", glob), message, FunctionLimitError.remedy, FunctionLimitError)


def _certain(steps: Sequence[Step], limits: Limits) -> tuple[int, Counter[str]]:
    """How many steps are begun whatever happens, and how many of each pattern."""
    total, functions = 0, Counter[str]()
    for step in steps:
        if step.if_ is not None and step.then is None:
            continue
        times = 1
        if spliced(step):
            inner: Sequence[Step] = structure(step) or ()
        else:
            total += 1
            functions[_pattern(step, limits)] += 1
            inner, times = _loop(step)
        more, of = _certain(inner, limits)
        total += times * more
        functions.update({glob: times * count for glob, count in of.items()})
    return total, functions


def _loop(step: Step) -> tuple[Sequence[Step], int]:
    """What is run for each member of a list that is written out, and how often."""
    found = step.for_each.in_ if step.for_each else step.map.over if step.map else None
    body = step.for_each or step.map
    return (body.steps, len(found)) if body is not None and isinstance(found, list | dict) else ((), 0)


def _pattern(step: Step, limits: Limits) -> str:
    image = step.image or ""
    if step.function is None and (step.image is None or OPENING in image):
        return ""
    return fitting(name(step, image), limits.functions)
