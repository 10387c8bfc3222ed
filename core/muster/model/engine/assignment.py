"""Giving ready steps to machines, and telling what becomes of those that find none.

Which machine is the business of ``muster.model.engine.placement``; here is what is written about it.
"""

from __future__ import annotations

from muster.model.definition.workflow import ContainerSpec
from muster.model.engine.cluster import Machine, called
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.implied import start_order
from muster.model.engine.placement import Requirement, Slot, outlook
from muster.model.engine.round import Round
from muster.model.engine.writing import timer
from muster.model.errors import ErrorInfo, MusterError
from muster.model.log import catalogue as c
from muster.model.log.clipping import clipped
from muster.model.sharing import ration


def assign(round_: Round) -> None:
    """Give machines to the steps that are ready, as far as there is room."""
    state = round_.state
    for slot, wanted, machine in state.queue.heads(state.machines):
        state.queue.remove(slot)
        if not _schedule(round_, slot, wanted, machine):
            state.queue_stirred = True  # what the failure ends must not be given a machine first
            return
    for wanted in state.queue.requirements():
        _consider(round_, wanted)


def _schedule(round_: Round, slot: Slot, wanted: Requirement, machine: Machine) -> bool:
    """Give the step to the machine; False where the step cannot be started at all."""
    execution = round_.state.executions[slot[0]]
    step = execution.steps[slot[1]]
    ref, cause = execution.ref(step), step.ready_id or execution.queued_id
    try:
        labels = machine.facts.labels if step.plan.labelled else {}
        if first := step.attempts == 0:
            ration.check_steps(execution, step)
        order = start_order(execution, step, ref.attempt, machine.name, labels)
        counted = ration.check_function(execution, step, order.container.image) if first else ""
    except MusterError as error:
        _fail(round_, execution, step, error.info(step=ref.step), cause)
        return False
    resources = wanted.resources
    body = c.StepScheduled(
        machine=machine.name,
        session=machine.session,
        slots=resources.slots,
        cpus=resources.cpus,
        memory=resources.memory,
        gpus=resources.gpus,
        labels=labels,
        counted=counted,
        function=_calls(order.container, machine, execution),
    )
    round_.write(
        body, cause, execution=ref.execution, step=ref.step, attempt=ref.attempt, machine=machine.name
    )
    round_.starts.setdefault(machine.name, []).append(order)
    return True


def _calls(container: ContainerSpec, machine: Machine, execution: ExecutionState) -> str:
    """What is called and stays loaded there; empty where nothing does."""
    if not machine.keeps or container.isolation == "call":
        return ""
    own = execution.id if container.isolation == "execution" else ""
    return called(container.image, container.function or "", own)


def _consider(round_: Round, wanted: Requirement) -> None:
    """Steps that found no room: most wait their turn; some never will have one."""
    state = round_.state
    while (waiting := state.queue.head(wanted)) is not None:
        execution = state.executions[waiting.execution]
        step = execution.steps[waiting.path]
        hopeless = outlook(wanted, state.machines, waiting.ready_at, state.policy)
        if hopeless is None:
            return
        if hopeless.due_at is not None and hopeless.due_at > round_.now:
            if step.placement_due != hopeless.due_at:
                step.placement_due = hopeless.due_at
                state.arm(hopeless.due_at, "placement", "", "")
            return
        cause = timer("placement", hopeless.due_at) if hopeless.due_at else step.ready_id
        _fail(round_, execution, step, hopeless.error.info(step=waiting.path), cause or execution.queued_id)


def _fail(round_: Round, execution: ExecutionState, step: StepState, error: ErrorInfo, cause: str) -> None:
    round_.write(c.StepFailed(error=clipped(error)), cause, execution=execution.id, step=step.path)
