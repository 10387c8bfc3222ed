"""What a definition means, worked out once: who needs whom, what an attempt may use, and what exactly it runs.

Everything here takes the definition for valid (``muster.model.validation``); only values can still be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from muster.model import order as orders
from muster.model import values
from muster.model.commands import AttemptOrder, AttemptResources, AttemptTimeouts
from muster.model.errors import InvalidArgumentError
from muster.model.expressions import compile_template, references, templates
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.quantities import seconds, size_bytes
from muster.model.transitions import PHASES
from muster.model.workflow import MachineSelector, Step, Timeouts, Workflow

TEMPLATED: Final = ("image", "command", "entrypoint", "environment", "working_dir", "user", "inputs")


class RetryPlan(msgspec.Struct, frozen=True):
    """How often each phase is tried, and how long to wait between tries (seconds)."""

    max_attempts: dict[str, int]
    initial: float
    factor: float
    max: float
    jitter: bool


class StepPlan(msgspec.Struct, frozen=True):
    """One step, ready to be decided about.

    ``needs`` are the steps that must have succeeded (explicit and referenced), ``sources`` those whose outputs are
    referenced, ``dependents`` those that need this one; each in definition order. ``primitive`` is what the step
    lowers to; ``run`` is the only one so far.
    """

    path: str
    index: int
    step: Step
    needs: tuple[str, ...]
    dependents: tuple[str, ...]
    resources: AttemptResources
    timeouts: AttemptTimeouts
    retry: RetryPlan
    machine: str | None
    labels: tuple[tuple[str, str], ...]
    sources: tuple[str, ...] = ()
    primitive: str = "run"


class Plan(msgspec.Struct, frozen=True):
    """A workflow and its steps, in definition order. ``sources`` are the steps the workflow's outputs come from."""

    workflow: Workflow
    steps: dict[str, StepPlan]
    sources: tuple[str, ...] = ()


def plan(workflow: Workflow) -> Plan:
    """The plan of a valid workflow, in time linear in its size."""
    index = {step.id: at for at, step in enumerate(workflow.steps)}
    sources = {step.id: _ordered(referenced(templated(step)), index) for step in workflow.steps}
    needs = {step.id: _ordered({*step.needs, *sources[step.id]}, index) for step in workflow.steps}
    dependents: dict[str, list[str]] = {step.id: [] for step in workflow.steps}
    for step in workflow.steps:
        for needed_step in needs[step.id]:
            dependents[needed_step].append(step.id)
    steps = {
        step.id: _step_plan(
            step, index[step.id], needs[step.id], tuple(dependents[step.id]), sources[step.id]
        )
        for step in workflow.steps
    }
    return Plan(workflow, steps, _ordered(referenced(workflow.outputs), index))


def needed(step_plan: StepPlan) -> tuple[str, ...]:
    """The steps whose outputs the scope of ``order`` must hold."""
    return step_plan.sources


def order(
    step_plan: StepPlan, *, execution: str, attempt: int, workflow: str, scope: Mapping[str, Any]
) -> AttemptOrder:
    """The attempt to send to a machine: every expression evaluated, every value checked.

    Raises ExpressionError, ValueMissingError, InvalidTypeError or InvalidArgumentError, naming step and field.
    """
    step = step_plan.step
    return AttemptOrder(
        execution=execution,
        step=step_plan.path,
        attempt=attempt,
        workflow=workflow,
        container=orders.container(step, scope),
        timeouts=step_plan.timeouts,
        resources=step_plan.resources,
        inputs=orders.inputs(step, scope),
        outputs=step.outputs,
    )


def outputs(plan: Plan, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the workflow; ``scope`` must hold the steps of ``plan.sources``."""
    found: dict[str, Any] = {
        name: orders.placed(f"the output {name} of the workflow", value, scope, output=name)
        for name, value in plan.workflow.outputs.items()
    }
    if (total := values.size(found)) > VALUES_BYTES_MAX:
        raise InvalidArgumentError(
            f"the outputs of the workflow are {total} bytes as JSON, more than {VALUES_BYTES_MAX}.",
            remedy="Return less: the outputs of single steps can be read as well.",
        )
    return found


def templated(step: Step) -> dict[str, Any]:
    """The fields of a step in which expressions are evaluated."""
    return {field: getattr(step, field) for field in TEMPLATED}


def referenced(value: Any) -> set[str]:
    """The ids of the steps that expressions anywhere in ``value`` refer to."""
    return set(_referenced(value))


def _referenced(value: Any) -> Iterator[str]:
    for _, text in templates(value):
        for reference in references(compile_template(text)):
            if reference.root == "steps" and reference.name is not None:
                yield reference.name


def _ordered(ids: set[str], index: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted((one for one in ids if one in index), key=index.__getitem__))


def _step_plan(
    step: Step, index: int, needs: tuple[str, ...], dependents: tuple[str, ...], sources: tuple[str, ...]
) -> StepPlan:
    selector = (
        step.machine if isinstance(step.machine, MachineSelector) else MachineSelector(name=step.machine)
    )
    return StepPlan(
        path=step.id,
        index=index,
        step=step,
        needs=needs,
        dependents=dependents,
        resources=_resources(step),
        timeouts=_timeouts(step.timeouts, step.stop_grace_period),
        retry=_retry(step),
        machine=selector.name,
        labels=tuple(sorted(selector.labels.items())),
        sources=sources,
    )


def _resources(step: Step) -> AttemptResources:
    asked = step.resources
    return AttemptResources(
        slots=asked.slots, cpus=asked.cpus, memory=size_bytes(asked.memory), gpus=asked.gpus
    )


def _timeouts(timeouts: Timeouts, grace: str | float) -> AttemptTimeouts:
    return AttemptTimeouts(
        pull=seconds(timeouts.pull),
        start=seconds(timeouts.start),
        load=seconds(timeouts.load),
        run=seconds(timeouts.run),
        grace=seconds(grace),
    )


def _retry(step: Step) -> RetryPlan:
    retry = step.retry
    phases: Mapping[Any, int] = retry.phases
    return RetryPlan(
        max_attempts={phase: phases.get(phase, retry.max_attempts) for phase in PHASES},
        initial=seconds(retry.backoff.initial),
        factor=retry.backoff.factor,
        max=seconds(retry.backoff.max),
        jitter=retry.backoff.jitter,
    )
