"""The files of attempts: brought from the store before a container starts, stored when it has ended well.

The store may be away for a while, as may the broker it belongs to. What has to be brought waits for it as long as the
pull phase may take, what has to be stored as long as ``artifact_transfer_s``; an attempt is finished only when all its
files are in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final, Protocol, TypeVar

from muster import fault
from muster.artifacts.content import FileContent, described
from muster.artifacts.store import Artifacts
from muster.model.errors import (
    AgentFailedError,
    ArtifactDamagedError,
    ArtifactMissingError,
    BrokerError,
    StepTimeoutError,
)
from muster.model.log.catalogue import AttemptProgress, AttemptRef
from muster.model.log.commands import AttemptOrder
from muster.model.plan.artifacts import Artifact
from muster_agents.cache import Cache
from muster_agents.mishaps import ROOM, reason
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Report

T = TypeVar("T")
PROGRESS_S: Final = 1.0
"""Between two facts about how far a transfer is."""

log = logging.getLogger(__name__)


class Taking(Protocol):
    """Who has the files that an attempt made."""

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """See ``Run.take``."""
        ...


class Files:
    """Those of one agent. ``bytes_max`` bounds each file."""

    def __init__(self, store: Artifacts, cache: Cache, options: AgentOptions, bytes_max: int) -> None:
        self._store = store
        self._cache = cache
        self._options = options
        self._bytes_max = bytes_max
        self._pinned: dict[AttemptRef, list[str]] = {}
        self._partial: dict[AttemptRef, list[Path]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def bring(self, order: AttemptOrder, report: Report) -> Mapping[str, Path]:
        """The files the attempt is given, by their names, pinned until it is released; says how far it is.

        Raises ArtifactMissingError, ArtifactDamagedError, or AgentFailedError where the disk does not take them.
        """
        moving = Moving(report, "pull", sum(artifact.size for artifact in order.files.values()))
        with _disk():
            return {
                name: await self._fetch(order.ref, artifact, moving) for name, artifact in order.files.items()
            }

    async def keep(self, order: AttemptOrder, made: Taking, report: Report) -> dict[str, Artifact]:
        """Store the files that the attempt made, and say what they are.

        Raises OutputError, StepTimeoutError, or AgentFailedError where the disk does not take them.
        """
        limit = self._options.artifact_transfer_s
        try:
            async with asyncio.timeout(limit) as scope:
                with _disk():
                    return await self._keep(order, made, report)
        except TimeoutError:
            if not scope.expired():
                raise
            raise StepTimeoutError(
                f"The files the step made could not be stored within {limit:g} s.",
                remedy="See whether the broker answers and has room: muster doctor.",
                limit_s=limit,
            ) from None

    async def release(self, ref: AttemptRef) -> None:
        """The attempt needs its files no more."""
        for path in self._partial.pop(ref, ()):
            await asyncio.to_thread(path.unlink, missing_ok=True)
        for digest in self._pinned.pop(ref, ()):
            await self._cache.unpin(digest)
            if not self._cache.pinned(digest):
                self._turns.pop(digest, None)

    def _pin(self, ref: AttemptRef, digest: str) -> None:
        self._cache.pin(digest)
        self._pinned.setdefault(ref, []).append(digest)

    async def _place(self, ref: AttemptRef) -> Path:
        path = await self._cache.partial()
        self._partial.setdefault(ref, []).append(path)
        return path

    # ---- bringing

    async def _fetch(self, ref: AttemptRef, artifact: Artifact, moving: Moving) -> Path:
        self._pin(ref, artifact.digest)
        # Attempts that want the same wait for the first.
        async with self._turns.setdefault(artifact.digest, asyncio.Lock()):
            found = await self._cache.get(artifact.digest)
            if found is None:
                return await self._patiently(lambda: self._download(ref, artifact, moving))
            # What was cleared is not used any more, though a copy of it may be here.
            if await self._patiently(lambda: self._store.size(artifact.execution, artifact.digest)) is None:
                raise ArtifactMissingError(
                    digest=artifact.digest, execution=artifact.execution, retriable=False
                )
            return found

    async def _download(self, ref: AttemptRef, artifact: Artifact, moving: Moving) -> Path:
        partial = await self._place(ref)
        await asyncio.to_thread(partial.touch)
        try:
            size = await self._pour(artifact, partial, moving)
        except (ArtifactMissingError, ArtifactDamagedError) as error:
            error.data["retriable"] = False
            raise
        return await self._cache.keep(partial, artifact.digest, size)

    async def _pour(self, artifact: Artifact, partial: Path, moving: Moving) -> int:
        size = 0
        async with aclosing(self._store.read(artifact.execution, artifact.digest)) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > artifact.size:  # the hash would say so too, but only when the disk is full
                    raise ArtifactDamagedError(digest=artifact.digest, execution=artifact.execution)
                await asyncio.to_thread(_append, partial, piece)
                await moving.by(len(piece))
        return size

    # ---- storing

    async def _keep(self, order: AttemptOrder, made: Taking, report: Report) -> dict[str, Artifact]:
        found: dict[str, Artifact] = {}
        for name, output in order.outputs.items():
            if output.path is None:
                continue
            partial = await self._place(order.ref)
            taken = await made.take(output.path, partial, self._bytes_max)
            if taken is None:
                continue
            digest, size = taken
            self._pin(order.ref, digest)
            path = await self._cache.keep(partial, digest, size)
            content = _Moved(FileContent.kept(path, digest, size), Moving(report, "run", size))
            await self._store_it(order.execution, content)
            found[name] = described(output.path.rpartition("/")[2], digest, size, order.execution)
        return found

    async def _store_it(self, execution: str, content: _Moved) -> None:
        await fault.point("agent.upload.before")
        await self._patiently(lambda: self._store.put(execution, content))
        await fault.point("agent.upload.after")

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        said = ""
        while True:
            try:
                return await work()
            except BrokerError as error:
                if error.message != said:
                    log.warning(f"a file waits for the store: {error.message}")
                    said = error.message
                await asyncio.sleep(self._options.append_retry_s)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise AgentFailedError(
            f"The files of the attempt do not get onto this machine's disk: {reason(error)}.", remedy=ROOM
        ) from error


def _append(path: Path, piece: bytes) -> None:
    # Opened for each piece: whoever is cancelled between two leaves nothing open.
    with path.open("ab") as file:
        file.write(piece)


class Moving:
    """How far files are, told about once a second and not at all where they are quick."""

    def __init__(self, report: Report, phase: str, total: int) -> None:
        self._report = report
        self._phase = phase
        self._total = total
        self._done = 0
        self._told = time.monotonic()

    async def by(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        if time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            current = min(self._done, self._total)  # what is sent again after an interruption counts twice
            await self._report(
                AttemptProgress(phase=self._phase, current=current, total=self._total, unit="bytes")
            )


class _Moved:
    """A content that tells how far it is, and at whose pieces a test can halt the agent."""

    def __init__(self, content: FileContent, moving: Moving) -> None:
        self._content = content
        self._moving = moving
        self.digest, self.size, self.name = content.digest, content.size, content.name

    async def piece(self, at: int) -> bytes:
        """See ``Content.piece``."""
        await fault.point("agent.upload.piece")
        piece = await self._content.piece(at)
        await self._moving.by(len(piece))
        return piece
