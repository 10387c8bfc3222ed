"""hymir: what ``Workflow.serialize()`` gives, node-link JSON with jobs under short keys.

A job becomes a step that calls its function. Edges are ``needs``; named outputs are outputs, bound inputs references to
them; what only hymir knows of a job goes to the harness of functions in the input ``$hymir``. The callback is
``on_finish``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.importers.draft import Draft, Imported, image_input, is_name, member, refuse, slug
from muster.model.definition.workflow import Output, Step, Workflow

_IMAGE: Final = "${{ inputs.image }}"
_JOB: Final = "$hymir"
_KNOWN: Final = ("workflow_id", "job_id", "job_state")
_UNKNOWN: Final = ("workflow", "workflow_state")
_FINISHED: Final = ("on_finished", "ON_FINISHED", "finished", "0", "1")


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is serialized."""

    name: str = msgspec.field(name="n")
    identity: int | str | None = msgspec.field(name="i", default=None)
    args: list[Any] = msgspec.field(name="a", default=[])
    kwargs: dict[str, Any] = msgspec.field(name="k", default={})
    output: str | None = msgspec.field(name=">", default=None)
    inputs: list[str | list[str]] | None = msgspec.field(name="<", default=None)
    meta: dict[str, Any] | None = msgspec.field(name="m", default=None)

    @property
    def bound(self) -> Iterator[tuple[str, str]]:
        """The outputs that are wanted, each with the argument it becomes."""
        for one in self.inputs or []:
            yield (one, one) if isinstance(one, str) else (one[0], one[-1])


def carry(data: Any, *, name: str, image: str | None) -> Imported:
    """The workflow of a serialized one. Raises WorkflowInvalidError where it is none."""
    graph = _graph(data)
    return _Carrier(graph, data, image).workflow(name)


def _graph(data: Any) -> Mapping[str, Any]:
    if isinstance(data, dict) and "nodes" not in data:
        data = next((one for one in data.values() if isinstance(one, dict) and "nodes" in one), data)
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), list):
        refuse(
            "this is no serialized hymir workflow: it has no nodes.",
            "Give what Workflow.serialize() returned.",
        )
    return data


def _job(data: Any, place: str) -> _Job:
    try:
        return msgspec.convert(data, _Job)
    except msgspec.ValidationError as error:
        refuse(f"{place} holds no hymir job: {error}.", "Give what Workflow.serialize() returned.")


class _Carrier(Draft):
    """The jobs by the id of their node, what comes before each, and who makes which output."""

    def __init__(self, graph: Mapping[str, Any], whole: Any, image: str | None) -> None:
        super().__init__()
        self.image = image
        self.whole = whole
        self.jobs: dict[str, _Job] = {}
        for node in graph["nodes"]:
            key = str(node.get("id")) if isinstance(node, dict) else ""
            self.jobs[key] = _job(node.get("job") if isinstance(node, dict) else None, f"the node {key}")
        self.before: dict[str, list[str]] = {key: [] for key in self.jobs}
        for edge in graph.get("links", graph.get("edges", [])):
            source, target = str(edge["source"]), str(edge["target"])
            if source not in self.jobs or target not in self.jobs:
                refuse(f"the edge {source} -> {target} leads to no node.", "Serialize the workflow again.")
            self.before[target].append(source)
        self.ids = {key: self.id(self._wanted(job)) for key, job in self.jobs.items()}
        self.makers: dict[str, list[str]] = {}
        for key, job in self.jobs.items():
            if job.output is not None:
                self.makers.setdefault(job.output, []).append(key)

    @staticmethod
    def _wanted(job: _Job) -> str:
        return slug(job.name.rpartition(".")[2])

    def workflow(self, name: str) -> Imported:
        steps = [self.step(key, job) for key, job in self.jobs.items()]
        outputs: dict[str, Any] = {}
        for output, makers in self.makers.items():
            if is_name(output):
                outputs[output] = [self._made(maker, output) for maker in makers]
        modules = sorted({job.name.rpartition(".")[0] for job in self.jobs.values()})
        what = f"An image with Python, hymir, and {', '.join(modules)}."
        made = Workflow(
            name=slug(name) or "hymir",
            inputs={"image": image_input(self.image, what)},
            steps=steps,
            outputs=outputs,
            on_finish=list(self.finish_steps()),
        )
        if outputs:
            self.change(
                "outputs",
                "the values of an output stand in the order of the jobs, not in that of their ends.",
            )
        return self.finish(made)

    def step(self, key: str, job: _Job) -> Step:
        place = f"job {key} ({job.name})"
        if job.meta:
            self.lose(place, f"its meta {sorted(job.meta)}: say with machine and resources where it runs.")
        bound = self.bindings(key, job, place)
        outputs = {}
        known: dict[str, Any] = {"bound": list(bound)} if bound else {}
        if job.output is not None and is_name(job.output):
            known["output"] = job.output
            outputs = {job.output: Output()}
        elif job.output is not None:
            self.lose(place, f"its output {job.output!r}, which Muster does not take for a name.")
        needs = [self.ids[other] for other in self.before[key]]
        return _calls(self.ids[key], job, bound, known, outputs=outputs, needs=needs)

    def bindings(self, key: str, job: _Job, place: str) -> dict[str, Any]:
        """The arguments that come from other jobs; those from the engine the harness knows by their names."""
        bound: dict[str, Any] = {}
        after = self._ancestors(key)
        for output, argument in job.bound:
            if argument in job.kwargs or output in _KNOWN:
                continue
            makers = [maker for maker in self.makers.get(output, []) if maker in after]
            if output in _UNKNOWN:
                self.lose(place, f"its input {output}: a container has no {output} to look into.")
            elif not makers:
                self.lose(place, f"its input {output}, which no job before it gives.")
            else:
                bound[argument] = [self._made(maker, output) for maker in makers]
        return bound

    def _made(self, key: str, output: str) -> str:
        return f"${{{{ {member(member('steps', self.ids[key]) + '.outputs', output)} }}}}"

    def _ancestors(self, key: str) -> set[str]:
        found: set[str] = set()
        waiting = [*self.before[key]]
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                waiting += self.before[other]
        return found

    def finish_steps(self) -> Iterator[Step]:
        """The callback, which runs however the workflow ends."""
        callbacks = self.whole.get("callbacks") or {}
        for event, written in callbacks.items():
            if str(event) not in _FINISHED or written is UNSET:
                self.lose(f"callback {event}", "Muster has none for it.")
                continue
            job = _job(written, f"the callback {event}")
            if job.inputs:
                wanted = [output for output, _ in job.bound if output not in _KNOWN]
                for output in wanted:
                    self.lose(f"callback {event}", f"its input {output}: a container has none to look into.")
            yield _calls(self.id(self._wanted(job)), job, {}, {})


def _calls(id_: str, job: _Job, bound: dict[str, Any], known: dict[str, Any], **fields: Any) -> Step:
    """A step that calls the function of a job."""
    placed = {str(at): value for at, value in enumerate(job.args)}
    inputs = placed | job.kwargs | bound | {_JOB: known}
    module, _, name = job.name.rpartition(".")
    return Step(id=id_, image=_IMAGE, function=f"{module}:{name}", inputs=inputs, **fields)
