"""What a value gives as it is written in a workflow, with expressions anywhere in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from muster.model.definition.filetypes import kind_of
from muster.model.definition.ports import ANY, items
from muster.model.definition.validation.origins import STRING, Declared, object_of
from muster.model.definition.validation.tree import Scope, outermost, returns
from muster.model.definition.validation.types import given
from muster.model.definition.workflow import Port, Step, Workflow
from muster.model.errors import ExpressionError
from muster.model.expressions.template import OPENING, compile_template
from muster.model.values import type_name


def of(value: Any, declared: Declared) -> Port:
    """The port that gives the value; ``any`` for what is not known."""
    if isinstance(value, str):
        return _of_text(value, declared) if OPENING in value else STRING
    if isinstance(value, list | tuple):
        return Port(type="array", items=_common(of(part, declared) for part in value))
    if not isinstance(value, dict):
        found: Any = type_name(value)
        return ANY if found == "null" else Port(type=found)
    kind = kind_of(value)
    if kind is not None:
        return Port(type=kind)
    return object_of({name: of(part, declared) for name, part in value.items()})


def _of_text(text: str, declared: Declared) -> Port:
    try:
        whole = compile_template(text).whole
        found = given(whole, declared) if whole is not None else (STRING,)
    except ExpressionError:  # which is reported where it stands
        return ANY
    return found[0] if len(found) == 1 else ANY


def _common(parts: Iterable[Port]) -> Port:
    """The port that all are; ``any`` where they differ, or where there are none."""
    found = [*parts]
    return found[0] if found and all(one == found[0] for one in found) else ANY


# ---- what is declared where


def whole(workflow: Workflow) -> Declared:
    """What is declared for the outputs of a workflow, which see its outermost steps."""
    children = {name: {} if returns(inner) else _outputs(inner) for name, inner in workflow.workflows.items()}
    return Declared(workflow, outermost(workflow), children=children)


def _outputs(inner: Workflow) -> Mapping[str, Port]:
    declared = whole(inner)
    return {name: of(value, declared) for name, value in inner.outputs.items()}


def within(scope: Scope, around: Declared) -> Declared:
    """What is declared for the steps of a block, where ``around`` is what is declared around it."""
    repeats = scope.repeated and scope.owner is not None
    item = _item(scope.owner, around) if repeats and scope.owner is not None else around.item
    return msgspec.structs.replace(around, steps=scope.seen, item=item)


def _item(loop: Step, declared: Declared) -> Port | None:
    """What ``item`` is in the steps of a loop, which stands where ``declared`` holds."""
    over: Any = loop.for_each.in_ if loop.for_each is not None else None
    found = of(loop.map.over if loop.map is not None else over, declared)
    if found.type == "array":
        return items(found)
    if found.type != "object":
        return None
    value = _common(found.properties.values())
    return object_of({"key": STRING, "value": value})
