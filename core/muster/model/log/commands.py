"""Commands: requests to the scheduler or to a machine. They are consumed, not history; what they cause is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from muster.model.definition.workflow import ContainerSpec, Output
from muster.model.log.catalogue import AttemptRef
from muster.model.plan.artifacts import Artifact


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``id`` is new for every sending; the broker drops a repeated one."""

    id: str


# ---- to the scheduler


class Submit(Command, frozen=True, kw_only=True):
    """Run this workflow. ``workflow`` is the definition as a plain object: the scheduler validates it again.

    ``priority`` and ``timeout`` go before those of the workflow; ``labels``, ``metadata`` and ``tags`` come on top.
    ``no_cache``: nothing is taken from the result cache; what steps give is kept there nevertheless.
    """

    execution: str
    workflow: dict[str, Any]
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    priority: int | None = None
    timeout: str | float | None = None
    no_cache: bool = False


class Cancel(Command, frozen=True, kw_only=True):
    """End this execution."""

    execution: str
    reason: str = ""


class Resume(Command, frozen=True, kw_only=True):
    """Give an execution the input that a step waits for: the step named, the one of the token, or the only one."""

    execution: str
    input: Any = None
    step: str | None = None
    token: str | None = None


class Clear(Command, frozen=True, kw_only=True):
    """Erase this finished execution: its events but the marker, its objects, its logs."""

    execution: str


class Rerun(Command, frozen=True, kw_only=True):
    """Run the ended execution ``of`` again, as a new one: as a whole, ``from_step`` on, or ``only_failed``.

    ``inputs`` replace those of the same name; they are for a whole rerun. ``no_cache`` as for a submit.
    """

    execution: str
    of: str
    from_step: str | None = None
    only_failed: bool = False
    inputs: dict[str, Any] = {}
    no_cache: bool = False


class Archive(Command, frozen=True, kw_only=True):
    """Move now what ended longer ago than ``older_than_s`` seconds; by default than the scheduler's own limit."""

    older_than_s: float | None = None


# ---- to the scheduler, about schedules


class SetSchedule(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Run this workflow at the times its ``schedule`` says, under this name. What had the name gives it up."""

    name: str
    workflow: dict[str, Any]
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}


class PauseSchedule(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Do not run it until it is resumed."""

    name: str
    reason: str = ""


class ResumeSchedule(Command, frozen=True, kw_only=True):
    """Run it again, from its next time on."""

    name: str


class RemoveSchedule(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Do not run it any more."""

    name: str
    reason: str = ""


class TriggerSchedule(Command, frozen=True, kw_only=True):
    """Run it once now, as this execution."""

    name: str
    execution: str


# ---- to a machine


class AttemptTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase may take, in seconds, and how long a container may take to stop when asked."""

    pull: float
    start: float
    load: float
    run: float
    grace: float


class AttemptResources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the attempt may use: 0 means no limit for cpus (cores) and memory (bytes)."""

    slots: int = 1
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0


class AttemptOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt to run, with every expression already evaluated. ``inputs`` go to the file $MUSTER_INPUT.

    ``files`` are what is put into /muster/in, by name; inputs, command and environment speak of them by these paths.
    """

    execution: str
    step: str
    attempt: int
    workflow: str
    container: ContainerSpec
    timeouts: AttemptTimeouts
    resources: AttemptResources = AttemptResources()
    inputs: dict[str, Any] = {}
    outputs: dict[str, Output] = {}
    context: Any = None
    gives_result: bool = False
    files: dict[str, Artifact] = {}

    @property
    def ref(self) -> AttemptRef:
        """The attempt's name."""
        return AttemptRef(self.execution, self.step, self.attempt)

    @property
    def makes_files(self) -> bool:
        """Whether any of its outputs is a file that it makes."""
        return any(output.path is not None for output in self.outputs.values())


class Start(Command, frozen=True, kw_only=True):
    """Start these attempts. ``session`` is the connection they were meant for; an agent with another ignores them."""

    session: int
    attempts: list[AttemptOrder]


class Stop(Command, frozen=True, kw_only=True):
    """Stop these attempts, also those whose start has not come yet."""

    attempts: list[AttemptRef]
    reason: str = ""


VERBS: Final[dict[str, type[Command]]] = {
    "submit": Submit,
    "cancel": Cancel,
    "resume": Resume,
    "rerun": Rerun,
    "clear": Clear,
    "archive": Archive,
    "set-schedule": SetSchedule,
    "pause-schedule": PauseSchedule,
    "resume-schedule": ResumeSchedule,
    "remove-schedule": RemoveSchedule,
    "trigger-schedule": TriggerSchedule,
    "start": Start,
    "stop": Stop,
}


# ---- beside commands: what is neither command nor history


class FunctionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container with a function, as its agent sees it now.

    ``running`` are the calls under way, ``calls`` all there were, ``failed`` those of them that gave no value.
    ``load_s`` is how long loading took, ``call_s`` how long a call took in the mean. ``execution`` is the only one it
    serves; ``params`` stands for what it was loaded with: equal where that is.
    """

    function: str
    image: str = ""
    container: str = ""
    state: Literal["loading", "idle", "busy"] = "idle"
    concurrency: int = 1
    running: int = 0
    calls: int = 0
    failed: int = 0
    load_s: float = 0.0
    call_s: float = 0.0
    since: datetime | None = None
    used_at: datetime | None = None
    execution: str = ""
    params: str = ""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One beat. ``session`` is the sequence of the machine's connection; ``leaving`` is a scheduler's goodbye."""

    name: str
    sequence: int
    session: int
    interval_s: float
    time: datetime
    running: list[AttemptRef] = []
    load: float | None = None
    outbox: int = 0
    leaving: bool = False
    functions: list[FunctionStatus] = []


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line a container wrote; ``text`` has no line end and is at most the configured length."""

    time: datetime
    stream: str
    text: str
