"""One attempt in a container."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import docker.errors

from muster.model.errors import AttemptLostError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting
from muster.model.log.commands import AttemptOrder
from muster_agents.runtimes.docker_container import DockerContainer
from muster_agents.runtimes.docker_engine import Engine, EngineAwayError
from muster_agents.runtimes.docker_gpus import labelled
from muster_agents.runtimes.docker_image import available, seen
from muster_agents.runtimes.docker_pull import Image
from muster_agents.runtimes.docker_stream import Attached, Followed
from muster_agents.runtimes.environment import Kept, wants_file, wants_stdout
from muster_agents.runtimes.interface import Ears, Exit
from muster_agents.runtimes.passing import Passing
from muster_agents.runtimes.threads import Threads

WAIT_S: Final = 5
"""One wait for the end, when all output has ended: short, so that a closed runtime is noticed."""
AWAY_S: Final = 0.5
"""Between two tries to reach an engine that went away, as one does that is being upgraded."""

log = logging.getLogger(__name__)


class DockerRun(DockerContainer):
    """A ``Run``."""

    def __init__(
        self,
        order: AttemptOrder,
        ears: Ears,
        engine: Engine,
        calls: Threads,
        watchers: Threads,
        *,
        name: str,
        labels: Mapping[str, str],
        pids: int,
        output_bytes: int,
        gone: Callable[[DockerRun], None],
        container: str = "",
    ) -> None:
        super().__init__(engine, calls, container)
        self._order = order
        self._ears = ears
        self._watchers = watchers
        self._name = name
        self._labels = labels
        self._pids = pids
        self._limit = output_bytes
        self._gone = gone
        self._files: Mapping[str, Path] = {}
        self._gpus: Sequence[str] = ()
        self._image: Image | None = None
        self._closed = threading.Event()
        self._wake: Callable[[], None] = lambda: None
        self._pass = Passing(ears.print, self._closed)
        self._kept = Kept(output_bytes) if wants_stdout(order) else None
        self._heard = {"stdout": 0, "stderr": 0}
        self._followed = Followed(engine, container)
        if container:
            self._watch()

    async def pull(self) -> None:
        """See ``Run.pull``."""
        self._image = await available(self._order.container, self._ears, self._engine, self._calls)

    # ---- start

    def bring(self, files: Mapping[str, Path]) -> None:
        """See ``Run.bring``."""
        self._files = files

    def use(self, gpus: Sequence[str]) -> None:
        """See ``Run.use``."""
        self._gpus = gpus

    async def start(self) -> None:
        """See ``Run.start``."""
        assert self._image is not None
        image = self._image
        began = time.monotonic()
        await self._ears.report(ContainerStarting(image=self._order.container.image, digest=image.digest))
        self._starting = self._calls.submit(lambda: self._create(image.id))
        await asyncio.shield(self._starting)
        self._watch()
        seconds = round(time.monotonic() - began, 6)
        await self._ears.report(ContainerStarted(container=self._container, seconds=seconds))

    def _create(self, image: str) -> None:
        """In a thread: it is not cut short by a cancelled start, so that what it made can be removed."""
        self._container = self._engine.create(
            self._order,
            image,
            name=self._name,
            labels={**self._labels, **labelled(self._gpus)},
            pids=self._pids,
            gpus=self._gpus,
        )
        self._followed = Followed(self._engine, self._container)
        self._engine.fill(self._container, self._order, self._files)
        if self._stopped.is_set():
            return
        self._attached = Attached(self._engine, self._container)
        try:
            self._engine.start(self._container)
        except BaseException:
            self._attached.close()
            raise

    # ---- run

    def _watch(self) -> None:
        self._ended = self._watchers.submit(self._to_the_end)
        self._ended.add_done_callback(seen)

    def _to_the_end(self) -> Exit:
        """In a thread: read what the container prints, then how it ended."""
        while not self._closed.is_set():
            try:
                return self._read_and_wait()
            except EngineAwayError as error:
                log.warning(f"the container engine does not answer ({error}); trying again")
                self._closed.wait(AWAY_S)
            except docker.errors.NotFound as error:
                raise AttemptLostError("The container was removed by somebody else.") from error
        raise AttemptLostError("The agent no longer watches the container.")

    def _read_and_wait(self) -> Exit:
        attached, self._attached = self._attached, None
        if attached is not None:
            self._wake = attached.wake
            if self._closed.is_set():  # before there was anything to wake
                attached.wake()
            attached.read(self._hear)
            code = self._code()
        else:
            self._wake = self._followed.wake
            self._followed.read(self._news())
            code = self._code()
            self._followed.read_again(self._news())
        return self._exit(code)

    def _news(self) -> Callable[[str, bytes], None]:
        """Hears what a log says, but for what was heard before: a log tells all of it again."""
        skip = dict(self._heard)

        def hear(stream: str, chunk: bytes) -> None:
            known = min(skip[stream], len(chunk))
            skip[stream] -= known
            if known < len(chunk):
                self._hear(stream, chunk[known:])

        return hear

    def _hear(self, stream: str, chunk: bytes) -> None:
        self._heard[stream] += len(chunk)
        if self._kept is not None and stream == "stdout":
            self._kept.add(chunk)
        self._pass(stream, chunk)

    def _code(self) -> int:
        while not self._closed.is_set():
            code = self._engine.wait(self._container, WAIT_S)
            if code is not None:
                return code
        raise EngineAwayError("the runtime was closed")

    def _exit(self, code: int) -> Exit:
        return Exit(
            container=self._container,
            exit_code=code,
            oom_killed=code == 137 and self._engine.was_oom_killed(self._container),
            document=self._engine.output(self._container, self._limit) if wants_file(self._order) else None,
            stdout=None if self._kept is None else self._kept.value(),
        )

    # ---- the end

    async def remove(self) -> None:
        """See ``Run.remove``."""
        await super().remove()
        self._gone(self)

    def close(self) -> None:
        """Watch no longer; the container goes on."""
        self._closed.set()
        self._wake()
        self._let_go_for_good()
