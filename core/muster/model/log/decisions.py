"""What the scheduler writes: decisions about executions and steps, and verdicts about machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muster.model.definition.schedule import Scheduled
from muster.model.definition.workflow import Workflow
from muster.model.errors import ErrorInfo
from muster.model.log.body import Body, event
from muster.model.log.transitions import Transition
from muster.model.policy import Policy
from muster.model.sharing.claims import Claim, turn

# ---- scheduler: who leads


@event("leader.elected", "scheduler")
class LeaderElected(Body, frozen=True):
    """A scheduler took the lead; every decision from here on is fenced by this event and rests on ``policy``."""

    scheduler: str
    term: int
    software: str = ""
    policy: Policy | None = None


# ---- scheduler: executions


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """The step of another execution that runs this one."""

    execution: str
    step: str


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where and when an outcome was made that another execution has as well. Control steps have no attempt."""

    execution: str
    step: str
    attempt: int | None = None
    at: datetime | None = None


class Reused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of a step that a rerun takes over: it succeeded, or ``skipped``: it had asked to be.

    ``execution`` and ``step`` are where it was made, where that is not this step of the one that is run again.
    """

    outputs: dict[str, Any] = {}
    skipped: bool = False
    message: str = ""
    execution: str = ""
    step: str = ""
    attempt: int | None = None
    at: datetime | None = None


@event("execution.queued", "scheduler", given=True)
class ExecutionQueued(Body, frozen=True):
    """A submit was accepted; definition and inputs are recorded in full (defaults filled in).

    ``concurrency`` is its claim on a key, which it holds from ``execution.started`` to its end. ``timeout_s`` counts
    from there, too. ``tags`` are what it holds of those that its steps require.
    ``rerun_of`` is the execution that is run again, ``reused`` what is taken over from it, by the paths of the steps.
    ``loops`` has the digests of the lists that its loops went over: what is taken over of a member holds for the same
    list only. ``too_large`` are steps that are run again because what they gave did not fit. ``no_cache``:
    nothing is taken from the cache.
    """

    workflow: Workflow
    inputs: dict[str, Any]
    transition: Transition
    digest: str = ""
    labels: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    rerun_of: str | None = None
    reused: dict[str, Reused] = {}
    loops: dict[str, str] = {}
    too_large: list[str] = []
    no_cache: bool = False
    parent: Parent | None = None
    concurrency: Claim | None = None
    schedule: Scheduled | None = None
    priority: int = 0
    timeout_s: float | None = None
    tags: list[str] = []


@event("execution.deferred", "scheduler")
class ExecutionDeferred(Body, frozen=True):
    """It waits for its turn: ``ahead`` others that claim its key come first. ``by`` are the first of them."""

    key: str
    ahead: int
    by: list[str] = []


@event("execution.started", "scheduler")
class ExecutionStarted(Body, frozen=True):
    """The scheduler began to work on the execution."""

    transition: Transition


@event("execution.waiting", "scheduler")
class ExecutionWaiting(Body, frozen=True):
    """Nothing else is live and a step waits for a person or a signal."""

    transition: Transition
    reason: str = ""


@event("execution.resumed", "scheduler")
class ExecutionResumed(Body, frozen=True):
    """What the execution waited for has come."""

    transition: Transition


@event("execution.ending", "scheduler")
class ExecutionEnding(Body, frozen=True):
    """The outcome is decided; nothing new starts, what is live is let end (or stopped, on cancel).

    ``replaced_by`` is the execution that takes its place under their key. ``stop``: what is live is stopped.
    """

    outcome: Literal["succeeded", "failed", "cancelled"]
    error: ErrorInfo | None = None
    reason: str = ""
    outputs: dict[str, Any] | None = None
    with_parent: bool = False
    replaced_by: str = ""
    stop: bool = False


@event("execution.succeeded", "scheduler")
class ExecutionSucceeded(Body, frozen=True):
    """Every step ended well; these are the workflow's outputs."""

    outputs: dict[str, Any]
    transition: Transition


@event("execution.failed", "scheduler")
class ExecutionFailed(Body, frozen=True):
    """The execution failed; the error is that of the first step that failed, or of the execution itself."""

    error: ErrorInfo
    transition: Transition


@event("execution.cancelled", "scheduler")
class ExecutionCancelled(Body, frozen=True):
    """The execution was cancelled and nothing of it is live any more."""

    transition: Transition
    reason: str = ""


# ---- scheduler: steps and attempts


@event("step.scheduled", "scheduler")
class StepScheduled(Body, frozen=True):
    """An attempt of the step was given to a machine. ``session`` is the sequence of the machine's connection.

    ``labels`` are the machine's, where the step speaks of them: what it is told to run is the same whenever it is.
    ``counted`` is the pattern of ``limits.functions`` that its first attempt counts under. ``function`` is what it
    calls (image, function, and the execution where no other may share its container); empty where nothing stays loaded.
    """

    machine: str
    session: int
    slots: int = 1
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0
    labels: dict[str, str] = {}
    counted: str = ""
    function: str = ""


