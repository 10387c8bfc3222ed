"""The event catalogue: every kind of fact and decision, its version, who writes it, and what its data means.

A kind is ``<noun>.<verb>``. Times are UTC; durations are seconds; sizes are bytes. The page ``docs/events.md`` is
generated from this module.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeVar

import msgspec

from muster.model.errors import ErrorInfo
from muster.model.transitions import Transition
from muster.model.workflow import Workflow

Writer = Literal["scheduler", "agent"]


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ``data`` of an event."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    writer: ClassVar[Writer]
    label: ClassVar[str] = ""


class Unknown(msgspec.Struct, frozen=True):
    """The data of an event whose kind or version this release does not know; kept as it came."""

    kind: str
    version: int
    raw: msgspec.Raw


CATALOGUE: Final[dict[str, type[Body]]] = {}
B = TypeVar("B", bound=type[Body])


def _event(kind: str, writer: Writer, label: str = "") -> Callable[[B], B]:
    """``label`` is the name people see, where Hyko's words have one."""

    def enter(body: B) -> B:
        body.kind, body.writer, body.label = kind, writer, label
        CATALOGUE[kind] = body
        return body

    return enter


# ---- scheduler: who leads


@_event("leader.elected", "scheduler")
class LeaderElected(Body):
    """A scheduler took the lead; every decision written from here on is fenced by this event."""

    scheduler: str
    term: int
    software: str = ""


# ---- scheduler: executions


@_event("execution.queued", "scheduler")
class ExecutionQueued(Body):
    """A submit was accepted; definition and inputs are recorded in full (defaults filled in)."""

    workflow: Workflow
    inputs: dict[str, Any]
    transition: Transition
    digest: str = ""
    labels: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    rerun_of: str | None = None


@_event("execution.started", "scheduler")
class ExecutionStarted(Body):
    """The scheduler began to work on the execution."""

    transition: Transition


@_event("execution.waiting", "scheduler")
class ExecutionWaiting(Body):
    """Nothing else is live and a step waits for a person or a signal."""

    transition: Transition
    reason: str = ""


@_event("execution.resumed", "scheduler")
class ExecutionResumed(Body):
    """What the execution waited for has come."""

    transition: Transition


@_event("execution.ending", "scheduler")
class ExecutionEnding(Body):
    """The outcome is decided; nothing new starts, what is live is let end (or stopped, on cancel)."""

    outcome: Literal["succeeded", "failed", "cancelled"]
    error: ErrorInfo | None = None
    reason: str = ""


@_event("execution.succeeded", "scheduler")
class ExecutionSucceeded(Body):
    """Every step ended well; these are the workflow's outputs."""

    outputs: dict[str, Any]
    transition: Transition


@_event("execution.failed", "scheduler")
class ExecutionFailed(Body):
    """The execution failed; the error is that of the first step that failed, or of the execution itself."""

    error: ErrorInfo
    transition: Transition


@_event("execution.cancelled", "scheduler")
class ExecutionCancelled(Body):
    """The execution was cancelled and nothing of it is live any more."""

    transition: Transition
    reason: str = ""


@_event("execution.cleared", "scheduler")
class ExecutionCleared(Body):
    """The execution's events below this one, its objects and its logs are erased; this marker stays."""


# ---- scheduler: steps and attempts


@_event("step.scheduled", "scheduler")
class StepScheduled(Body):
    """An attempt of the step was given to a machine. ``session`` is the sequence of the machine's connection."""

    machine: str
    session: int
    slots: int = 1
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0


@_event("step.started", "scheduler")
class StepStarted(Body):
    """The step's first attempt began to run."""

    machine: str | None
    transition: Transition


@_event("step.waiting", "scheduler")
class StepWaiting(Body):
    """The step waits for input, a timer or a signal."""

    reason: str
    due_at: datetime | None = None


@_event("step.resumed", "scheduler")
class StepResumed(Body):
    """What the step waited for has come."""

    output: Any = None


@_event("step.retrying", "scheduler")
class StepRetrying(Body):
    """The attempt did not count or failed; another is scheduled from ``due_at`` on.

    ``budget`` names what this retry is charged to: a phase (pull, start, load, run) or ``lost`` for a lost machine.
    """

    error: ErrorInfo
    budget: str
    used: int
    due_at: datetime


@_event("step.succeeded", "scheduler")
class StepSucceeded(Body):
    """The step has its outputs. ``reason`` says why where no attempt produced them."""

    outputs: dict[str, Any] = {}
    reason: str = ""


@_event("step.failed", "scheduler")
class StepFailed(Body):
    """The step failed for good."""

    error: ErrorInfo


@_event("step.skipped", "scheduler")
class StepSkipped(Body):
    """The step was not run; ``reason`` is ``condition`` or ``ending``."""

    reason: str


@_event("step.cancelled", "scheduler")
class StepCancelled(Body):
    """The step was ended by a cancel."""

    reason: str = ""


@_event("attempt.superseded", "scheduler")
class AttemptSuperseded(Body):
    """The attempt never counts again, whatever is still heard of it."""

    machine: str
    reason: str


@_event("command.refused", "scheduler")
class CommandRefused(Body):
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


