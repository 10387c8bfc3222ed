"""One attempt on its way: pull, start, load, run. The agent reports; it never decides to try again.

Whatever goes wrong on the way ends this attempt and nothing else; see ``mishaps``.
"""

from __future__ import annotations

import asyncio
import logging

from muster.model.errors import ErrorInfo, MusterError, StepTimeoutError
from muster.model.log.catalogue import (
    AttemptFailed,
    AttemptFinished,
    AttemptRef,
    AttemptStopped,
    Body,
)
from muster_agents import mishaps
from muster_agents.contained import Contained
from muster_agents.course import Course, Phases, Scene
from muster_agents.devices import Devices
from muster_agents.files import Files
from muster_agents.functions.call import Call
from muster_agents.functions.instance import Instance
from muster_agents.functions.pool import Pool
from muster_agents.logs import LogStream
from muster_agents.options import AgentOptions
from muster_agents.outbox import Held, Outbox
from muster_agents.runtimes.interface import Found, Runtime

log = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The attempt was asked to end."""


class Attempt:
    """Takes one order through its course and tells the outbox. It is its container's ``Ears``, if it has one alone.

    Whoever makes it runs ``live`` in a task of its own. It ends by itself, or by ``stop``; cancelling the task abandons
    the attempt: nothing is written and the container goes on. ``found`` is the container to go on with.
    """

    def __init__(
        self,
        held: Held,
        runtime: Runtime,
        pool: Pool,
        outbox: Outbox,
        lines: LogStream,
        files: Files,
        options: AgentOptions,
        devices: Devices,
        found: Found | Instance | None = None,
    ) -> None:
        self.order = held.order
        self.ref: AttemptRef = held.order.ref
        self._outbox = outbox
        self.lines = lines
        self._files = files
        self._options = options
        self._phases = Phases()
        self._task: asyncio.Task[object] | None = None
        self._stop_reason: str | None = None
        self._stop_cause: str | None = None
        scene = Scene(held.order, held.told, self.report, lines, files, options, self._phases)
        self._course: Course
        if isinstance(found, Instance) or (found is None and held.order.container.function is not None):
            self._course = Call(scene, pool, exits=runtime.reports_containers, found=found)
        else:
            self._course = Contained(scene, runtime, devices, self, found, room=pool.fit)

    # ---- Ears

    async def report(self, body: Body) -> None:
        """Something happened."""
        await self._outbox.put(body, self.ref)

    def print(self, stream: str, chunk: bytes) -> None:
        """The container printed this."""
        self.lines.print(stream, chunk)

    # ---- the life

    async def live(self) -> tuple[Body, str | None]:
        """From the first phase, or from the container that was found, to the end.

        Gives the last fact, to be written when its room is free, and what caused it.
        """
        try:
            return await self._interruptible(), None
        except _StoppedError:
            await self._halt()
            stopped = AttemptStopped(reason=self._stop_reason or "", seconds=self._phases.seconds)
            return stopped, self._stop_cause
        except MusterError as error:
            await self._halt()
            return self._failed(error), None
        except Exception as error:  # a defect, or the disk: the scheduler must hear of it all the same
            failed = self.mishap(error)
            await self._halt()
            return failed, None

    def mishap(self, error: Exception) -> AttemptFailed:
        """What it ends with where nobody foresaw ``error``."""
        return self._failed(mishaps.failed(error, f"attempt {self.ref.attempt} of {self.ref.step}"))

    def stop(self, reason: str, cause: str | None = None) -> None:
        """End it, whatever it does now."""
        if self._stop_reason is not None:
            return
        self._stop_reason, self._stop_cause = reason, cause
        if self._task is not None:
            self._task.cancel()

    async def _interruptible(self) -> AttemptFinished:
        if self._asked_to_stop():
            raise _StoppedError
        self._task = task = asyncio.current_task()
        try:
            return await self._course.run()
        except asyncio.CancelledError:
            if not self._asked_to_stop() or (task is not None and task.uncancel() > 0):
                raise  # the agent itself is being ended
            raise _StoppedError from None
        finally:
            self._task = None

    def _asked_to_stop(self) -> bool:
        return self._stop_reason is not None

    async def _halt(self) -> None:
        """Leave nothing running."""
        try:
            await self._course.halt()
        except MusterError as error:
            log.error(f"{self.ref.step} could not be stopped: {error}")
        except Exception as error:  # its removal ends it, and is tried until that is done
            mishaps.failed(error, f"the stop of {self.ref.step}")

    async def remove(self) -> bool:
        """Leave nothing behind; whether that could be done. Never raises."""
        try:
            await self._files.release(self.ref)
            await self._course.remove()
        except Exception as error:  # the engine is away; where nobody tries again, the next start does
            log.error(f"what {self.ref.step} left could not be removed: {error}")
            return False
        return True

    async def destroy(self) -> None:
        """End and remove it at once, without a word in the log."""
        try:
            await self._course.destroy()
        except Exception as error:  # as above
            log.error(f"{self.ref.step} could not be stopped: {error}")
        await self.remove()

    def _failed(self, error: MusterError) -> AttemptFailed:
        return AttemptFailed(
            error=located(error, self.ref, self._options.name, self._phases.now),
            phase=self._phases.now,
            reason="timeout" if isinstance(error, StepTimeoutError) else "error",
            retriable=error.data.get("retriable", True),
            exit_code=error.data.get("exit_code"),
            seconds=self._phases.seconds,
        )


def located(error: MusterError, ref: AttemptRef, machine: str, phase: str) -> ErrorInfo:
    """The error as a value, with the place where it happened."""
    info = error.info(phase=phase, step=ref.step, machine=machine, attempt=ref.attempt)
    info.details.pop("retriable", None)  # said by the fact itself
    return info