@event("step.started", "scheduler")
class StepStarted(Body, frozen=True):
    """The step's first attempt began to run, or a control step began.

    ``members`` are what an ``each`` goes through, ``branch`` is the block that was chosen, ``child`` the execution that
    is run.
    """

    machine: str | None
    transition: Transition
    members: list[Any] | None = None
    branch: str | None = None
    child: str | None = None


@event("step.admitted", "scheduler")
class StepAdmitted(Body, frozen=True):
    """The step has its turn: it holds what it claims of a key until it has its outcome."""

    claim: Claim


@event("step.waiting", "scheduler")
class StepWaiting(Body, frozen=True):
    """The step waits: ``reason`` is ``input``, ``timer``, ``check_later`` or ``concurrency``.

    In the last case it waits for its turn: ``ahead`` others come first that claim its key, ``by`` are some of them.
    ``token`` lets whoever has it give the input, once. ``context`` is what the next run of the container is given.
    """

    reason: str
    due_at: datetime | None = None
    prompt: str = ""
    schema: dict[str, Any] = {}
    token: str = ""
    context: Any = None
    message: str = ""
    claim: Claim | None = None
    ahead: int = 0
    by: list[str] = []

    @property
    def said(self) -> str:
        """Why it waits, where anything is said of that."""
        return self.message or ("" if self.claim is None else turn(self.ahead, self.claim.key))


@event("step.resumed", "scheduler", given=True)
class StepResumed(Body, frozen=True):
    """What the step waited for has come."""

    output: Any = None


@event("step.retrying", "scheduler")
class StepRetrying(Body, frozen=True):
    """The attempt did not count or failed; another is scheduled from ``due_at`` on.

    ``budget`` names what this retry is charged to: a phase (pull, start, load, run) or ``lost`` for a lost machine.
    """

    error: ErrorInfo
    budget: str
    used: int
    due_at: datetime


@event("step.succeeded", "scheduler")
class StepSucceeded(Body, frozen=True):
    """The step has its outputs. ``reason`` says why where no attempt produced them.

    ``reused``: a rerun took them over; ``cached``: they were found in the cache. ``source`` says where they were made.
    ``cache_key`` is the key they are kept under, or were found under.
    """

    outputs: dict[str, Any] = {}
    reason: str = ""
    source: Source | None = None
    cache_key: str = ""


@event("step.failed", "scheduler")
class StepFailed(Body, frozen=True):
    """The step failed for good."""

    error: ErrorInfo


@event("step.skipped", "scheduler")
class StepSkipped(Body, frozen=True):
    """The step was not run; ``reason`` is ``condition``, ``upstream`` (what it needs did not end well) or ``ending``.

    Where it was run and said so itself, ``reason`` is ``asked``, and ``message`` is what it said. ``source`` says
    where, if that was in an execution that this one is a rerun of.
    """

    reason: str
    message: str = ""
    source: Source | None = None


@event("step.cancelled", "scheduler")
class StepCancelled(Body, frozen=True):
    """The step was ended by a cancel."""

    reason: str = ""


@event("attempt.superseded", "scheduler")
class AttemptSuperseded(Body, frozen=True):
    """The attempt never counts again, whatever is still heard of it."""

    machine: str
    reason: str


@event("command.refused", "scheduler", given=True)
class CommandRefused(Body, frozen=True):
    """A command could not be accepted; nothing else was done with it."""

    command: str
    verb: str
    error: ErrorInfo


# ---- scheduler: machines


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict about a machine rests on.

    ``interval_s`` is the expected time between beats, ``missed`` how many did not come, ``watched_s`` how long this
    scheduler itself had been listening without a break.
    """

    session: int
    last_beat: int | None
    last_beat_at: datetime | None
    interval_s: float
    missed: int
    watched_s: float


@event("machine.offline", "scheduler", given=True)
class MachineOffline(Body, frozen=True):
    """The machine stopped answering."""

    evidence: Evidence


@event("machine.online", "scheduler", given=True)
class MachineOnline(Body, frozen=True):
    """A machine that was offline beats again, under the same connection."""

    evidence: Evidence


@event("machine.draining", "scheduler", given=True)
class MachineDraining(Body, frozen=True):
    """The machine gets nothing new."""

    reason: str = ""


@event("machine.drained", "scheduler")
class MachineDrained(Body, frozen=True):
    """A draining machine has nothing left to run."""


@event("machine.removed", "scheduler", given=True)
class MachineRemoved(Body, frozen=True):
    """The machine is forgotten until it connects again."""

    reason: str = ""