@_event("machine.offline", "scheduler")
class MachineOffline(Body):
    """The machine stopped answering."""

    evidence: Evidence


@_event("machine.online", "scheduler")
class MachineOnline(Body):
    """A machine that was offline beats again, under the same connection."""

    evidence: Evidence


@_event("machine.draining", "scheduler")
class MachineDraining(Body):
    """The machine gets nothing new."""

    reason: str = ""


@_event("machine.drained", "scheduler")
class MachineDrained(Body):
    """A draining machine has nothing left to run."""


@_event("machine.removed", "scheduler")
class MachineRemoved(Body):
    """The machine is forgotten until it connects again."""

    reason: str = ""


# ---- agent: machines


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One graphics processor as its driver names it."""

    name: str
    memory: int = 0


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a machine has and is. ``slots`` is how many attempts it takes at once."""

    os: str = ""
    arch: str = ""
    hostname: str = ""
    boot_id: str = ""
    cpus: float = 0.0
    memory: int = 0
    slots: int = 1
    gpus: list[Gpu] = []
    labels: dict[str, str] = {}
    runtime: str = "docker"
    engine: str = ""
    engine_version: str = ""


class AttemptRef(msgspec.Struct, frozen=True, order=True):
    """Names one attempt."""

    execution: str
    step: str
    attempt: int


@_event("machine.connected", "agent")
class MachineConnected(Body):
    """The agent of a machine took its place; every event it writes from here on is fenced by this one.

    ``attempts`` are all attempts this agent still answers for (running, or with facts not yet sent); an attempt
    accepted earlier on this machine that is not among them is lost. ``instance`` is new for every start.
    """

    instance: str
    facts: MachineFacts
    interval_s: float
    attempts: list[AttemptRef] = []
    software: str = ""


@_event("machine.disconnected", "agent")
class MachineDisconnected(Body):
    """The agent said goodbye."""

    reason: str = ""


# ---- agent: phases of an attempt, shown to people by Hyko's names


@_event("attempt.accepted", "agent")
class AttemptAccepted(Body):
    """The agent has the attempt and begins its phases."""


@_event("image.pulling", "agent", "Pulling Image")
class ImagePulling(Body):
    """The image is looked for, and pulled where it is not there."""

    image: str


@_event("image.pulled", "agent", "Image Pulled")
class ImagePulled(Body):
    """The image is there; ``cached`` if nothing had to be pulled. ``size`` is its size on disk in bytes."""

    image: str
    digest: str = ""
    cached: bool = False
    size: int = 0
    seconds: float = 0.0


@_event("container.starting", "agent", "Starting Container")
class ContainerStarting(Body):
    """The container is created and started."""

    image: str
    digest: str = ""


@_event("container.started", "agent")
class ContainerStarted(Body):
    """The container runs."""

    container: str
    seconds: float = 0.0


@_event("container.exited", "agent")
class ContainerExited(Body):
    """The container ended. ``signal`` where the process runtime knows it; resource use where the engine tells."""

    container: str
    exit_code: int
    oom_killed: bool = False
    seconds: float = 0.0
    cpu_s: float | None = None
    memory_peak: int | None = None


@_event("function.loading", "agent", "Loading Function")
class FunctionLoading(Body):
    """The function's load began."""

    function: str


@_event("function.loaded", "agent", "Function Loaded")
class FunctionLoaded(Body):
    """The function is loaded and can be called."""

    function: str
    seconds: float = 0.0


@_event("attempt.started", "agent", "Execution Started")
class AttemptStarted(Body):
    """The run phase began."""


@_event("attempt.progress", "agent")
class AttemptProgress(Body):
    """How far a phase has come, at most about once a second: ``current`` of ``total`` in ``unit``."""

    phase: str
    current: float
    total: float | None = None
    unit: str = ""
    message: str = ""


@_event("attempt.finished", "agent", "Execution Finished")
class AttemptFinished(Body):
    """The run phase ended well; ``seconds`` by phase."""

    outputs: dict[str, Any] = {}
    exit_code: int | None = None
    seconds: dict[str, float] = {}


@_event("attempt.failed", "agent", "Execution Failed")
class AttemptFailed(Body):
    """A phase failed. ``retriable`` is false where trying again cannot help (an unknown image, for instance).

    ``reason`` is ``error``, ``timeout``, ``no_capacity`` (the machine could not hold it) or ``lost`` (the agent
    found no trace of it after a restart).
    """

    error: ErrorInfo
    phase: str
    reason: Literal["error", "timeout", "no_capacity", "lost"] = "error"
    retriable: bool = True
    exit_code: int | None = None
    seconds: dict[str, float] = {}


@_event("attempt.stopped", "agent", "Execution Stopped")
class AttemptStopped(Body):
    """The attempt was stopped on command, or because the agent was cut off or ends. It left nothing running."""

    reason: str = ""
    seconds: dict[str, float] = {}


HYKO: Final = tuple(
    CATALOGUE[kind]
    for kind in (
        "image.pulling",
        "image.pulled",
        "container.starting",
        "function.loading",
        "function.loaded",
        "attempt.started",
        "attempt.finished",
    )
)
"""Hyko's seven lifecycle events, in the order in which they are shown."""
