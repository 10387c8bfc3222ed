"""Workflows, and the steps that run a container."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Unpack

from muster.build.callables import named
from muster.build.handling import Common, Text, kept, made
from muster.model.definition.schedule import Schedule
from muster.model.definition.terms import Term, written
from muster.model.definition.workflow import (
    Cache,
    Concurrency,
    Duration,
    Input,
    Isolation,
    Limits,
    MachineSelector,
    Output,
    Resources,
    Retry,
    Step,
    Timeouts,
    ValueType,
    Workflow,
)

_Port = TypeVar("_Port", Input, Output)


class _Container(Common, total=False):
    """The keys of a container, as in the reference (docs/workflow.md)."""

    command: Text | Sequence[Text] | None
    entrypoint: Text | Sequence[Text] | None
    environment: Mapping[str, str | int | float | bool | Term | None]
    working_dir: Text | None
    user: Text | None
    network_mode: Literal["none", "bridge", "host"]
    read_only: bool
    pull_policy: Literal["missing", "always", "never"]
    stop_grace_period: Duration
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    isolation: Isolation
    gives_result: bool
    timeouts: Timeouts
    machine: str | MachineSelector | None
    resources: Resources


def step(
    id_: str,
    image: Text,
    *,
    accepts: Mapping[str, Input | ValueType] | Sequence[str] = (),
    outputs: Mapping[str, Output | ValueType] | Sequence[str] = (),
    retry: Retry | int | None = None,
    function: str | Callable[..., Any] | None = None,
    cache: Cache | str | None = None,
    **more: Unpack[_Container],
) -> Step:
    """A step that runs a container.

    ``accepts``, ``outputs``: by name an ``Input`` or ``Output``, or only its type; or a list of names. ``retry``: or
    only how often to try. ``function``: what is called in it, by name, or the function itself where the image has the
    same module; it is loaded with ``params``. ``cache``: or only how old what it gave may be, to be given again.
    """
    whole: dict[str, Any] = {"image": image, "cache": kept(cache)}
    whole |= {"accepts": ports(Input, accepts), "outputs": ports(Output, outputs)}
    if function is not None:
        whole["function"] = named(function)
    if retry is not None:
        whole["retry"] = Retry(max_attempts=retry) if isinstance(retry, int) else retry
    return made(id_, more, **whole)


def workflow(
    name: str,
    *steps: Step,
    description: str = "",
    inputs: Mapping[str, Input | ValueType] | Sequence[str] = (),
    outputs: Mapping[str, Any] | None = None,
    on_failure: Literal["drain", "cancel", "continue"] = "drain",
    on_finish: Sequence[Step] = (),
    workflows: Sequence[Workflow] | Mapping[str, Workflow] = (),
    concurrency: Concurrency | int | None = None,
    schedule: Schedule | None = None,
    limits: Limits | int | None = None,
    priority: int = 0,
    timeout: Duration | None = None,
    tags: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Workflow:
    """A workflow of ``steps``. ``inputs`` as the outputs of ``step``; ``outputs`` may hold terms at any depth.

    ``workflows``: those that steps made by ``call`` run. ``concurrency``: a ``Concurrency``, or only how many
    executions of this workflow may be under way at once. ``schedule``: when ``client.schedule`` is to have it run.
    ``timeout`` counts from the start of an execution; it holds ``tags``, and what it is submitted with comes on top of
    ``tags``, ``labels`` and ``metadata``. ``limits``: ``Limits``, or only how many steps it may begin.
    """
    return Workflow(
        name=name,
        description=description,
        inputs=ports(Input, inputs),
        steps=list(steps),
        outputs=written(outputs or {}),
        on_failure=on_failure,
        on_finish=list(on_finish),
        workflows=dict(workflows) if isinstance(workflows, Mapping) else {one.name: one for one in workflows},
        concurrency=claims(concurrency),
        schedule=schedule,
        limits=Limits(steps=limits) if isinstance(limits, int) else limits,
        priority=priority,
        timeout=timeout,
        tags=list(tags),
        labels=dict(labels or {}),
        metadata=dict(metadata or {}),
    )


def claims(concurrency: Concurrency | int | None) -> Concurrency | None:
    """What is claimed of a key, from its short form."""
    return Concurrency(limit=concurrency) if isinstance(concurrency, int) else concurrency


def ports(kind: type[_Port], declared: Mapping[str, _Port | ValueType] | Sequence[str]) -> dict[str, _Port]:
    """Inputs or outputs by name, from their short forms."""
    if not isinstance(declared, Mapping):
        return {name: kind() for name in declared}
    return {name: kind(type=one) if isinstance(one, str) else one for name, one in declared.items()}
