"""One call of a function: what an attempt runs that has no container of its own.

    cold   pull → start → load → run     the container it made stays, and belongs to the pool
    warm                          run    a container that was there: attempt.started says which, and that it was
    again                         run    after the agent was killed in mid-call

The place in the container is given back before the end of the attempt is written: whoever reads that and sends the
next call finds the container free. A call with files, or with a container to itself, keeps them until it is written:
an agent that is killed in between must find them again. A call that fails because its container ended says how that
ended; the others in it do the same, each for itself.

A call that is found again has been sent, or its sender died just before. Its answer may be in what the container
printed meanwhile; where it is not, and the function says that it knows of no such call, it is sent again. A function
never sees an id twice while that call is under way, and ignores it if it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from muster import fault
from muster.model.errors import (
    FunctionCrashedError,
    InvalidArgumentError,
    MusterError,
    OutputError,
)
from muster.model.log.catalogue import (
    AttemptFinished,
    AttemptStarted,
    FunctionLoaded,
    FunctionLoading,
)
from muster.model.plan import artifacts, calls
from muster.model.plan.artifacts import Artifact
from muster_agents.contained import exit_fact, finished_with
from muster_agents.course import ADOPTED_MIN_S, Scene, since
from muster_agents.functions import failures, kinds
from muster_agents.functions.caller import EndedError
from muster_agents.functions.instance import Instance
from muster_agents.functions.pool import Pool
from muster_agents.functions.showing import for_one_call
from muster_agents.functions.telling import Telling
from muster_agents.functions.wire import RefusedError, TooLargeError
from muster_agents.runtimes.environment import folder_name


class Call:
    """A ``Course``, and the ``Caller`` of its container. ``found`` is the container it was sent to before."""

    def __init__(self, scene: Scene, pool: Pool, *, exits: bool, found: Instance | None = None) -> None:
        order = scene.order
        self.id = kinds.call_id(order)
        self._scene = scene
        self._pool = pool
        self._exits = exits
        self._instance = found
        self._again = found is not None
        self._making = self._placed = self._asked = self._filled = False
        self._answer: asyncio.Future[bytes] | None = None
        self._files: Mapping[str, Path] = {}
        self._telling = Telling(scene.report)
        self._function = order.container.function or ""
        self._folder = folder_name(order)
        if found is not None:  # before a word of it is heard
            found.begin(self.id, sent=True)
            self._listen(found)

    # ---- Caller

    def print(self, stream: str, chunk: bytes) -> None:
        """See ``Caller.print``."""
        self._scene.lines.print(stream, chunk)

    def told(self, method: str, params: Mapping[str, Any]) -> None:
        """See ``Caller.told``."""
        if method == "progress":
            self._telling.hear(params)
        elif method == "log":
            texts = [params.get(name) for name in ("level", "logger", "text")]
            level, logger, text = (one if isinstance(one, str) else "" for one in texts)
            self._scene.lines.say(level[:20] or "info", logger[:200], text)

    # ---- the course

    async def run(self) -> AttemptFinished:
        """See ``Course.run``."""
        try:
            if self._again:
                return await self._resumed()
            await self._bring()
            instance = await self._warm()
            warm = instance is not None
            if instance is None:
                instance = await self._cold()
            params = await self._params(instance)
            await self._scene.report(AttemptStarted(container=instance.container, warm=warm))
            limit = self._scene.order.timeouts.run
            return await self._called(limit, lambda: self._ask(instance, params))
        except EndedError as error:
            raise await self._crashed(error) from None
        except (RefusedError, TooLargeError) as error:
            raise self._refused(error) from None

    async def _bring(self) -> None:
        """Its files are on this machine."""
        scene = self._scene
        if scene.order.files:
            self._files = await scene.phases.within(
                "pull", scene.order.timeouts.pull, lambda: scene.files.bring(scene.order, scene.report)
            )

    async def _warm(self) -> Instance | None:
        """A place in a container that is there, if any has one."""
        order, phases = self._scene.order, self._scene.phases
        # Not counted: where there is one it takes no time, and a call that finds none begins with its pull.
        self._instance = await phases.limited(
            "pull", order.timeouts.pull, lambda: self._pool.take(order, self.id)
        )
        if self._instance is not None:
            self._listen(self._instance)
        return self._instance

    async def _cold(self) -> Instance:
        """A container of its own making, which others may call later."""
        scene, pool = self._scene, self._pool
        limits, within = scene.order.timeouts, scene.phases.within
        self._instance = instance = await within("pull", limits.pull, self._make)
        self._making = True
        instance.grace_s = limits.grace
        await within("pull", limits.pull, lambda: pool.pull(instance))
        await within("start", limits.start, lambda: pool.start(instance))
        await scene.report(FunctionLoading(function=self._function, container=instance.container))
        await within("load", limits.load, lambda: self._load(instance))
        await scene.report(_loaded(instance))
        pool.settle(instance, self.id)
        self._making = False
        self._listen(instance)
        return instance

    async def _make(self) -> Instance:
        return await self._pool.make(self._scene.order, self, self._scene.report)

    async def _load(self, instance: Instance) -> None:
        wanted = kinds.loading(self._scene.order)
        await instance.load({name: self._files[name] for name in wanted})
        await self._pool.enter(instance)

    def _listen(self, instance: Instance) -> None:
        """It has its place: what is printed there, and the answer, are its own from here on."""
        self._placed = True
        lines = self._scene.lines
        instance.company.enter(lines.secrets)
        lines.company = instance.company
        self._answer = instance.expect(self)

    async def _params(self, instance: Instance) -> dict[str, Any]:
        """What the function is told of the call; its files are where it is told."""
        scene = self._scene
        order, folders = scene.order, instance.serving.folders(self._folder)
        given = kinds.given(order)
        if self._has_files():
            files = {name: self._files[name] for name in given}
            self._filled = True
            folders = await scene.phases.within(
                "pull", order.timeouts.pull, lambda: instance.put(self._folder, files)
            )
        return {
            "inputs": artifacts.moved(order.inputs, given, folders[0]),
            "context": order.context,
            "execution": order.execution,
            "workflow": order.workflow,
            "step": order.step,
            "attempt": order.attempt,
            "in": folders[0],
            "out": folders[1],
        }

    def _has_files(self) -> bool:
        order = self._scene.order
        return bool(kinds.given(order)) or order.makes_files

    # ---- the call itself

    async def _called(self, limit: float, ask: Callable[[], Awaitable[bytes]]) -> AttemptFinished:
        """From the question to what the answer means."""
        scene, instance = self._scene, self._instance
        assert instance is not None
        document = await scene.phases.within("run", limit, ask)
        await self._telling.close()
        made = await self._keep(instance)
        if not self._filled and not for_one_call(instance.launch):
            await self._over()
        return self._finished(document, made)

    async def _ask(self, instance: Instance, params: Mapping[str, Any]) -> bytes:
        assert self._answer is not None
        self._asked = True
        await fault.point("agent.call.before")
        try:
            await instance.execute(self, params)
        except InvalidArgumentError:
            self._asked = False  # it is too large, and was not sent
            raise
        return await self._heard(instance)

    async def _heard(self, instance: Instance) -> bytes:
        assert self._answer is not None
        document = await instance.answered(self, self._answer)
        self._asked = False
        await fault.point("agent.call.after")
        return document

    async def _keep(self, instance: Instance) -> Mapping[str, Artifact]:
        """Store what it made: an attempt that is finished has all its files in the store."""
        scene = self._scene
        if not scene.order.makes_files:
            return {}
        return await scene.files.keep(scene.order, _Out(instance, self._folder), scene.report)

    def _finished(self, document: bytes, made: Mapping[str, Artifact]) -> AttemptFinished:
        scene = self._scene
        if len(document) > scene.options.output_bytes:
            raise OutputError(
                f"What the function gave is larger than {scene.options.output_bytes} bytes.",
                remedy=calls.AS_FILE,
            )
        answer = calls.answer(document, self._function, scene.order.outputs, made)
        if not isinstance(answer, dict):
            return finished_with(answer, scene.phases.seconds)
        return AttemptFinished(outputs=answer, seconds=scene.phases.seconds)

    # ---- found again

    async def _resumed(self) -> AttemptFinished:
        scene, instance = self._scene, self._instance
        assert instance is not None
        began = scene.told.get(AttemptStarted.kind)
        limit = max(scene.order.timeouts.run - since(began), ADOPTED_MIN_S)
        scene.phases.now = "run"
        self._filled = self._has_files()
        finished = await self._called(limit, lambda: self._ask_again(instance))
        spent = {"run": round(since(began), 6)}
        return msgspec.structs.replace(finished, seconds=scene.phases.seconds | spent)

    async def _ask_again(self, instance: Instance) -> bytes:
        """The answer, if there is one; else ask whether there will be, and where not, for it."""
        assert self._answer is not None
        self._asked = True
        known = asyncio.ensure_future(self._is_known(instance))
        try:
            either: set[asyncio.Future[Any]] = {self._answer, known}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._answer.done() and not known.result():
                await self._bring()
                return await self._ask(instance, await self._params(instance))
            return await self._heard(instance)
        finally:
            known.cancel()
            await asyncio.wait({known})

    async def _is_known(self, instance: Instance) -> bool:
        """Whether the function knows of the call. One that cannot say so is believed to."""
        try:
            await instance.wake()
            return self.id in await instance.ping()
        except (MusterError, EndedError, RefusedError, TooLargeError):
            return True

    # ---- how it may fail

    async def _crashed(self, error: EndedError) -> MusterError:
        scene = self._scene
        self._asked = False
        if self._exits and error.exit is not None:
            await scene.report(exit_fact(error.exit, scene.phases.seconds.get(scene.phases.now, 0.0)))
        scene.lines.close()
        memory = scene.order.resources.memory
        return failures.crashed(
            error, self._function, scene.lines.tail, loaded=self._was_loaded(), memory=memory
        )

    def _refused(self, error: RefusedError | TooLargeError) -> MusterError:
        self._asked = False
        bytes_max = self._scene.options.function_message_bytes
        return failures.refused(error, self._function, loaded=self._was_loaded(), bytes_max=bytes_max)

    def _was_loaded(self) -> bool:
        return self._instance is not None and self._instance.loaded is not None

    # ---- the end

    async def halt(self) -> None:
        """See ``Course.halt``."""
        await self._telling.close()
        instance, grace_s = self._instance, self._scene.order.timeouts.grace
        if instance is None:
            return
        if self._making:
            self._making = False
            await self._pool.abandon(instance, grace_s)
        elif self._asked and not await self._gave_up(instance, grace_s):
            instance.killed = not instance.gone
            await self._pool.abandon(instance, 0.0)
        await self._over()

    async def _gave_up(self, instance: Instance, grace_s: float) -> bool:
        """Whether the function ended the call when it was asked to."""
        return self._answer is not None and await instance.cancel(self, self._answer, grace_s)

    async def _over(self) -> None:
        """Its place is free, and its files may go."""
        if not self._placed or self._instance is None:
            return
        self._placed = self._asked = False
        try:
            if self._filled and not await self._instance.release(self.id):
                self._pool.drop(self._instance, "unhealthy", 0.0)
        finally:
            self._pool.give(self._instance, self.id)

    async def remove(self) -> None:
        """See ``Course.remove``."""
        await self._telling.close()
        if self._asked and self._placed and self._instance is not None:
            # Its halt was cut short: nobody knows what the function does, so nobody else gets the container.
            self._pool.drop(self._instance, "stopped", 0.0)
        await self._over()

    async def destroy(self) -> None:
        """See ``Course.destroy``. Its container is the pool's, and goes with all of it."""
        await self._telling.close()


class _Out:
    """The files of one call, among those of its container."""

    def __init__(self, instance: Instance, folder: str) -> None:
        self._instance = instance
        self._folder = folder

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """See ``Serving.take``. Raises FunctionCrashedError where the container went, and the files with it."""
        instance, taken = self._instance, None
        try:
            taken = await instance.serving.take(f"{self._folder}/{path}", target, bytes_max)
        except OutputError:
            if not instance.gone:
                raise
        if taken is None and instance.gone:
            text = f"{instance.function}: its container ended before its files were taken."
            raise FunctionCrashedError(text, function=instance.function)
        return taken


def _loaded(instance: Instance) -> FunctionLoaded:
    spec = instance.launch.container
    return FunctionLoaded(
        function=instance.function,
        seconds=instance.load_s,
        container=instance.container,
        image=spec.image,
        concurrency=instance.concurrency,
        isolation=spec.isolation,
    )
