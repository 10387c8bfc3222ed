"""The real engine for a test: scheduler, agents and log in this process, and a clock the test puts forward.

    with Engine(tmp_path) as engine:
        run = engine.run("workflow.yaml", {"text": "…"}).result()
        assert run.status == "succeeded"

What a step runs is really run, as a process of this machine; with ``runtime="noop"`` nothing is, and each step succeeds
at once. What takes time gives a ``Pending``: ``await`` it, or ask for its ``result()``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeGuard

from muster.client.definition import Definition
from muster.client.follower import ExecutionView
from muster.client.recording import record
from muster.model.definition.quantities import seconds as parsed
from muster.model.errors import InvalidArgumentError
from muster.model.log.envelope import Recorded
from muster.model.policy import Policy
from muster.model.proof import fixture
from muster.testing.background import Background, Pending
from muster.testing.stage import Stage

RUNTIMES: Final = ("process", "noop")  # those that need nothing else on the machine
TIMEOUT_S: Final = 30.0  # real seconds; a test that waits longer is stuck
START_LIMIT_S: Final = 60.0

Duration = str | float | timedelta
"""``"2h"``, seconds, or a timedelta."""


class EngineClock:
    """The engine's clock: it goes with the real one, and can be put forward."""

    def __init__(self, background: Background, stage: Stage) -> None:
        self._background = background
        self._stage = stage

    def now(self) -> datetime:
        """What time it is for the engine, UTC."""
        return self._stage.clock.now()

    def advance(self, by: Duration) -> Pending[None]:
        """Let time pass for the engine: timers fire, machines beat, and what is lost is noticed, as in real time."""
        length = by.total_seconds() if isinstance(by, timedelta) else parsed(by)
        return self._background.begin(self._stage.advance(length))


class Engine:
    """One engine with a log of its own. ``machines`` are options of agents by name; by default one, ``m1``."""

    def __init__(
        self,
        folder: Path,
        *,
        runtime: str = "process",
        machines: Mapping[str, Mapping[str, Any]] | None = None,
        policy: Mapping[str, Any] | None = None,
        resolve: Callable[[Path], Path] = Path.absolute,
    ) -> None:
        if runtime not in RUNTIMES:
            raise InvalidArgumentError(
                f"There is no runtime {runtime!r} for tests.", remedy=f"Take one of {', '.join(RUNTIMES)}."
            )
        named = {"m1": {}} if machines is None else machines
        self._machines = {name: dict(options) for name, options in named.items()}
        self._resolve = resolve
        made = Policy(**policy or {})
        self._background = Background("muster-testing")
        try:
            self._stage = self._background.begin(_staged(folder, self._background, runtime, made)).result()
            self.clock = EngineClock(self._background, self._stage)
        except BaseException:
            self._background.close()
            raise

    def open(self) -> Self:
        """Start it and wait until it works."""
        try:
            self._background.begin(self._stage.open(self._machines)).result(START_LIMIT_S)
        except BaseException:
            self._background.close()
            raise
        return self

    def close(self) -> None:
        """Stop it. Raises what ended a part of it before its time."""
        try:
            self._background.begin(self._stage.close()).result(START_LIMIT_S)
        finally:
            self._background.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- executions

    def run(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout: float = TIMEOUT_S,
        skip_waits: bool = True,
        **submission: Any,
    ) -> Pending[ExecutionView]:
        """Submit and wait for the end; see ``submit`` and ``wait``."""

        async def work() -> ExecutionView:
            execution = await self._submitted(workflow, inputs, submission)
            return await self._stage.wait(execution, timeout, skip_waits=skip_waits)

        return self._background.begin(work())

    def submit(
        self, workflow: Definition, inputs: Mapping[str, Any] | None = None, **submission: Any
    ) -> Pending[str]:
        """Submit; the execution's id once it is accepted.

        ``workflow`` is a file (its name is relative to the test), YAML or JSON text, or an object; ``submission`` are
        ``execution``, ``labels`` and ``metadata``. What is not valid raises what ``Client.submit`` raises.
        """
        return self._background.begin(self._submitted(workflow, inputs, submission))

    async def _submitted(
        self, workflow: Definition, inputs: Mapping[str, Any] | None, submission: dict[str, Any]
    ) -> str:
        named = self._resolve(Path(workflow)) if _is_file(workflow) else workflow
        return await self._stage.client.submit(named, inputs, **submission)

    def wait(
        self, execution: str, *, timeout: float = TIMEOUT_S, skip_waits: bool = True
    ) -> Pending[ExecutionView]:
        """Everything about the execution once it has ended.

        With ``skip_waits`` the clock is put forward over backoffs and other waiting, as soon as nothing else goes on.
        Raises ExecutionTimeoutError after ``timeout`` real seconds.
        """
        return self._background.begin(self._stage.wait(execution, timeout, skip_waits=skip_waits))

    def until(
        self, execution: str, kind: str, *, count: int = 1, timeout: float = TIMEOUT_S
    ) -> Pending[ExecutionView]:
        """The execution as soon as it has had ``count`` events of this kind, such as ``step.retrying``."""
        return self._background.begin(self._stage.until(execution, kind, count, timeout))

    def state(self, execution: str) -> Pending[ExecutionView]:
        """Everything about the execution as it stands."""
        return self._background.begin(self._stage.client.state(execution))

    def cancel(self, execution: str, reason: str = "") -> Pending[str]:
        """Cancel; the outcome that was decided."""
        return self._background.begin(self._stage.client.cancel(execution, reason))

    def events(self, execution: str | None = None) -> Pending[list[Recorded]]:
        """The events of the execution, or of everything, in the order of the log."""

        async def work() -> list[Recorded]:
            return [recorded async for recorded in self._stage.client.events(execution)]

        return self._background.begin(work())

    def lines(self, execution: str, step: str | None = None) -> Pending[list[str]]:
        """What the execution's steps printed."""

        async def work() -> list[str]:
            return [line.text async for _, _, line in self._stage.client.logs(execution, step)]

        return self._background.begin(work())

    def recording(self, execution: str) -> Pending[list[Recorded]]:
        """The recording of the execution, as ``muster events EXECUTION --json`` writes it."""
        return self._background.begin(record(self._stage.client.broker.history, execution))

    def save(self, execution: str, path: str | Path) -> None:
        """Write the recording of the execution into a fixture, for ``muster_replay``."""
        lines = [fixture.line(recorded) for recorded in self.recording(execution).result(TIMEOUT_S)]
        self._resolve(Path(path)).write_bytes(b"\n".join(lines) + b"\n")

    # ---- machines

    def start_machine(self, name: str, **options: Any) -> Pending[None]:
        """Start a machine, new or stopped or lost before, with options of an agent: ``slots=2``, ``labels={…}``."""
        return self._background.begin(self._stage.start(name, options))

    def stop_machine(self, name: str) -> Pending[None]:
        """Let a machine stop what it runs, say goodbye and end."""
        return self._background.begin(self._stage.stop(name))

    def lose_machine(self, name: str) -> Pending[None]:
        """Take a machine away without a word. The engine notices by its missing beats, as time passes."""
        return self._background.begin(self._stage.lose(name))


def _is_file(workflow: Definition) -> TypeGuard[Path | str]:
    """Whether it names a file; YAML text of one line with such an end is no workflow anyway."""
    return isinstance(workflow, Path) or (
        isinstance(workflow, str) and "\n" not in workflow and workflow.endswith((".yaml", ".yml", ".json"))
    )


async def _staged(folder: Path, background: Background, runtime: str, policy: Policy) -> Stage:
    return Stage(folder, background.loop, runtime, policy)
