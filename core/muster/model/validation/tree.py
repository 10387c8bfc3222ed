"""The blocks of a workflow, however nested, with the place of each step in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from muster.model.lowering import STRUCTURAL, branches, spliced
from muster.model.problems import Path
from muster.model.workflow import Step, Workflow

Placed = tuple[Path, Step]


class Scope(msgspec.Struct, frozen=True):
    """What is seen from the steps of a block: its own ``members`` in the order of the file, and what is around it.

    ``item`` and ``error``: whether expressions may speak of them. ``owner`` is the step whose block it is.
    """

    members: list[Placed]
    around: Scope | None = None
    owner: Step | None = None
    item: bool = False
    error: bool = False

    @property
    def own(self) -> Mapping[str, Step]:
        """The block's steps by id, but for those without."""
        return {step.id: step for _, step in self.members if step.id}

    @property
    def seen(self) -> Mapping[str, Step]:
        """Every step that can be referred to: not the one whose block this is, which has no outputs yet."""
        around = dict(self.around.seen) if self.around is not None else {}
        if self.owner is not None:
            around.pop(self.owner.id, None)
        return around | dict(self.own)


def scopes(workflow: Workflow) -> Iterator[Scope]:
    """Every block of the workflow, outer ones first."""
    root = Scope(list(block(workflow.steps, ("steps",))))
    yield from _with_inner(root)
    if workflow.on_finish:
        yield from _with_inner(Scope(list(block(workflow.on_finish, ("on_finish",))), root, error=True))


def members(workflow: Workflow) -> Iterator[Placed]:
    """Every step of the workflow, in any block."""
    for scope in scopes(workflow):
        yield from scope.members


def block(steps: list[Step], path: Path) -> Iterator[Placed]:
    """The steps of a block; those of the chains and groups in it are its own."""
    for at, step in enumerate(steps):
        place = (*path, at)
        yield place, step
        if spliced(step):
            for kind in STRUCTURAL:
                yield from block(getattr(step, kind) or [], (*place, kind))


def _with_inner(scope: Scope) -> Iterator[Scope]:
    yield scope
    for path, step in scope.members:
        for inner, steps in _inner(step):
            yield from _with_inner(
                Scope(
                    list(block(steps, (*path, *inner))),
                    scope,
                    step,
                    item=scope.item or inner[0] in {"for_each", "map"},
                    error=scope.error or inner == ("on_failure",),
                )
            )


def _inner(step: Step) -> Iterator[tuple[Path, list[Step]]]:
    for number, (name, steps) in enumerate(branches(step)):
        if step.switch is not None:
            yield ("switch", number, "then"), steps
        elif step.for_each is not None or step.map is not None:
            yield ("for_each" if step.for_each is not None else "map", "steps"), steps
        elif step.then is None and step.else_ is None:
            kind = next(kind for kind in STRUCTURAL if getattr(step, kind) is not None)
            yield (kind,), getattr(step, kind)
        else:
            yield (name,), steps
    if step.on_failure:
        yield ("on_failure",), step.on_failure
