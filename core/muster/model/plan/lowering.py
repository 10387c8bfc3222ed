"""Lowering: everything people can write, brought down to the six primitives of a plan.

| written | becomes |
|---|---|
| ``image`` | ``run`` |
| ``then``/``else`` with ``if``, ``switch`` | ``choose`` with a block for each branch |
| ``for_each``, ``map`` | ``each`` with one block; ``reduce`` is worked out when the last member is done |
| ``wait_for_input``, ``sleep``, ``sleep_until`` | ``wait`` |
| ``workflow`` | ``child`` |
| ``set``, ``get``, ``return``, ``error``, ``log`` | ``assign`` |
| ``chain``, ``group``, ``parallel`` | needs between their steps; with an id also an ``assign`` that gathers outputs |
| ``if`` on any other step | conditions of that step |
| ``chain``, ``group``, ``parallel`` with ``if`` | ``choose`` with one block |
| ``on_failure`` of a step, ``on_finish`` | blocks of their own |

In a chain every step that nothing in its element comes after is needed by every step of the next element that comes
after nothing in it; an element without steps passes that on, so that it keeps the order around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from muster.model.definition.workflow import Case, Condition, ForEach, Map, Step, Workflow
from muster.model.plan import tree as plans
from muster.model.plan.conditions import formula
from muster.model.plan.tree import Block, Plan, Primitive, StepPlan, referenced, templated

FINISH: Final = "on_finish"
RESCUE: Final = "on_failure"
BODY: Final = ""
STRUCTURAL: Final = ("chain", "group", "parallel")


def lower(workflow: Workflow) -> Plan:
    """The plan of a valid workflow, in time linear in its size."""
    block, _ = lower_block(workflow.steps, BODY, "")
    finish = lower_block(workflow.on_finish, FINISH, f"{FINISH}/")[0] if workflow.on_finish else None
    index = {id_: step.index for id_, step in block.steps.items()}
    return Plan(workflow, block, _ordered(referenced(workflow.outputs), index), finish)


class Entry(msgspec.Struct):
    """A step of a block on its way into the plan. ``gathers`` are the ends of the branches it stands for."""

    step: Step
    needs: set[str]
    gathers: tuple[tuple[str, ...], ...] = ()


def entries(steps: Sequence[Step]) -> dict[str, Entry]:
    """The steps of a block by id, with what they need because of the chains and groups around them."""
    found: dict[str, Entry] = {}
    for step in steps:
        _enter(step, set(), found)
    for entry in found.values():
        entry.needs |= {*entry.step.needs}
    return found


def _enter(step: Step, before: set[str], found: dict[str, Entry]) -> set[str]:
    """Enter ``step`` behind ``before``; the steps that come last in it."""
    if not spliced(step):
        found[step.id] = Entry(step, set(before))
        return {step.id}
    before = before | {*step.needs}
    branches = _branches(step, before, found)
    last = (branches[-1:] if step.chain is not None else branches) or [before]
    ends = set[str]().union(*last)
    if not step.id:
        return ends
    found[step.id] = Entry(step, ends, tuple(tuple(sorted(branch)) for branch in branches))
    return {step.id}


def _branches(step: Step, before: set[str], found: dict[str, Entry]) -> list[set[str]]:
    """The ends of each element of a chain or group."""
    ends: list[set[str]] = []
    for element in structure(step) or ():
        after = _enter(element, before, found)
        ends.append(after)
        if step.chain is not None:
            before = after
    return ends


def spliced(step: Step) -> bool:
    """Whether the steps of a chain or group belong to the block it stands in."""
    return structure(step) is not None and step.if_ is None


def structure(step: Step) -> list[Step] | None:
    """The elements of a chain, group or parallel."""
    return next((value for name in STRUCTURAL if (value := getattr(step, name)) is not None), None)


def lower_block(steps: Sequence[Step], name: str, prefix: str) -> tuple[Block, set[str]]:
    """The block of ``steps``, whose paths begin with ``prefix``, and what it refers to that stands around it."""
    found = entries(steps)
    index = {id_: at for at, id_ in enumerate(found)}
    inner = {id_: _inner(entry.step, f"{prefix}{id_}/") for id_, entry in found.items()}
    sources = {
        id_: referenced([templated(entry.step), *conditions(entry.step)]) | inner[id_][2] | _gathered(entry)
        for id_, entry in found.items()
    }
    needs = {id_: _ordered(entry.needs | sources[id_], index) for id_, entry in found.items()}
    dependents: dict[str, list[str]] = {id_: [] for id_ in found}
    for id_, needed in needs.items():
        for other in needed:
            dependents[other].append(id_)
    made = {
        id_: _step_plan(
            entry, f"{prefix}{id_}", index[id_], needs[id_], dependents[id_], sources[id_], inner[id_]
        )
        for id_, entry in found.items()
    }
    outer = {name for names in sources.values() for name in names if name not in found}
    return Block(name, made), outer


def _gathered(entry: Entry) -> set[str]:
    return {id_ for branch in entry.gathers for id_ in branch}


def _inner(step: Step, prefix: str) -> tuple[tuple[Block, ...], Block | None, set[str]]:
    """The blocks of a step, what rescues it, and what both refer to outside."""
    blocks: list[Block] = []
    outer: set[str] = set()
    for name, steps in branches(step):
        block, names = lower_block(steps, name, f"{prefix}{name}/" if name else prefix)
        blocks.append(block)
        outer |= names
    if not step.on_failure:
        return tuple(blocks), None, outer
    rescue, names = lower_block(step.on_failure, RESCUE, f"{prefix}{RESCUE}/")
    return tuple(blocks), rescue, outer | (names - {step.id})


def branches(step: Step) -> Iterable[tuple[str, list[Step]]]:
    """The blocks of a step with their names."""
    if (elements := structure(step)) is not None and not spliced(step):
        kind = next(name for name in STRUCTURAL if getattr(step, name) is not None)
        yield "then", [msgspec.structs.replace(Step(), **{kind: elements})]
    elif step.then is not None or step.else_ is not None:
        yield "then", step.then or []
        yield "else", step.else_ or []
    elif step.switch is not None:
        for number, case in enumerate(step.switch, 1):
            yield case_name(case, number), case.then
    elif (body := step.for_each or step.map) is not None:
        yield BODY, body.steps


def case_name(case: Case, number: int) -> str:
    """What a branch of a switch is called."""
    return case.name or ("default" if case.case is UNSET else f"case-{number}")


def listed(condition: Condition | None) -> tuple[str | bool, ...]:
    """A condition as the list of what must hold."""
    if condition is None:
        return ()
    return tuple(condition) if isinstance(condition, list) else (condition,)


def conditions(step: Step) -> tuple[str | bool, ...]:
    """Everything that is evaluated to decide whether a step is run, or which of its branches."""
    cases = (case.case for case in step.switch or () if case.case is not UNSET)
    written = (*listed(step.if_), *(part for case in cases for part in listed(case)))
    return tuple(formula(part) for part in written)


def primitive(step: Step) -> Primitive:
    """What the step becomes."""
    if step.image is not None:
        return "run"
    if step.then is not None or step.else_ is not None or step.switch is not None:
        return "choose"
    if step.for_each is not None or step.map is not None:
        return "each"
    if step.wait_for_input is not None or step.sleep is not None or step.sleep_until is not None:
        return "wait"
    if step.workflow is not None:
        return "child"
    return "assign" if structure(step) is None or spliced(step) else "choose"


def chooses_by_if(step: Step) -> bool:
    """Whether ``if`` of the step says which of its blocks is run, and not whether it is."""
    structural = structure(step) is not None and not spliced(step)
    return structural or step.then is not None or step.else_ is not None


def each_of(step: Step) -> ForEach | Map:
    """The loop of an ``each``."""
    loop = step.for_each or step.map
    assert loop is not None
    return loop


def _ordered(ids: set[str], index: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted((one for one in ids if one in index), key=index.__getitem__))


def _step_plan(
    entry: Entry,
    path: str,
    index: int,
    needs: tuple[str, ...],
    dependents: Sequence[str],
    sources: set[str],
    inner: tuple[tuple[Block, ...], Block | None, set[str]],
) -> StepPlan:
    step = entry.step
    selector = plans.selector(step)
    return StepPlan(
        path=path,
        index=index,
        step=step,
        needs=needs,
        dependents=tuple(dependents),
        resources=plans.resources(step),
        timeouts=plans.timeouts(step),
        retry=plans.retries(step),
        machine=selector.name,
        labels=tuple(sorted(selector.labels.items())),
        labelled=plans.speaks_of_labels(step),
        sources=tuple(sorted(sources)),
        primitive=primitive(step),
        conditions=() if chooses_by_if(step) else listed(step.if_),
        gathers=entry.gathers,
        blocks=inner[0],
        rescue=inner[1],
    )
