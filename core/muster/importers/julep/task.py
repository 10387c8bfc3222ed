"""A task: its inputs, its tools, and its workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.importers.draft import Draft, Imported, image_input, is_name, refuse, slug
from muster.importers.julep.steps import Chain
from muster.model.definition.workflow import Input, Port, Step, Workflow
from muster.model.expressions.template import compile_template, references, templates

_TYPES: Final = ("any", "string", "integer", "number", "boolean", "array", "object")
_OF_A_TASK: Final = ("name", "description", "input_schema", "tools", "main", "title", "type")
_PROMPTS: Final = (
    "An image that answers prompts: it finds prompt and settings in $MUSTER_INPUT and writes {result: answer} to "
    "$MUSTER_OUTPUT."
)
_TOOLS: Final = (
    "An image that runs tools: it finds tool and arguments in $MUSTER_INPUT and writes {result: value} to "
    "$MUSTER_OUTPUT."
)


def carry(data: Any, *, name: str, image: str | None) -> Imported:
    """The workflow of a task. Raises WorkflowInvalidError where it is none."""
    if not isinstance(data, dict) or not isinstance(data.get("main"), list) or not data["main"]:
        refuse(
            "this is no Julep task: it has no list main.", "Give the YAML of a task, with main and its steps."
        )
    return _Task(data, image).workflow(name)


class _Task(Draft):
    """``others`` are the workflows beside ``main``; a child's inputs are what those who yield to it give."""

    def __init__(self, data: Mapping[str, Any], image: str | None) -> None:
        super().__init__()
        self.data = data
        self.image = image
        self.others = {
            key: steps
            for key, steps in data.items()
            if key not in _OF_A_TASK
            and isinstance(steps, list)
            and all(isinstance(step, dict) for step in steps)
        }

        self.state = set(state_keys(data))

    def workflow(self, name: str) -> Imported:
        self.ignore(self.data, (*_OF_A_TASK, *self.others), "task")
        for tool in self.data.get("tools") or []:
            named = tool.get("name") if isinstance(tool, dict) else tool
            self.lose(f"tool {named}", "how it is called is for the image of its steps to know.")
        made = self.chain("main", self.data["main"], self.inputs(), ())
        if not made.steps:
            refuse("main has no steps.", "Give the YAML of a task, with main and its steps.")
        return self.finish(
            Workflow(
                name=slug(str(self.data.get("name") or name)) or "task",
                description=str(self.data.get("description") or ""),
                inputs=made.inputs,
                steps=made.steps,
                outputs=made.outputs,
                workflows=made.workflows,
            )
        )

    def inputs(self) -> dict[str, Input]:
        """The inputs that the schema of the task names."""
        given = self.data.get("input_schema") or {}
        required = given.get("required") or []
        found: dict[str, Input] = {}
        for name, one in (given.get("properties") or {}).items():
            if not is_name(name) or name in ("prompt_image", "tool_image"):
                self.lose("input_schema", f"{name!r}, which cannot be the name of an input here.")
                continue
            found[name] = self.input(name, one if isinstance(one, dict) else {}, name in required)
        self.ignore(given, ("type", "properties", "required", "title", "description"), "input_schema")
        return found

    def input(self, name: str, schema: Mapping[str, Any], required: bool) -> Input:  # noqa: FBT001
        place = f"input_schema.{name}"
        port = self.port(schema, place)
        self.ignore(schema, ("type", "items", "description", "default", "title"), place)
        default = schema.get("default", UNSET)
        return Input(
            type=port.type,
            items=port.items,
            description=schema.get("description", ""),
            default=default,
            required=required or default is not UNSET,
        )

    def port(self, schema: Mapping[str, Any], place: str) -> Port:
        """The type that a schema names, and of an array that of its items: objects are open there, and not here."""
        kind: Any = schema.get("type", "any")
        if kind not in _TYPES:
            self.lose(place, f"the type {kind!r}; any value is taken.")
            kind = "any"
        inner = schema.get("items")
        if kind != "array" or not isinstance(inner, dict):
            self.ignore({"items": inner}, (), place)
            return Port(type=kind)
        self.ignore(inner, ("type", "items", "description", "title"), f"{place}.items")
        return Port(type=kind, items=self.port(inner, f"{place}.items"))

    def chain(
        self, name: str, steps: list[Any], inputs: dict[str, Input], callers: tuple[str, ...]
    ) -> Workflow:
        """One of the workflows, with those it runs."""
        chain = Chain(self, name, {*inputs})
        made = chain.steps(steps)
        whole = dict(inputs)
        if "prompt_image" in chain.images:
            whole["prompt_image"] = image_input(self.image, _PROMPTS)
        if "tool_image" in chain.images:
            whole["tool_image"] = image_input(self.image, _TOOLS)
        inner: dict[str, Workflow] = {}
        for other, names in chain.yields.items():
            if other in (name, *callers):
                self.lose(
                    f"workflow {name}",
                    f"it yields to {other}, which is running it: workflows cannot go in circles.",
                )
            elif other not in self.others:
                self.lose(f"workflow {name}", f"it yields to {other}, which does not exist.")
            else:
                declared = {one: Input(required=False) for one in sorted(names)}
                inner[slug(other)] = self.chain(other, self.others[other], declared, (*callers, name))
        for called in inner.values():
            whole |= {key: one for key, one in called.inputs.items() if key.endswith("_image")}
        finished = [passing(step, inner) for step in made]
        for asked in sorted(asked_for([finished, f"${{{{ {chain.current} }}}}"]) - whole.keys()):
            self.change(f"workflow {name}", f"its input {asked} is declared, because a step asks for it.")
            whole[asked] = Input(required=False)
        body = [Step(chain=finished)] if finished else []
        outputs = {} if chain.returns else {"result": f"${{{{ {chain.current} }}}}"}
        return Workflow(name=slug(name), inputs=whole, steps=body, outputs=outputs, workflows=inner)


def state_keys(data: Any) -> Iterator[str]:
    """The keys that steps anywhere in the task set or get."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("set"), dict):
                yield from one["set"]
            if isinstance(one.get("get"), str):
                yield one["get"]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def asked_for(value: Any) -> set[str]:
    """The inputs that expressions in ``value`` ask for."""
    written = templates(msgspec.to_builtins(value))
    found = [one for _, text in written for one in references(compile_template(text))]
    return {one.name for one in found if one.root == "inputs" and one.name is not None}


def passing(step: Step, inner: Mapping[str, Workflow]) -> Step:
    """The step, passing on to its child which images there are; steps in blocks included."""
    if step.workflow is not None and step.workflow in inner:
        images = [name for name in inner[step.workflow].inputs if name.endswith("_image")]
        more = {name: f"${{{{ inputs.{name} }}}}" for name in images}
        step = msgspec.structs.replace(step, inputs=step.inputs | more)
    changed: dict[str, Any] = {}
    for key in ("then", "else_", "parallel"):
        if (steps := getattr(step, key)) is not None:
            changed[key] = [passing(one, inner) for one in steps]
    for key in ("for_each", "map"):
        if (loop := getattr(step, key)) is not None:
            changed[key] = msgspec.structs.replace(loop, steps=[passing(one, inner) for one in loop.steps])
    if step.switch is not None:
        changed["switch"] = [
            msgspec.structs.replace(case, then=[passing(one, inner) for one in case.then])
            for case in step.switch
        ]
    return msgspec.structs.replace(step, **changed) if changed else step
