"""The blocks of a workflow, however nested, with the place of each step in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from muster.model.definition.problems import Path
from muster.model.definition.workflow import Step, Workflow
from muster.model.limits import MEMBERS_MAX
from muster.model.plan.lowering import FINISH, RESCUE, STRUCTURAL, branches, spliced

Placed = tuple[Path, Step]


class Scope(msgspec.Struct, frozen=True):
    """What is seen from the steps of a block: its own ``members`` in the order of the file, and what is around it.

    ``item`` and ``error``: whether expressions may speak of them. ``owner`` is the step whose block it is,
    ``repeated`` whether it is run for each member of a list. ``prefix`` is what stands before the ids of its members in
    their addresses, where loops have as many members as they may.
    """

    members: list[Placed]
    own: Mapping[str, Step]
    around: Scope | None = None
    owner: Step | None = None
    item: bool = False
    error: bool = False
    repeated: bool = False
    prefix: str = ""

    @property
    def seen(self) -> Mapping[str, Step]:
        """Every step that can be referred to: not the one whose block this is, which has no outputs yet."""
        return _Seen(self)


class _Seen(Mapping[str, Step]):
    """Looks outwards block by block: a copy of all that is around, for each of thousands of blocks, would take long."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __getitem__(self, name: str) -> Step:
        at: Scope | None = self.scope
        while at is not None:
            if name in at.own:
                return at.own[name]
            if at.owner is not None and at.owner.id == name:
                break
            at = at.around
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names: set[str] = set()
        at: Scope | None = self.scope
        while at is not None:
            names |= at.own.keys()
            at = at.around
        return iter([name for name in sorted(names) if name in self])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scope(members: Iterable[Placed], around: Scope | None = None, **fields: Any) -> Scope:
    """The scope of these steps; ``own`` are those that have an id."""
    listed = list(members)
    return Scope(listed, {step.id: step for _, step in listed if step.id}, around, **fields)


def scopes(workflow: Workflow) -> Iterator[Scope]:
    """Every block of the workflow, outer ones first."""
    root = scope(block(workflow.steps, ("steps",)))
    yield from _with_inner(root)
    if workflow.on_finish:
        finish = scope(block(workflow.on_finish, ("on_finish",)), root, error=True, prefix=f"{FINISH}/")
        yield from _with_inner(finish)


def outermost(workflow: Workflow) -> dict[str, Step]:
    """The steps of the workflow itself, by id."""
    return {step.id: step for _, step in block(workflow.steps, ("steps",))}


def returns(workflow: Workflow) -> bool:
    """Whether a step of it may decide what its outputs are."""
    return any(step.return_ is not UNSET for _, step in members(workflow))


def members(workflow: Workflow) -> Iterator[Placed]:
    """Every step of the workflow, in any block."""
    for each in scopes(workflow):
        yield from each.members


def block(steps: list[Step], path: Path) -> Iterator[Placed]:
    """The steps of a block; those of the chains and groups in it are its own."""
    for at, step in enumerate(steps):
        place = (*path, at)
        yield place, step
        if spliced(step):
            for kind in STRUCTURAL:
                yield from block(getattr(step, kind) or [], (*place, kind))


def _with_inner(outer: Scope) -> Iterator[Scope]:
    yield outer
    for path, step in outer.members:
        for inner, name, steps in _inner(step):
            repeated = inner[0] in {"for_each", "map"}
            yield from _with_inner(
                scope(
                    block(steps, (*path, *inner)),
                    outer,
                    owner=step,
                    repeated=repeated,
                    item=outer.item or repeated,
                    error=outer.error or inner == (RESCUE,),
                    prefix=f"{outer.prefix}{step.id}/{name}/",
                )
            )


def _inner(step: Step) -> Iterator[tuple[Path, str, list[Step]]]:
    """The blocks of a step: where each is written, what it is called in addresses, and its steps."""
    for number, (name, steps) in enumerate(branches(step)):
        if step.switch is not None:
            yield ("switch", number, "then"), name, steps
        elif step.for_each is not None or step.map is not None:
            kind = "for_each" if step.for_each is not None else "map"
            yield (kind, "steps"), str(MEMBERS_MAX - 1), steps
        elif step.then is None and step.else_ is None:
            kind = next(kind for kind in STRUCTURAL if getattr(step, kind) is not None)
            yield (kind,), name, getattr(step, kind)
        else:
            yield (name,), name, steps
    if step.on_failure:
        yield (RESCUE,), RESCUE, step.on_failure
