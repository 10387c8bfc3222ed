"""An attempt with a container of its own: what runs a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from muster.model.errors import ExecutionError, OutOfMemoryError, OutputError
from muster.model.log.catalogue import AttemptFinished, AttemptStarted, ContainerExited, ContainerStarted
from muster.model.plan import outputs, results
from muster.model.plan.artifacts import Artifact
from muster.model.plan.results import Result
from muster_agents.course import ADOPTED_MIN_S, Scene, since
from muster_agents.devices import Devices
from muster_agents.runtimes.interface import Ears, Exit, Found, Run, Runtime


class Contained:
    """A ``Course``. ``ears`` listen to its container. ``found`` is one to go on with.

    ``room`` lets go what holds the room that it has been given: idle functions.
    """

    def __init__(
        self,
        scene: Scene,
        runtime: Runtime,
        devices: Devices,
        ears: Ears,
        found: Found | None,
        *,
        room: Callable[[], Awaitable[None]],
    ) -> None:
        self._scene = scene
        self._devices = devices
        self._room = room
        self._gpus: list[str] = [] if found is None else devices.hold(found.gpus)
        self._runtime = runtime
        self._found = found
        self._made: dict[str, Artifact] = {}
        order = scene.order
        self._run: Run = runtime.run(order, ears) if found is None else runtime.adopt(order, found, ears)
        self._running = found is not None and found.running

    async def run(self) -> AttemptFinished:
        """See ``Course.run``."""
        scene, run = self._scene, self._run
        limits, phases = scene.order.timeouts, scene.phases
        if self._found is None:
            await phases.within("pull", limits.pull, self._pull)
            await phases.within("start", limits.start, self._start)
            await scene.report(AttemptStarted())
            limit = limits.run
        else:
            phases.now = "run"
            await self._catch_up(self._found)
            limit = max(limits.run - since(scene.told.get(AttemptStarted.kind)), ADOPTED_MIN_S)
        exited = await phases.within("run", limit, run.wait)
        self._running = False
        if self._found is not None:
            phases.seconds["run"] = round(since(scene.told.get(AttemptStarted.kind)), 6)
        await self._report_exit(exited)
        await self._keep_files(exited)
        return self._finished(exited)

    async def _pull(self) -> None:
        scene = self._scene
        await self._room()
        await self._run.pull()
        if scene.order.files:
            self._run.bring(await scene.files.bring(scene.order, scene.report))

    async def _start(self) -> None:
        if wanted := self._scene.order.resources.gpus:
            self._gpus = await self._devices.take(wanted)
            self._run.use(self._gpus)
        self._running = True
        await self._run.start()

    async def _catch_up(self, found: Found) -> None:
        """Write what the agent before had no time to write."""
        scene = self._scene
        if self._runtime.reports_containers and ContainerStarted.kind not in scene.told:
            await scene.report(ContainerStarted(container=found.container))
        if AttemptStarted.kind not in scene.told:
            await scene.report(AttemptStarted())

    async def _report_exit(self, exited: Exit) -> None:
        if self._runtime.reports_containers and ContainerExited.kind not in self._scene.told:
            await self._scene.report(exit_fact(exited, self._scene.phases.seconds.get("run", 0.0)))

    async def _keep_files(self, exited: Exit) -> None:
        """Store what the step made: an attempt that is finished has all its files in the store."""
        scene = self._scene
        well = exited.exit_code == 0 and not exited.oom_killed
        if scene.order.makes_files and well:
            self._made = await scene.files.keep(scene.order, self._run, scene.report)

    # ---- the end

    async def halt(self) -> None:
        """See ``Course.halt``."""
        if self._running:
            self._running = False
            await self._run.stop(self._scene.order.timeouts.grace)

    async def remove(self) -> None:
        """See ``Course.remove``."""
        await self._run.remove()
        self._devices.give(self._gpus)
        self._gpus = []

    async def destroy(self) -> None:
        """See ``Course.destroy``."""
        await self._run.stop(0.0)

    def _finished(self, exited: Exit) -> AttemptFinished:
        scene = self._scene
        if exited.oom_killed:
            raise OutOfMemoryError(exit_code=exited.exit_code, memory=scene.order.resources.memory)
        if exited.exit_code != 0:
            scene.lines.close()
            raise ExecutionError(
                f"The command ended with exit code {exited.exit_code}.",
                exit_code=exited.exit_code,
                tail=scene.lines.tail,
            )
        seconds = scene.phases.seconds
        if (result := results.read(exited.document)) is not None:
            return finished_with(result, seconds, exit_code=exited.exit_code)
        return AttemptFinished(
            outputs=self._outputs(exited) if scene.order.outputs else {},
            exit_code=exited.exit_code,
            seconds=seconds,
        )

    def _outputs(self, exited: Exit) -> dict[str, Any]:
        limit = self._scene.options.output_bytes
        for what, found in (("$MUSTER_OUTPUT", exited.document), ("stdout", exited.stdout)):
            if found is not None and len(found) > limit:
                raise OutputError(f"The outputs in {what} are larger than {limit} bytes.")
        declared = self._scene.order.outputs
        values = outputs.collect(declared, exited.document, exited.stdout, self._made)
        if len(msgspec.json.encode(values)) > limit:
            raise OutputError(f"The outputs are larger than {limit} bytes.")
        return values


def exit_fact(exited: Exit, seconds: float) -> ContainerExited:
    """How a container ended, as it is told."""
    return ContainerExited(
        container=exited.container,
        exit_code=exited.exit_code,
        oom_killed=exited.oom_killed,
        seconds=seconds,
        cpu_s=exited.cpu_s,
        memory_peak=exited.memory_peak,
    )


def finished_with(
    result: Result, seconds: dict[str, float], *, exit_code: int | None = None
) -> AttemptFinished:
    """What a step asked for instead of giving outputs. Raises ExecutionError where it said that it failed."""
    if result.kind == "failure":
        text = result.reason or "The step says that it failed."
        data: dict[str, Any] = {} if exit_code is None else {"exit_code": exit_code}
        raise ExecutionError(text, value=result.value, retriable=False, **data)
    return AttemptFinished(result=result, exit_code=exit_code, seconds=seconds)
