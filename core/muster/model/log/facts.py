"""What agents write: facts about their machine and about the attempts it runs."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from muster.model.definition.workflow import Isolation
from muster.model.errors import ErrorInfo
from muster.model.log.body import AttemptRef, Body, event
from muster.model.plan.results import Result

AGENT_ENDS: Final = "agent ends"
"""Why attempts are stopped when their agent ends. Those with long grace periods end last and the goodbye comes after
them: until then nothing must be given to that machine."""

# ---- agent: machines


class Gpu(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One graphics processor as its driver names it. ``id``: what an engine knows it by, if known."""

    name: str
    memory: int = 0
    id: str = ""


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


class LoadedFunction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container in which a function is loaded and which takes ``concurrency`` calls at once.

    ``execution`` is the only one it serves, where the step asks for that.
    """

    function: str
    image: str = ""
    container: str = ""
    concurrency: int = 1
    execution: str = ""


@event("machine.connected", "agent")
class MachineConnected(Body, frozen=True):
    """The agent of a machine took its place; every event it writes from here on is fenced by this one.

    ``attempts`` are all attempts this agent still answers for (running, or with facts not yet sent); an attempt
    accepted earlier on this machine that is not among them is lost. ``instance`` is new for every start.
    ``functions`` are all that are loaded here: of any other that was, the container is gone. Null is said by an agent
    that keeps none.
    """

    instance: str
    facts: MachineFacts
    interval_s: float
    attempts: list[AttemptRef] = []
    software: str = ""
    functions: list[LoadedFunction] | None = None


@event("machine.disconnected", "agent")
class MachineDisconnected(Body, frozen=True):
    """The agent said goodbye."""

    reason: str = ""


# ---- agent: phases of an attempt, shown to people by Hyko's names


@event("attempt.accepted", "agent")
class AttemptAccepted(Body, frozen=True):
    """The agent has the attempt and begins its phases."""


@event("image.pulling", "agent", "Pulling Image")
class ImagePulling(Body, frozen=True):
    """The image is looked for, and pulled where it is not there."""

    image: str


@event("image.pulled", "agent", "Image Pulled")
class ImagePulled(Body, frozen=True):
    """The image is there; ``cached`` if nothing had to be pulled. ``size`` is its size on disk in bytes."""

    image: str
    digest: str = ""
    cached: bool = False
    size: int = 0
    seconds: float = 0.0


@event("container.starting", "agent", "Starting Container")
class ContainerStarting(Body, frozen=True):
    """The container is created and started."""

    image: str
    digest: str = ""


@event("container.started", "agent")
class ContainerStarted(Body, frozen=True):
    """The container runs."""

    container: str
    seconds: float = 0.0


@event("container.exited", "agent")
class ContainerExited(Body, frozen=True):
    """The container ended. ``signal`` where the process runtime knows it; resource use where the engine tells."""

    container: str
    exit_code: int
    oom_killed: bool = False
    seconds: float = 0.0
    cpu_s: float | None = None
    memory_peak: int | None = None


@event("function.loading", "agent", "Loading Function")
class FunctionLoading(Body, frozen=True):
    """The function's load began, in this container."""

    function: str
    container: str = ""


@event("function.loaded", "agent", "Function Loaded")
class FunctionLoaded(Body, frozen=True):
    """The function is loaded and can be called, ``concurrency`` times at once, until ``function.unloaded``.

    ``isolation``: who may call it in this container. With ``execution`` only this execution, with ``call`` only this
    attempt; then the container goes with it, and nothing is said of that.
    """

    function: str
    seconds: float = 0.0
    container: str = ""
    image: str = ""
    concurrency: int = 1
    isolation: Isolation = "shared"


@event("function.unloaded", "agent")
class FunctionUnloaded(Body, frozen=True):
    """A container in which a function was loaded is gone after so many ``calls``; it was loaded ``seconds`` ago.

    ``reason``: nobody called it for long (idle), others needed its place (evicted) or the host its memory (memory), it
    ended by itself (crashed) or did not answer (unhealthy), nobody else may call it (isolation), or its agent ends, or
    had to end it to end a call (stopped).
    """

    function: str
    image: str = ""
    container: str = ""
    reason: Literal["idle", "evicted", "memory", "crashed", "unhealthy", "isolation", "stopped"] = "idle"
    calls: int = 0
    seconds: float = 0.0


@event("attempt.started", "agent", "Execution Started")
class AttemptStarted(Body, frozen=True):
    """The run phase began. ``warm``: it is a call into a ``container`` whose function was loaded for one before."""

    container: str = ""
    warm: bool = False


@event("attempt.progress", "agent")
class AttemptProgress(Body, frozen=True):
    """How far a phase has come, at most about once a second: ``current`` of ``total`` in ``unit``."""

    phase: str
    current: float
    total: float | None = None
    unit: str = ""
    message: str = ""


@event("attempt.finished", "agent", "Execution Finished")
class AttemptFinished(Body, frozen=True):
    """The run phase ended well; ``seconds`` by phase. ``result``: what the container asked for instead of outputs."""

    result: Result | None = None
    outputs: dict[str, Any] = {}
    exit_code: int | None = None
    seconds: dict[str, float] = {}


@event("attempt.failed", "agent", "Execution Failed")
class AttemptFailed(Body, frozen=True):
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


@event("attempt.stopped", "agent", "Execution Stopped")
class AttemptStopped(Body, frozen=True):
    """The attempt was stopped on command, or because the agent was cut off or ends. It left nothing running."""

    reason: str = ""
    seconds: dict[str, float] = {}
