"""The scheduler's state: what folding the log gives (see ``muster.model.engine.evolve``)."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from typing import Any, Final

from muster.model.engine.cluster import Attempt, Machine, called
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.placement import Queue, Waiting, requirement
from muster.model.errors import MusterError
from muster.model.expressions.template import OPENING, render
from muster.model.log.body import AttemptRef
from muster.model.policy import Policy
from muster.model.reuse.cache import Cache
from muster.model.schedules.fold import Schedules
from muster.model.sharing.turns import StepTurns, Turns

CLEARED: Final = "cleared"  # stands for the digest of an execution that was erased: nothing is equal to it
TIMERS_SWEPT: Final = 4096  # timers of what has ended are let go each time this many were armed

Timer = tuple[datetime, str, str, str]
"""Due time, what (retry, wait, accept, placement, ending, overdue, schedule), execution, step. A placement timer
belongs to no execution: it has the whole queue looked at. Nor does that of a schedule, which has its name instead of a
step."""


class State:
    """Everything decisions are made from."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.sequence = 0
        self.round = 0
        self.leader_sequence = 0
        self.leader_id = ""
        self.leader_name = ""
        self.term = 0
        self.number = 0
        self.machines: dict[str, Machine] = {}
        self.executions: dict[str, ExecutionState] = {}
        self.ended: dict[str, str] = {}
        self.forgotten = False
        self.queue = Queue()
        self.queue_stirred = False
        self.turns = Turns()
        self.step_turns: Turns = StepTurns()
        self.schedules = Schedules()
        self.cache = Cache()
        self.touched: dict[str, set[str]] = {}
        self.timers: list[Timer] = []
        self._armed = 0
        self._accepted = 0

    def accept(self, execution: ExecutionState) -> None:
        """Take a new execution in; its position is the order of the log."""
        self._accepted += 1
        execution.position = self._accepted
        self.executions[execution.id] = execution
        if execution.claim is not None:
            self.turns.wait(execution.claim, (-execution.priority, execution.position, execution.id))
        self.touch(execution.id, "")

    @property
    def stirred(self) -> bool:
        """Whether ``decide`` has to look at an execution, or at a line of those that claim a key."""
        return bool(self.touched) or self.turns.stirred or self.step_turns.stirred

    def touch(self, execution: str, step: str) -> None:
        """Have ``decide`` look at this step ("" for the execution itself)."""
        if execution in self.executions:
            self.touched.setdefault(execution, set()).add(step)

    def taken(self) -> list[tuple[ExecutionState, list[StepState]]]:
        """What was touched, each execution with its touched steps, in the order of the log and of the definition.

        The order must not depend on when something was touched: a replay does not know of the rounds that decided
        nothing.
        """
        touched, self.touched = self.touched, {}
        found = [self.executions[id_] for id_ in touched if id_ in self.executions]
        found.sort(key=lambda execution: execution.position)
        return [(execution, execution.chosen(touched[execution.id])) for execution in found]

    def revisit(self) -> None:
        """Have ``decide`` look at everything: whoever takes the lead begins so, whatever it did before."""
        self.touched = {
            execution.id: {"", *(path for path, step in execution.steps.items() if not step.terminal)}
            for execution in self.executions.values()
        }
        self.queue_stirred = True
        self.turns.stir_all()
        self.step_turns.stir_all()
        self.timers.clear()
        self.schedules.touch(*self.schedules.by_name)
        for execution in self.executions.values():
            self._rearm(execution)

    def _rearm(self, execution: ExecutionState) -> None:
        if execution.ending_due is not None:
            self.arm(execution.ending_due, "ending", execution.id, "")
        if execution.handlers_due is not None:
            self.arm(execution.handlers_due, "ending", execution.id, "")
        if execution.overdue_at is not None:
            self.arm(execution.overdue_at, "overdue", execution.id, "")
        if execution.finish_due is not None:
            self.arm(execution.finish_due, "ending", execution.id, "")
        for path, step in execution.steps.items():
            step.placement_due = None
            if step.status == "waiting" and step.due_at is not None:
                # By the clock of this leader its time may not have come, though by that of the one before it had.
                self.queue.remove((execution.id, path))
                self.arm(step.due_at, waits_for(step), execution.id, path)
            elif step.status == "scheduled" and step.attempt is not None and not step.attempt.accepted:
                self.arm(accept_due(self, step.attempt), "accept", execution.id, path)

    def arm(self, due_at: datetime, what: str, execution: str, step: str) -> None:
        """Have ``decide`` look again at ``due_at``."""
        self._armed += 1
        if self._armed % TIMERS_SWEPT == 0:
            self.timers = [timer for timer in self.timers if self._known(timer[2], timer[3])]
            heapq.heapify(self.timers)
        heapq.heappush(self.timers, (due_at, what, execution, step))

    def _known(self, execution: str, step: str) -> bool:
        """Whether a timer is for anything that is still there."""
        known = self.executions.get(execution)
        return not execution or (known is not None and (not step or step in known.steps))

    def held(self, machine: str, ref: AttemptRef) -> Attempt | None:
        """The attempt, if ``machine`` holds it."""
        known = self.machines.get(machine)
        return known.held.get(ref) if known else None

    def holding(self, execution: str) -> list[str]:
        """The machines that hold room for attempts of this execution, by name."""
        machines = self.machines.values()
        return sorted(m.name for m in machines if any(ref.execution == execution for ref in m.held))

    def end(self, execution: ExecutionState) -> None:
        """Let an ended execution go, but for its id."""
        del self.executions[execution.id]
        if execution.claim is not None:
            self.turns.leave(execution.claim.key, execution.id)
        self.touched.pop(execution.id, None)
        self.schedules.end(execution.id)
        self.remember(execution.id, execution.digest)

    def erase(self, execution: str) -> None:
        """Let go of everything about an execution but its id: whoever folds the log later finds nothing else of it.

        Room that a machine has not answered for is given back; what may run there is stopped.
        """
        for machine, ref in self._let_go(execution):
            machine.strays[ref] = None
        self.schedules.end(execution)
        self.cache.forget(execution)
        self.remember(execution, CLEARED)

    def leave(self, execution: str) -> None:
        """Let go of an open execution that has ended: its end left the log, for the archive, before it was read."""
        self._let_go(execution)

    def _let_go(self, execution: str) -> list[tuple[Machine, AttemptRef]]:
        """End it if it is open, which it is where its end was gone before it was read; the room that was still held."""
        if (known := self.executions.get(execution)) is not None:
            for path, step in known.steps.items():
                self.queue.remove((execution, path))
                if step.claim is not None:
                    self.step_turns.leave(step.claim.key, (execution, path))
            self.end(known)
        held = [(m, ref) for m in self.machines.values() for ref in m.held if ref.execution == execution]
        for machine, ref in held:
            machine.release(ref)
            self.queue_stirred = True
        return held

    def forget(self, *_: object) -> None:
        """From here on an id that is not known may be one of those that ended long ago."""
        self.forgotten = True

    def archive(self, *_: object) -> None:
        """Executions are gone from the log, though not their ids."""
        self.forget()
        self.schedules.settle()

    def remember(self, execution: str, digest: str) -> None:
        """Keep the id of an execution that has ended, and what it was asked for."""
        self.ended.pop(execution, None)
        self.ended[execution] = digest
        if len(self.ended) > self.policy.ended_kept:
            del self.ended[next(iter(self.ended))]
            self.forget()


