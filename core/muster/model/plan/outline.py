"""What a step of an execution is in its definition: the path without the numbers of members."""

from __future__ import annotations

from collections.abc import Iterator

from muster.model.definition.workflow import Workflow
from muster.model.plan.lowering import BODY, FINISH, lower
from muster.model.plan.tree import Block, Plan, StepPlan


def member(path: str) -> tuple[str, int] | None:
    """The loop that a step belongs to directly, and the number of its item: ``each/17/convert`` is (each, 17)."""
    loop, _, rest = path.rpartition("/")[0].rpartition("/")
    return (loop, int(rest)) if loop and rest.isdecimal() else None


def find(plan: Plan, path: str) -> StepPlan | None:
    """The step of the definition that runs under this path; None where there is none."""
    first, _, rest = path.partition("/")
    if plan.finish is not None and first == FINISH and rest.partition("/")[0] in plan.finish.steps:
        return _in(plan.finish, rest)
    return _in(plan.block, path)


def _in(block: Block, path: str) -> StepPlan | None:
    found: StepPlan | None = None
    parts = path.split("/")
    while parts:
        found = block.steps.get(parts.pop(0))
        if found is None or not parts:
            return found
        name = parts.pop(0)
        if found.rescue is not None and name == found.rescue.name:
            block = found.rescue
            continue
        name = BODY if found.primitive == "each" and name.isdecimal() else name
        inner = next((each for each in found.blocks if each.name == name), None)
        if inner is None:
            return None
        block = inner
    return None


def paths(workflow: Workflow) -> Iterator[str]:
    """The path of each step of the definition, in whatever block, without the numbers of members."""
    plan = lower(workflow)
    waiting = [plan.block, *([plan.finish] if plan.finish is not None else [])]
    while waiting:
        for step in waiting.pop().steps.values():
            yield step.path
            waiting += [*step.blocks, *([step.rescue] if step.rescue is not None else [])]
