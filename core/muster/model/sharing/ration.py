"""How many steps an execution may begin, as a whole and of each function: exactly so many, and not one more.

A step is counted where it begins: with its first attempt (``step.scheduled``), or where a control step is started. What
is skipped, taken over from another execution or from a cache, or tried again is not counted, nor are the names of
chains and groups, nor what handlers run: they are there for when something has gone wrong, and that may be this.

A function counts under the first pattern that fits its name; a container without one goes by its image.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from muster.model.definition.workflow import Step
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.errors import FunctionLimitError, StepLimitError
from muster.model.plan.lowering import structure


def check_steps(execution: ExecutionState, step: StepState) -> None:
    """Raise StepLimitError where no step more may begin."""
    limits = execution.plan.workflow.limits
    if limits is None or limits.steps is None or not counts(step):
        return
    if execution.steps_begun >= limits.steps:
        raise StepLimitError(
            f"the execution has begun {limits.steps} steps, and limits.steps admits no more",
            limit=limits.steps,
        )


def check_function(execution: ExecutionState, step: StepState, image: str) -> str:
    """The pattern that the step counts under, or the empty string. Raises FunctionLimitError where it is used up."""
    limits = execution.plan.workflow.limits
    if limits is None or not counts(step):
        return ""
    pattern = fitting(name(step.plan.step, image), limits.functions)
    limit = limits.functions.get(pattern)
    if limit is not None and execution.functions_begun.get(pattern, 0) >= limit:
        raise FunctionLimitError(
            f"{name(step.plan.step, image)} is one more than the {limit} that limits.functions admits of {pattern}",
            function=name(step.plan.step, image),
            limit=limit,
        )
    return pattern


def name(step: Step, image: str) -> str:
    """What the step counts as."""
    return step.function or image


def fitting(function: str, patterns: Mapping[str, int | None]) -> str:
    """The first pattern that fits, or the empty string."""
    return next((pattern for pattern in patterns if fnmatchcase(function, pattern)), "")


def counts(step: StepState) -> bool:
    """Whether it is counted."""
    return structure(step.plan.step) is None and not step.frame.handler


def begun(execution: ExecutionState, step: StepState, pattern: str = "") -> None:
    """The step has begun."""
    if execution.plan.workflow.limits is None or not counts(step):
        return
    execution.steps_begun += 1
    if pattern:
        execution.functions_begun[pattern] = execution.functions_begun.get(pattern, 0) + 1
