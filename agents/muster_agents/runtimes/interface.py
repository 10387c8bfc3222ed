"""What an agent asks of a runtime: take one attempt through its phases and tell what happens.

The agent owns deadlines, stop requests, facts and logs; the runtime owns the container or process. A runtime reports
by awaiting ``report(body)`` with the bodies of the event catalogue (image.*, container.*, attempt.progress) in the
order in which things happen, and writes what the container prints through ``print``. It raises MusterErrors of the
taxonomy, with ``retriable`` as a data attribute set to False where trying again cannot help; the agent adds phase,
step, machine and attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from muster.model.definition.workflow import ContainerSpec
from muster.model.log.catalogue import AttemptRef, Body, MachineFacts
from muster.model.log.commands import AttemptOrder, AttemptResources

Report = Callable[[Body], Awaitable[None]]
"""Told that something happened."""


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How the run phase ended. ``document`` is the JSON text found at $MUSTER_OUTPUT, ``stdout`` what was printed.

    ``document`` is None where no file was written; ``stdout`` is kept only for steps with an output from stdout,
    up to the configured size.
    """

    container: str
    exit_code: int
    oom_killed: bool = False
    document: bytes | None = None
    stdout: bytes | None = None
    cpu_s: float | None = None
    memory_peak: int | None = None


class Ears(Protocol):
    """Who listens to a runtime while it takes an attempt through its phases."""

    async def report(self, body: Body) -> None:
        """Something happened."""
        ...

    def print(self, stream: str, chunk: bytes) -> None:
        """The container printed this on ``stdout`` or ``stderr``. Never blocks; may be called from the loop only."""
        ...


class Run(Protocol):
    """One attempt in a runtime. The phases are called in order, each at most once, each under its own deadline.

    A cancelled call leaves the attempt in a state in which ``stop`` and ``remove`` work.
    """

    async def pull(self) -> None:
        """Make the image available; report image.pulling and image.pulled, and progress between. ImagePullError."""
        ...

    def bring(self, files: Mapping[str, Path]) -> None:
        """Called before ``start`` where there are any: copy these files of the host to /muster/in, by these names."""
        ...

    def use(self, gpus: Sequence[str]) -> None:
        """Called before ``start`` where the step asks for GPUs: these of the machine, by id (empty: not known)."""
        ...

    async def start(self) -> None:
        """Create and start; report container.starting and container.started. ContainerStartingError."""
        ...

    async def wait(self) -> Exit:
        """Wait for the end of the run phase. The agent reports container.exited from what this returns."""
        ...

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """Copy /muster/out/``path`` to ``target`` after the end; its sha256 in hexadecimal digits, and its size.

        None where it is not there. Raises OutputError where it is no plain file, or larger than ``bytes_max``.
        """
        ...

    async def stop(self, grace_s: float) -> None:
        """Ask the container to end, kill it after ``grace_s``. Nothing happens if it does not run."""
        ...

    async def remove(self) -> None:
        """Leave nothing behind. Never raises for what is already gone."""
        ...


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A container of this machine's name that was there when the agent started.

    ``started`` is false for one that was created and never ran: its exit state means nothing. ``gpus`` are those that
    it has.
    """

    ref: AttemptRef
    container: str
    running: bool
    started: bool = True
    gpus: list[str] = []


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a container of a function is made of. ``instance`` names it, ``execution`` is who has it alone, if anybody.

    ``gpus`` are the devices it gets, by the names that the runtime's facts give them.
    """

    instance: str
    container: ContainerSpec
    resources: AttemptResources = AttemptResources()
    execution: str = ""
    gpus: list[str] = []


class FoundServing(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a function with this machine's name, that was there when the agent started."""

    instance: str
    container: str
    running: bool


class Serving(Protocol):
    """A container that serves a function: loaded once, called many times, over its stdin and stdout.

    ``pull`` and ``start`` are called in this order, each at most once, each under its caller's deadline; an adopted one
    begins after them. A cancelled call leaves it in a state in which ``stop`` and ``remove`` work.
    """

    @property
    def container(self) -> str:
        """The engine's name of it; empty before it is made."""
        ...

    @property
    def digest(self) -> str:
        """Of its image, as ``Runtime.digest`` says it; empty where there are no images, and before ``pull``."""
        ...

    async def pull(self) -> None:
        """Make the image available; report image.pulling and image.pulled, and progress between. ImagePullError."""
        ...

    async def start(self) -> None:
        """Create and start; report container.starting and container.started. ContainerStartingError."""
        ...

    async def send(self, line: bytes) -> None:
        """Write to its stdin, whole and in order, and wait until it is taken. AttemptLostError where it is gone.

        A call that is cancelled before its turn sends nothing; one whose line is partly written goes on being written.
        """
        ...

    def folders(self, call: str) -> tuple[str, str]:
        """Where ``put`` puts the files of a call, as the function sees them; they need not be there."""
        ...

    async def put(self, call: str, files: Mapping[str, Path]) -> tuple[str, str]:
        """Fill the folders of a call; the folders ``in`` and ``out`` as the function sees them.

        ``call`` is a name fit for a folder. Raises ContainerStartingError, AttemptLostError.
        """
        ...

    async def wait(self) -> Exit:
        """Its end. AttemptLostError where somebody else removed it."""
        ...

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """Copy /muster/out/``path`` to ``target`` while it runs; its sha256 in hexadecimal digits, and its size.

        None where it is not there. Raises OutputError where it is no plain file, or larger than ``bytes_max``.
        """
        ...

    async def stop(self, grace_s: float) -> None:
        """Ask the container to end, kill it after ``grace_s``. Nothing happens if it does not run."""
        ...

    async def remove(self) -> None:
        """Leave nothing behind. Never raises for what is already gone."""
        ...


class ServesFunctions(Protocol):
    """What a runtime does for functions."""

    async def find_servings(self) -> list[FoundServing]:
        """The containers of functions with this machine's labels."""
        ...

    async def digest(self, image: str) -> str | None:
        """Of the image as it is here; None where it is not here, empty where there are no images."""
        ...

    def serve(self, launch: Launch, ears: Ears) -> Serving:
        """A new container for a function; nothing has happened yet."""
        ...

    def adopt_serving(self, launch: Launch, found: FoundServing, ears: Ears) -> Serving:
        """One that was started before. What it printed comes again, as far as its log goes back; then it goes on."""
        ...

    async def discard_serving(self, found: FoundServing) -> None:
        """Stop and remove a container nobody answers for."""
        ...


class Runtime(ServesFunctions, Protocol):
    """Runs attempts, and serves functions."""

    name: str
    reports_containers: bool

    async def open(self) -> None:
        """Check that it can be used. Raises a MusterError that says what to do where it cannot."""
        ...

    async def facts(self) -> Mapping[str, Any]:
        """What this runtime knows for MachineFacts (engine, engine_version, gpus)."""
        ...

    async def find(self) -> list[Found]:
        """The containers with this machine's labels."""
        ...

    def run(self, order: AttemptOrder, ears: Ears) -> Run:
        """A new attempt; nothing has happened yet."""
        ...

    def adopt(self, order: AttemptOrder, found: Found, ears: Ears) -> Run:
        """An attempt that was started before: its next phase is ``wait``; earlier output lines may come again."""
        ...

    async def discard(self, found: Found) -> None:
        """Stop and remove a container nobody answers for."""
        ...

    async def close(self) -> None:
        """Release what the runtime holds; containers go on."""
        ...


RuntimeFactory = Callable[[str, MachineFacts], Awaitable[Runtime]]