def enqueue(state: State, execution: ExecutionState, step: StepState) -> None:
    """Put a ready step into the placement queue."""
    assert step.ready_at is not None
    plan, priority = step.plan, execution.priority_of(step)
    image, calls = plan.step.image or "", _calls(execution, step)
    waiting = Waiting(-priority, step.ready_at, execution.id, step.order, step.path, image, calls)
    state.queue.add(waiting, requirement(plan, priority))
    state.queue_stirred = True


def _calls(execution: ExecutionState, step: StepState) -> str:
    """What the step calls, as a machine has it loaded; empty where it calls nothing that stays."""
    written = step.plan.step
    if written.function is None or written.isolation == "call":
        return ""
    image: Any = written.image
    if OPENING in (image or ""):
        try:
            image = render(image, execution.scope(step))
        except MusterError:  # which fails the step when it is given to a machine, or speaks of that machine
            return ""
    own = execution.id if written.isolation == "execution" else ""
    return called(image, written.function, own) if isinstance(image, str) else ""


def waits_for(step: StepState) -> str:
    """Which timer ends the waiting of a step."""
    return "retry" if step.plan.primitive == "run" else "wait"


def accept_due(state: State, attempt: Attempt) -> datetime:
    """When an attempt that no agent accepted counts as lost."""
    return attempt.ordered_at + timedelta(seconds=state.policy.accept_timeout_s)


def ending_due(state: State, execution: ExecutionState, ending_at: datetime) -> datetime:
    """When a cancelled execution stops waiting for its containers."""
    grace = max((step.plan.timeouts.grace for step in execution.steps.values()), default=0.0)
    return ending_at + timedelta(seconds=grace + state.policy.ending_timeout_s)
