"""pyconduit: a job as a dictionary, or its list of steps.

Steps run one after the other, as they did: a ``chain``. A block becomes a step that calls a function which runs it with
pyconduit itself; VARIABLE.SET and VARIABLE.GET are Muster's own ``set`` and ``get``. Locals are inputs, ``forced`` is
``always``. The job's tags are held by the executions, and are given to the blocks as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from muster.importers.draft import Draft, Imported, image_input, is_name, refuse, slug, truth
from muster.importers.tags import Names, Tags
from muster.model.definition.workflow import Input, Limits, Output, Step, Workflow

_BLOCK: Final = "muster_function.pyconduit:run"
"""Part of the harness of functions: it is in the container of every function."""
_OF_A_JOB: Final = {
    "global_values": "values hidden from the steps: put them into the image, or into its environment.",
    "block_limit_overrides": "limits of blocks, which are all one function here.",
    "on_step_update": "a callback: follow the events of the execution.",
    "on_job_finish": "a callback: follow the events of the execution, or use on_finish.",
    "blocks": "private blocks: put them into the image.",
}
_KEPT: Final = ("id", "name", "steps", "variables", "local_values", "tags", "step_limit", *_OF_A_JOB)


class _Written(msgspec.Struct, frozen=True):
    """A step as it is written."""

    action: str
    parameters: dict[str, Any] = {}
    id: str | int | None = None
    forced: bool = False
    if_: str | list[str] | None = msgspec.field(name="if", default=None)


def carry(data: Any, *, name: str, image: str | None) -> Imported:
    """The workflow of a job. Raises WorkflowInvalidError where it is none."""
    job = {"steps": data} if isinstance(data, list) else data
    if not isinstance(job, dict) or not isinstance(job.get("steps"), list) or not job["steps"]:
        refuse(
            "this is no pyconduit job: it has no steps.",
            "Give the job as an object with steps, or its list of steps.",
        )
    return _Carrier(job, image).workflow(name)


class _Carrier(Draft):
    """The steps in order; each sees those before it."""

    def __init__(self, job: Mapping[str, Any], image: str | None) -> None:
        super().__init__()
        self.job = job
        self.image = image
        self.names = Names()
        self.set: set[str] = set()

    def workflow(self, name: str) -> Imported:
        for key, message in _OF_A_JOB.items():
            if self.job.get(key) not in (None, {}, [], ""):
                self.lose(key, message)
        self.ignore(self.job, _KEPT, "job")
        inputs = self.inputs()
        steps = [*self.variables(), *self.steps()]
        containers = any(step.image is not None for step in steps)
        if containers:
            what = "An image with Python, pyconduit, and the blocks of the job."
            inputs["image"] = image_input(self.image, what)
        whole = str(self.job.get("name") or self.job.get("id") or name)
        return self.finish(
            Workflow(
                name=slug(whole) or "job",
                inputs=inputs,
                steps=[Step(chain=steps)],
                outputs=dict(self.names.outputs),
                tags=[tag for tag in self.job.get("tags") or () if isinstance(tag, str)],
                limits=self.limits(),
            )
        )

    def limits(self) -> Limits | None:
        """As many steps as the job may have, and the one that gives its variables their first values."""
        limit = self.job.get("step_limit")
        if not isinstance(limit, int) or isinstance(limit, bool):
            return None
        self.change("step_limit", f"exactly {limit} steps of the job begin; pyconduit let one more.")
        return Limits(steps=limit + any(map(is_name, self.job.get("variables") or {})))

    def inputs(self) -> dict[str, Input]:
        found: dict[str, Input] = {}
        for key, value in (self.job.get("local_values") or {}).items():
            if is_name(key) and key != "image":
                found[key] = Input(default=value)
                self.names.inputs.add(key)
            else:
                self.lose("local_values", f"{key!r}, which cannot be the name of an input here.")
        return found

    def variables(self) -> list[Step]:
        """What the job's variables are at its beginning."""
        given = {}
        for key, value in (self.job.get("variables") or {}).items():
            if is_name(key):
                given[key] = value
                self.names.variables.add(key)
            else:
                self.lose("variables", f"{key!r}, which cannot be the name of a variable.")
        return [Step(id=self.id("variables"), set=given)] if given else []

    def steps(self) -> list[Step]:
        written = [self.read(at, one) for at, one in enumerate(self.job["steps"], 1)]
        for at, one in enumerate(written, 1):
            if one.action.upper() == "VARIABLE.SET" and is_name(one.parameters.get("name")):
                self.names.later.add(one.parameters["name"])
            self.names.all.add(str(one.id if one.id is not None else at))
        return [self.step(at, one) for at, one in enumerate(written, 1)]

    def read(self, at: int, one: Any) -> _Written:
        try:
            found = msgspec.convert(one, _Written)
        except msgspec.ValidationError as error:
            refuse(
                f"step {at} is no step of pyconduit: {error}.", "Give {action, parameters, id, forced, if}."
            )
        self.ignore(one, ("action", "parameters", "id", "forced", "if"), f"step {at}")
        return found

    def step(self, at: int, one: _Written) -> Step:
        theirs = str(one.id if one.id is not None else at)
        place = f"step {theirs} ({one.action})"
        id_ = self.id(theirs)
        if id_ != theirs:
            self.change(place, f"it is called {id_} here.")
        tags = Tags(self.names, self, place, forced=one.forced)
        common: dict[str, Any] = {"always": one.forced}
        if one.if_ is not None:
            written = [one.if_] if isinstance(one.if_, str) else one.if_
            common["if_"] = [self.condition(text, tags) for text in written]
        made = self.made(id_, one, tags, common)
        output = "value" if made.get is not None else "result" if made.image else ""
        self.names.add(theirs, id_, output, conditional=one.if_ is not None)
        return made

    def condition(self, text: str, tags: Tags) -> str:
        """Python's truth of a value."""
        value = tags.formula(text)
        return f"${{{{ {truth(value)} }}}}"

    def made(self, id_: str, one: _Written, tags: Tags, common: dict[str, Any]) -> Step:
        action, named = one.action.upper(), str(one.parameters.get("name"))
        if action == "VARIABLE.SET" and is_name(named):
            self.names.variables.add(named)
            return Step(id=id_, set={named: tags.value(one.parameters.get("value"))}, **common)
        if action == "VARIABLE.GET" and named in self.names.variables and set(one.parameters) == {"name"}:
            return Step(id=id_, get=named, **common)
        if action.startswith("VARIABLE."):
            self.lose(
                f"step {id_}",
                f"{one.action} works on the variables of the job, which a container does not have.",
            )
        given = {"action": one.action, "parameters": tags.value(one.parameters)}
        if self.job.get("tags"):
            given["tags"] = self.job["tags"]
        return Step(
            id=id_,
            image="${{ inputs.image }}",
            function=_BLOCK,
            inputs=given,
            outputs={"result": Output()},
            **common,
        )
