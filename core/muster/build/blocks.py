"""Steps that hold other steps: order, branches, loops, and workflows run by a workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

from muster.build.handling import Common, Handling, Truth, condition, kept, made
from muster.model.definition.terms import Term, written
from muster.model.definition.workflow import Cache, Case, ForEach, Map, Step, Workflow


def chain(*elements: Step, id_: str = "", **common: Unpack[Common]) -> Step:
    """One element after the other. With an id it gives what its last element gives."""
    return made(id_, common, chain=list(elements))


def group(*elements: Step, id_: str = "", **common: Unpack[Common]) -> Step:
    """All elements at once. With an id it gives ``branches``, the outputs of each."""
    return made(id_, common, group=list(elements))


def parallel(*elements: Step, id_: str = "", **common: Unpack[Common]) -> Step:
    """As ``group``."""
    return made(id_, common, parallel=list(elements))


def if_(
    id_: str,
    holds: Truth | Sequence[Truth],
    *then: Step,
    else_: Sequence[Step] | None = None,
    **handling: Unpack[Handling],
) -> Step:
    """The steps of one of two branches; its outputs are those of the branch."""
    other = None if else_ is None else list(else_)
    return made(id_, handling, if_=holds, then=list(then), else_=other)


def switch(id_: str, *cases: Case, **common: Unpack[Common]) -> Step:
    """The first of ``cases`` that holds; its outputs are those of the branch."""
    return made(id_, common, switch=list(cases))


def case(holds: Truth | Sequence[Truth], *then: Step, name: str | None = None) -> Case:
    """A branch of ``switch``. ``name`` is its part of the paths of its steps."""
    return Case(case=condition(holds), name=name, then=list(then))


def default(*then: Step, name: str | None = None) -> Case:
    """The branch of ``switch`` that is taken where no other is; it stands last."""
    return Case(name=name, then=list(then))


def for_each(
    id_: str,
    members: Term | str | Sequence[Any] | Mapping[str, Any],
    *steps: Step,
    max_parallel: int = 100,
    failed_item: Literal["drain", "continue"] = "drain",
    **common: Unpack[Common],
) -> Step:
    """The steps once for each member, which is ``item`` to them; gives ``items``, the result of each in order.

    ``failed_item``: what becomes of the other members when one has failed (``on_failure`` of the loop in a file).
    """
    loop = ForEach(in_=written(members), steps=list(steps), max_parallel=max_parallel, on_failure=failed_item)
    return made(id_, common, for_each=loop)


def map_each(
    id_: str,
    over: Term | str | Sequence[Any] | Mapping[str, Any],
    *steps: Step,
    reduce: Term | str | None = None,
    initial: Any = None,
    max_parallel: int = 100,
    failed_item: Literal["drain", "continue"] = "drain",
    **common: Unpack[Common],
) -> Step:
    """As ``for_each``; gives also ``result``: ``reduce`` of ``item.result`` so far and ``item.value``, one by one."""
    loop = Map(
        over=written(over),
        steps=list(steps),
        reduce=None if reduce is None else str(reduce),
        initial=written(initial),
        max_parallel=max_parallel,
        on_failure=failed_item,
    )
    return made(id_, common, map=loop)


def call(
    id_: str,
    workflow: str | Workflow,
    *,
    inputs: Mapping[str, Any] | None = None,
    cache: Cache | str | None = None,
    **common: Unpack[Common],
) -> Step:
    """Another workflow as an execution of its own, a child of this one; its outputs are the step's."""
    name = workflow.name if isinstance(workflow, Workflow) else workflow
    return made(id_, common, workflow=name, inputs=dict(inputs or {}), cache=kept(cache))
