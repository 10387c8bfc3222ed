"""One attempt on its way: pull, start, load, run. The agent reports; it never decides to try again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

import msgspec

from muster.model.errors import (
    ErrorInfo,
    ExecutionError,
    MusterError,
    OutOfMemoryError,
    OutputError,
    StepTimeoutError,
)
from muster.model.log.catalogue import (
    AttemptFailed,
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    AttemptStopped,
    Body,
    ContainerExited,
    ContainerStarted,
    FunctionLoaded,
    FunctionLoading,
)
from muster.model.plan import calls, outputs, results
from muster.model.plan.artifacts import Artifact
from muster.model.plan.results import Result
from muster_agents.calls import Call
from muster_agents.devices import Devices
from muster_agents.files import Files
from muster_agents.logs import LogStream
from muster_agents.options import AgentOptions
from muster_agents.outbox import Held, Outbox
from muster_agents.runtimes.interface import Exit, Found, Run, Runtime

T = TypeVar("T")
Phase = Literal["pull", "start", "load", "run"]
ADOPTED_MIN_S: Final = 5.0
"""What is left of the run phase of an adopted attempt is at least this: one that ended in time was not late because
its agent was."""

log = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The attempt was asked to end."""


class Attempt:
    """Takes one order through a runtime and tells the outbox. It is its runtime's ``Ears``.

    Whoever makes it runs ``live`` in a task of its own. It ends by itself, or by ``stop``; cancelling the task abandons
    the attempt: nothing is written and the container goes on.
    """

    def __init__(
        self,
        held: Held,
        runtime: Runtime,
        outbox: Outbox,
        lines: LogStream,
        files: Files,
        options: AgentOptions,
        devices: Devices,
    ) -> None:
        self.order = held.order
        self.ref: AttemptRef = held.order.ref
        self._held = held
        self._runtime = runtime
        self._outbox = outbox
        self.lines = lines
        self._files = files
        self._made: dict[str, Artifact] = {}
        self._options = options
        self._devices = devices
        self._gpus: list[str] = []
        self._run: Run | None = None
        function = held.order.container.function
        self._call = None if function is None else Call(function)
        self._task: asyncio.Task[object] | None = None
        self._running = False
        self._stop_reason: str | None = None
        self._stop_cause: str | None = None
        self._phase: Phase = "pull"
        self._seconds: dict[str, float] = {}

    # ---- Ears

    async def report(self, body: Body) -> None:
        """Something happened."""
        await self._outbox.put(body, self.ref)

    def print(self, stream: str, chunk: bytes) -> None:
        """The container printed this."""
        if self._call is not None and stream == "stdout":
            chunk = self._call.hear(chunk)
        if chunk:
            self.lines.print(stream, chunk)

    # ---- the life

    async def live(self, found: Found | None = None) -> tuple[Body, str | None]:
        """From the first phase, or from the container that was found, to the end.

        Gives the last fact, to be written when its room is free, and what caused it.
        """
        self._run = (
            self._runtime.run(self.order, self)
            if found is None
            else self._runtime.adopt(self.order, found, self)
        )
        if found is not None:
            self._gpus = self._devices.hold(found.gpus)
        self._running = found is not None and found.running
        try:
            return self._finished(await self._interruptible(found)), None
        except _StoppedError:
            await self._halt()
            return AttemptStopped(reason=self._stop_reason or "", seconds=self._seconds), self._stop_cause
        except MusterError as error:
            await self._halt()
            return self._failed(error), None
        except Exception as error:  # a defect, or the disk: the scheduler must hear of it all the same
            log.exception("attempt %s of %s failed in an unforeseen way", self.ref.attempt, self.ref.step)
            await self._halt()
            return self._failed(MusterError(f"The agent failed: {type(error).__name__}: {error}")), None

    def stop(self, reason: str, cause: str | None = None) -> None:
        """End it, whatever it does now."""
        if self._stop_reason is not None:
            return
        self._stop_reason, self._stop_cause = reason, cause
        if self._task is not None:
            self._task.cancel()

    async def _interruptible(self, found: Found | None) -> Exit:
        if self._asked_to_stop():
            raise _StoppedError
        self._task = task = asyncio.current_task()
        try:
            return await self._phases(found)
        except asyncio.CancelledError:
            if not self._asked_to_stop() or (task is not None and task.uncancel() > 0):
                raise  # the agent itself is being ended
            raise _StoppedError from None
        finally:
            self._task = None

    def _asked_to_stop(self) -> bool:
        return self._stop_reason is not None

    async def _phases(self, found: Found | None) -> Exit:
        run, limits, told = self._run, self.order.timeouts, self._held.told
        assert run is not None
        if found is None:
            await self._in_phase("pull", limits.pull, lambda: self._pull(run))
            await self._in_phase("start", limits.start, lambda: self._start(run))
            if (early := await self._load()) is not None:
                return early
            await self.report(AttemptStarted())
            limit = limits.run
        else:
            if (early := await self._catch_up(found)) is not None:
                return early
            limit = max(limits.run - _since(told.get(AttemptStarted.kind)), ADOPTED_MIN_S)
        exited = await self._in_phase("run", limit, self._wait)
        self._running = False
        if found is not None:
            self._seconds["run"] = round(_since(told.get(AttemptStarted.kind)), 6)
        await self._report_exit(exited)
        await self._keep_files(run, exited)
        return exited

    async def _pull(self, run: Run) -> None:
        await run.pull()
        if self.order.files:
            run.bring(await self._files.bring(self.order, self.report))

    async def _start(self, run: Run) -> None:
        if wanted := self.order.resources.gpus:
            self._gpus = await self._devices.take(wanted)
            run.use(self._gpus)
        self._running = True
        await run.start()

    async def _keep_files(self, run: Run, exited: Exit) -> None:
        """Store what the step made: an attempt that is finished has all its files in the store."""
        well = exited.exit_code == 0 and not exited.oom_killed
        if any(output.path is not None for output in self.order.outputs.values()) and well:
            self._made = await self._files.keep(self.order, run, self.report)

    async def _wait(self) -> Exit:
        assert self._run is not None
        return await (self._run.wait() if self._call is None else self._call.wait(self._run, self.report))

    async def _load(self) -> Exit | None:
        """Until the function can be called, if it is one. How it ended, where it ended before."""
        run, call, told = self._run, self._call, self._held.told
        if run is None or call is None or FunctionLoaded.kind in told:
            return None
        known = FunctionLoading.kind in told
        exited = await self._in_phase(
            "load", self.order.timeouts.load, lambda: call.load(run, self.report, told=known)
        )
        if exited is not None:
            self._running = False
            await self._report_exit(exited)
        return exited

    async def _report_exit(self, exited: Exit) -> None:
        if self._runtime.reports_containers and ContainerExited.kind not in self._held.told:
            await self.report(self._exited(exited))

    async def _catch_up(self, found: Found) -> Exit | None:
        """Write what the agent before had no time to write. How it ended, where it did before it could be called."""
        self._phase = "run"
        if self._runtime.reports_containers and ContainerStarted.kind not in self._held.told:
            await self.report(ContainerStarted(container=found.container))
        if (early := await self._load()) is not None:
            return early
        if AttemptStarted.kind not in self._held.told:
            await self.report(AttemptStarted())
        return None

    async def _in_phase(self, phase: Phase, limit: float, work: Callable[[], Awaitable[T]]) -> T:
        self._phase = phase
        began = time.monotonic()
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await work()
        except TimeoutError:
            if not scope.expired():
                raise
            raise StepTimeoutError(
                f"The {phase} phase took longer than its timeout of {limit:g} s.", limit_s=limit
            ) from None
        finally:
            self._seconds[phase] = round(time.monotonic() - began, 6)

    async def _halt(self) -> None:
        """Leave nothing running."""
        if self._run is None or not self._running:
            return
        try:
            await self._run.stop(self.order.timeouts.grace)
        except MusterError as error:
            log.error(f"{self.ref.step} could not be stopped: {error}")
        self._running = False

    async def remove(self) -> None:
        """Leave nothing behind. Never raises."""
        if self._run is None:
            return
        try:
            if self._call is not None:
                self._call.close()
            await self._files.release(self.ref)
            await self._run.remove()
        except Exception as error:  # the attempt is over; what stays is an orphan for the next start
            log.error(f"what {self.ref.step} left could not be removed: {error}")
        finally:
            self._devices.give(self._gpus)
            self._gpus = []

    async def destroy(self) -> None:
        """End and remove it at once, without a word in the log."""
        if self._run is not None:
            try:
                await self._run.stop(0.0)
            except MusterError as error:
                log.error(f"{self.ref.step} could not be stopped: {error}")
        await self.remove()

    # ---- what is told at the end

    def _exited(self, exited: Exit) -> ContainerExited:
        return ContainerExited(
            container=exited.container,
            exit_code=exited.exit_code,
            oom_killed=exited.oom_killed,
            seconds=self._seconds.get(self._phase, 0.0),
            cpu_s=exited.cpu_s,
            memory_peak=exited.memory_peak,
        )

    def _finished(self, exited: Exit) -> AttemptFinished:
        if exited.oom_killed:
            raise OutOfMemoryError(exit_code=exited.exit_code, memory=self.order.resources.memory)
        if self._call is not None:
            return self._called(self._call, exited)
        if exited.exit_code != 0:
            self.lines.close()
            raise ExecutionError(
                f"The command ended with exit code {exited.exit_code}.",
                exit_code=exited.exit_code,
                tail=self.lines.tail,
            )
        if (result := results.read(exited.document)) is not None:
            return self._said(result, exited)
        return AttemptFinished(
            outputs=self._outputs(exited) if self.order.outputs else {},
            exit_code=exited.exit_code,
            seconds=self._seconds,
        )

    def _called(self, call: Call, exited: Exit) -> AttemptFinished:
        if exited.document is None:
            self.lines.close()
            raise calls.unanswered(
                call.function, exited.exit_code, self.lines.tail, loaded=self._phase == "run"
            )
        if len(exited.document) > self._options.output_bytes:
            raise OutputError(f"What the function gave is larger than {self._options.output_bytes} bytes.")
        answer = calls.answer(exited.document, call.function, self.order.outputs, self._made)
        if not isinstance(answer, dict):
            return self._said(answer, exited)
        return AttemptFinished(outputs=answer, exit_code=exited.exit_code, seconds=self._seconds)

    def _said(self, result: Result, exited: Exit) -> AttemptFinished:
        if result.kind == "failure":
            text = result.reason or "The step says that it failed."
            raise ExecutionError(text, value=result.value, exit_code=exited.exit_code, retriable=False)
        return AttemptFinished(result=result, exit_code=exited.exit_code, seconds=self._seconds)

    def _outputs(self, exited: Exit) -> dict[str, Any]:
        limit = self._options.output_bytes
        for what, found in (("$MUSTER_OUTPUT", exited.document), ("stdout", exited.stdout)):
            if found is not None and len(found) > limit:
                raise OutputError(f"The outputs in {what} are larger than {limit} bytes.")
        values = outputs.collect(self.order.outputs, exited.document, exited.stdout, self._made)
        if len(msgspec.json.encode(values)) > limit:
            raise OutputError(f"The outputs are larger than {limit} bytes.")
        return values

    def _failed(self, error: MusterError) -> AttemptFailed:
        return AttemptFailed(
            error=located(error, self.ref, self._options.name, self._phase),
            phase=self._phase,
            reason="timeout" if isinstance(error, StepTimeoutError) else "error",
            retriable=error.data.get("retriable", True),
            exit_code=error.data.get("exit_code"),
            seconds=self._seconds,
        )


def located(error: MusterError, ref: AttemptRef, machine: str, phase: str) -> ErrorInfo:
    """The error as a value, with the place where it happened."""
    info = error.info(phase=phase, step=ref.step, machine=machine, attempt=ref.attempt)
    info.details.pop("retriable", None)  # said by the fact itself
    return info


def _since(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds())
