"""What a definition means, worked out once: who needs whom, what an attempt may use, and what exactly it runs.

A plan is a tree of blocks. A block is a set of steps that need each other; a step that decides which steps are run, how
often, or what happens after it failed has blocks of its own. How everything people can write becomes the six primitives
of a plan is in ``muster.model.plan.lowering``.

Everything here takes the definition for valid (``muster.model.definition.validation``); only values can still be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from muster.model import values
from muster.model.definition.quantities import seconds, size_bytes
from muster.model.definition.workflow import MachineSelector, Step, Workflow
from muster.model.errors import InvalidArgumentError
from muster.model.expressions.template import compile_template, references, templates
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.log.commands import AttemptOrder, AttemptResources, AttemptTimeouts
from muster.model.log.transitions import PHASES
from muster.model.plan import order as orders
from muster.model.plan.artifacts import Staging

TEMPLATED: Final = (
    *("image", "command", "entrypoint", "environment", "working_dir", "user", "params", "inputs"),
    *("set", "error", "log", "sleep_until"),
)


class RetryPlan(msgspec.Struct, frozen=True):
    """How often each phase is tried, and how long to wait between tries (seconds)."""

    max_attempts: dict[str, int]
    initial: float
    factor: float
    max: float
    jitter: bool


Primitive = Literal["run", "choose", "each", "wait", "child", "assign"]
"""``run`` a container; ``choose`` one of several blocks; run a block for ``each`` member of a list; ``wait`` for a time
or for input; run a ``child`` execution; ``assign`` what expressions give, in the scheduler itself."""


class StepPlan(msgspec.Struct, frozen=True):
    """One step, ready to be decided about.

    ``path`` is its address in the definition. ``needs`` are the steps of its block that come first (explicit and
    referenced), ``sources`` those whose outputs are referenced, also of blocks around it, ``dependents`` those that
    need this one; each in definition order. ``gathers`` are the steps whose outputs become its own, where it stands for
    a ``chain``, ``group`` or ``parallel``. ``blocks`` are what it chooses from or repeats, ``rescue`` what is run where
    it failed. ``labelled``: it speaks of the labels of the machine it runs on.
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
    labelled: bool = False
    sources: tuple[str, ...] = ()
    primitive: Primitive = "run"
    conditions: tuple[str | bool, ...] = ()
    gathers: tuple[tuple[str, ...], ...] = ()
    blocks: tuple[Block, ...] = ()
    rescue: Block | None = None

    @property
    def id(self) -> str:
        """Its name in its block."""
        return self.path.rpartition("/")[2]


class Block(msgspec.Struct, frozen=True):
    """Steps that are run together, in definition order; ``name`` is their part of a path."""

    name: str
    steps: dict[str, StepPlan]


class Plan(msgspec.Struct, frozen=True):
    """A workflow and its steps. ``sources`` are the steps the workflow's outputs come from."""

    workflow: Workflow
    block: Block
    sources: tuple[str, ...] = ()
    finish: Block | None = None

    @property
    def steps(self) -> dict[str, StepPlan]:
        """The steps of the workflow itself, by id."""
        return self.block.steps


def needed(step_plan: StepPlan) -> tuple[str, ...]:
    """The steps whose outputs the scope of ``order`` must hold."""
    return step_plan.sources


def order(
    step_plan: StepPlan,
    *,
    execution: str,
    attempt: int,
    workflow: str,
    scope: Mapping[str, Any],
    path: str = "",
    context: Any = None,
) -> AttemptOrder:
    """The attempt to send to a machine: every expression evaluated, every value checked. ``path`` is the
    step's, where it is not that of the definition, ``context`` what a run before asked to be given.

    Raises ExpressionError, ValueMissingError, InvalidTypeError or InvalidArgumentError, naming step and field.
    """
    step, staging = step_plan.step, Staging()
    inputs = staging.inputs(orders.inputs(step, scope))
    return AttemptOrder(
        execution=execution,
        step=path or step_plan.path,
        attempt=attempt,
        workflow=workflow,
        container=orders.container(step, scope, staging),
        timeouts=step_plan.timeouts,
        resources=step_plan.resources,
        inputs=inputs,
        outputs=step.outputs,
        context=context,
        gives_result=step.gives_result,
        files=staging.files,
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
    """The fields of a step in which expressions are evaluated, but for its conditions and what stands in its blocks."""
    found = {field: value for field in TEMPLATED if (value := getattr(step, field)) is not None}
    if step.cache is not None and step.cache.key is not UNSET:
        found["cache"] = {"key": step.cache.key}
    if step.concurrency is not None and step.concurrency.key is not None:
        found["concurrency"] = {"key": step.concurrency.key}
    if step.return_ is not UNSET:
        found["return"] = step.return_
    if step.for_each is not None:
        found["for_each"] = {"in": step.for_each.in_}
    if step.map is not None:
        found["map"] = {"over": step.map.over, "initial": step.map.initial, "reduce": step.map.reduce}
    if step.wait_for_input is not None:
        found["wait_for_input"] = {"prompt": step.wait_for_input.prompt}
    return found


def referenced(value: Any) -> set[str]:
    """The ids of the steps that expressions anywhere in ``value`` refer to."""
    return set(_referenced(value))


def _referenced(value: Any) -> Iterator[str]:
    for _, text in templates(value):
        for reference in references(compile_template(text)):
            if reference.root == "steps" and reference.name is not None:
                yield reference.name


def speaks_of_machine(step: Step) -> bool:
    """Whether what the container runs depends on its machine."""
    return any(
        reference.root == "machine"
        for _, text in templates(templated(step))
        for reference in references(compile_template(text))
    )


def speaks_of_labels(step: Step) -> bool:
    """Whether what the container runs depends on more of its machine than the name."""
    return any(
        reference.root == "machine" and reference.name != "name"
        for _, text in templates(templated(step))
        for reference in references(compile_template(text))
    )


def selector(step: Step) -> MachineSelector:
    """Where the step may run."""
    machine = step.machine
    return machine if isinstance(machine, MachineSelector) else MachineSelector(name=machine)


def resources(step: Step) -> AttemptResources:
    """What an attempt takes from its machine."""
    asked = step.resources
    return AttemptResources(
        slots=asked.slots, cpus=asked.cpus, memory=size_bytes(asked.memory), gpus=asked.gpus
    )


def timeouts(step: Step) -> AttemptTimeouts:
    """How long each phase may take."""
    asked = step.timeouts
    return AttemptTimeouts(
        pull=seconds(asked.pull),
        start=seconds(asked.start),
        load=seconds(asked.load),
        run=seconds(asked.run),
        grace=seconds(step.stop_grace_period),
    )


def retries(step: Step) -> RetryPlan:
    """How often each phase is tried."""
    retry = step.retry
    phases: Mapping[Any, int] = retry.phases
    return RetryPlan(
        max_attempts={phase: phases.get(phase, retry.max_attempts) for phase in PHASES},
        initial=seconds(retry.backoff.initial),
        factor=retry.backoff.factor,
        max=seconds(retry.backoff.max),
        jitter=retry.backoff.jitter,
    )
