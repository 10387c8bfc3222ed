"""Where the values of expressions come from, and what was declared there: inputs, outputs of steps, items of loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from muster.model.definition.ports import ANY
from muster.model.definition.workflow import Port, Step, Workflow
from muster.model.expressions.template import Reference
from muster.model.plan.lowering import each_of

STRING: Final = Port(type="string")


class Declared(msgspec.Struct, frozen=True):
    """What types come from: the workflow, the steps seen from the expression, what is known of ``item``, and of the
    outputs of the workflows that steps run (``children``).
    """

    workflow: Workflow
    steps: Mapping[str, Step]
    item: Port | None = None
    children: Mapping[str, Mapping[str, Port]] = {}


def declaration(reference: Reference, declared: Declared) -> tuple[int, Port | None]:
    """How many keys of the reference lead to something that was declared, and as what; None where nothing is known."""
    path = reference.path
    if reference.root == "item":
        return 0, declared.item
    if reference.root == "execution" and path:
        return 1, STRING
    if reference.root == "inputs" and path and path[0] in declared.workflow.inputs:
        return 1, declared.workflow.inputs[str(path[0])]
    if reference.root != "steps" or len(path) < 2 or path[0] not in declared.steps:
        return 0, None
    if path[1] == "status":
        return 2, STRING
    step = declared.steps[str(path[0])]
    if len(path) > 2:
        return 3, _output(step, str(path[2]), declared)
    return 2, object_of(step.outputs) if step.image is not None else None


def object_of(outputs: Mapping[str, Port]) -> Port:
    """An object with these properties."""
    return Port(type="object", properties=dict(outputs))


def _output(step: Step, name: str, declared: Declared) -> Port | None:
    """An output of the step, where something is known of it."""
    if step.image is not None:
        found = step.outputs.get(name)
        is_file = found is not None and found.path is not None and found.type == "any"
        return Port(type="file", required=found.required) if found is not None and is_file else found
    if step.log is not None and name == "message":
        return STRING
    if (step.for_each is not None or step.map is not None) and name == "items":
        return Port(type="array", items=_result(each_of(step).steps))
    return declared.children.get(step.workflow or "", {}).get(name)


def _result(block: list[Step]) -> Port:
    """What a block gives: known where it is one container that runs in any case."""
    one = block[0] if len(block) == 1 else None
    if one is None or one.image is None or one.if_ is not None or one.gives_result:
        return ANY
    return object_of(one.outputs)
