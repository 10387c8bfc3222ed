"""A function served by a container: loaded once, called many times."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import docker.errors

from muster.model.errors import AttemptLostError, ContainerStartingError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting
from muster.model.plan.artifacts import IN, OUT
from muster_agents.harness import harness
from muster_agents.runtimes.docker_container import DockerContainer
from muster_agents.runtimes.docker_engine import Engine
from muster_agents.runtimes.docker_files import call_archive, serving_archive
from muster_agents.runtimes.docker_image import available, seen
from muster_agents.runtimes.docker_listening import AWAY_S, Listening
from muster_agents.runtimes.docker_pull import Image
from muster_agents.runtimes.docker_stdin import Stdin
from muster_agents.runtimes.docker_stream import Attached
from muster_agents.runtimes.environment import has_harness
from muster_agents.runtimes.feed import unread
from muster_agents.runtimes.interface import Ears, Exit, Launch
from muster_agents.runtimes.passing import Passing
from muster_agents.runtimes.threads import Threads


class DockerServing(DockerContainer):
    """A ``Serving``."""

    def __init__(
        self,
        launch: Launch,
        ears: Ears,
        engine: Engine,
        calls: Threads,
        listeners: Threads,
        *,
        name: str,
        labels: Mapping[str, str],
        pids: int,
        gone: Callable[[DockerServing], None],
        container: str = "",
    ) -> None:
        super().__init__(engine, calls, container)
        self._launch = launch
        self._ears = ears
        self._listeners = listeners
        self._name = name
        self._labels = labels
        self._pids = pids
        self._gone = gone
        self._image: Image | None = None
        self._closed = threading.Event()
        self._pass = Passing(ears.print, self._closed)
        self._listening: Listening | None = None
        self._stdin: Stdin | None = None
        self._opening = asyncio.Lock()
        if container:
            self._listen()

    @property
    def container(self) -> str:
        """See ``Serving.container``."""
        return self._container

    @property
    def digest(self) -> str:
        """See ``Serving.digest``."""
        return "" if self._image is None else self._image.digest

    # ---- pull and start

    async def pull(self) -> None:
        """See ``Serving.pull``."""
        self._image = await available(self._launch.container, self._ears, self._engine, self._calls)

    async def start(self) -> None:
        """See ``Serving.start``."""
        assert self._image is not None
        image = self._image
        began = time.monotonic()
        await self._ears.report(ContainerStarting(image=self._launch.container.image, digest=image.digest))
        self._starting = self._calls.submit(lambda: self._create(image.id))
        await asyncio.shield(self._starting)
        self._listen()
        seconds = round(time.monotonic() - began, 6)
        await self._ears.report(ContainerStarted(container=self._container, seconds=seconds))

    def _create(self, image: str) -> None:
        """In a thread: it is not cut short by a cancelled start, so that what it made can be removed."""
        self._container = self._engine.create_serving(
            self._launch, image, name=self._name, labels=self._labels, pids=self._pids
        )
        packed = harness() if has_harness(self._launch.container) else None
        self._engine.unpack(self._container, serving_archive(packed))
        if self._stopped.is_set():
            return
        self._attached = Attached(self._engine, self._container)
        self._stdin = Stdin(self._engine, self._container)
        self._engine.start(self._container)

    # ---- calls

    async def send(self, line: bytes) -> None:
        """See ``Serving.send``. Where the engine goes away and comes back, so does the connection."""
        while True:
            stdin = await self._open_stdin()
            try:
                return await stdin.send(line)
            except AttemptLostError:
                if self._is_over():
                    raise
            await asyncio.sleep(AWAY_S)
            line = b"\n" + line.lstrip(b"\n")  # half of it, or of another, may have come through

    def folders(self, call: str) -> tuple[str, str]:
        """See ``Serving.folders``."""
        return f"{IN}/{call}", f"{OUT}/{call}"

    async def put(self, call: str, files: Mapping[str, Path]) -> tuple[str, str]:
        """See ``Serving.put``."""
        try:
            await self._calls.call(self._engine.unpack, self._container, call_archive(call, files))
        except ContainerStartingError as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                raise _removed() from error
            raise
        return self.folders(call)

    # ---- stdin and stdout

    async def _open_stdin(self) -> Stdin:
        async with self._opening:
            while not self._is_over():
                if self._stdin is not None and not self._stdin.closed:
                    return self._stdin
                self._stdin = await self._new_stdin()
            raise unread()

    async def _new_stdin(self) -> Stdin | None:
        """None where the engine is away, after a while."""
        opening = self._calls.submit(lambda: Stdin(self._engine, self._container))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise
        except ContainerStartingError as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                raise _removed() from error
            await asyncio.sleep(AWAY_S)
            return None

    def _is_over(self) -> bool:
        return (
            not self._container or self._closed.is_set() or (self._ended is not None and self._ended.done())
        )

    def _listen(self) -> None:
        attached, self._attached = self._attached, None
        self._listening = listening = Listening(
            self._engine, self._container, self._pass, self._closed, attached
        )
        self._ended = self._listeners.submit(lambda: self._exit(listening))
        self._ended.add_done_callback(seen)
        self._ended.add_done_callback(lambda _: self._close_stdin())

    def _exit(self, listening: Listening) -> Exit:
        code, oom_killed = listening.to_the_end()
        return Exit(container=self._container, exit_code=code, oom_killed=oom_killed)

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._stdin.close()

    # ---- the end

    async def remove(self) -> None:
        """See ``Serving.remove``."""
        await super().remove()
        self._gone(self)

    def close(self) -> None:
        """Listen no longer; the container goes on."""
        self._closed.set()
        if self._listening is not None:
            self._listening.wake()
        self._let_go_for_good()

    def _let_go(self) -> None:
        self._close_stdin()
        super()._let_go()


def _removed() -> AttemptLostError:
    return AttemptLostError("The container was removed by somebody else.")


def _close_late(opening: asyncio.Future[Stdin]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
