"""The files of attempts: brought from the store before a container starts, stored when it has ended well.

The store may be away for a while, as may the broker it belongs to. What has to be brought waits for it as long as the
pull phase may take, what has to be stored as long as ``artifact_transfer_s``; an attempt is finished only when all its
files are in the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from muster import fault
from muster.artifacts.content import FileContent, described
from muster.artifacts.store import Artifacts
from muster.model.artifacts import Artifact
from muster.model.catalogue import AttemptRef
from muster.model.commands import AttemptOrder
from muster.model.errors import (
    ArtifactDamagedError,
    ArtifactMissingError,
    BrokerError,
    StepTimeoutError,
)
from muster_agents.cache import Cache
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Run

T = TypeVar("T")

log = logging.getLogger(__name__)


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

    async def bring(self, order: AttemptOrder) -> Mapping[str, Path]:
        """The files the attempt is given, by their names, pinned until it is released.

        Raises ArtifactMissingError or ArtifactDamagedError.
        """
        return {name: await self._fetch(order.ref, artifact) for name, artifact in order.files.items()}

    async def keep(self, order: AttemptOrder, run: Run) -> dict[str, Artifact]:
        """Store the files that the attempt made, and say what they are. Raises OutputError, StepTimeoutError."""
        limit = self._options.artifact_transfer_s
        try:
            async with asyncio.timeout(limit) as scope:
                return await self._keep(order, run)
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

    def _place(self, ref: AttemptRef) -> Path:
        path = self._cache.partial()
        self._partial.setdefault(ref, []).append(path)
        return path

    # ---- bringing

    async def _fetch(self, ref: AttemptRef, artifact: Artifact) -> Path:
        self._pin(ref, artifact.digest)
        # Attempts that want the same wait for the first.
        async with self._turns.setdefault(artifact.digest, asyncio.Lock()):
            found = await self._cache.get(artifact.digest)
            if found is None:
                return await self._patiently(lambda: self._download(ref, artifact))
            # What was cleared is not used any more, though a copy of it may be here.
            if await self._patiently(lambda: self._store.size(artifact.execution, artifact.digest)) is None:
                raise ArtifactMissingError(
                    digest=artifact.digest, execution=artifact.execution, retriable=False
                )
            return found

    async def _download(self, ref: AttemptRef, artifact: Artifact) -> Path:
        partial = self._place(ref)
        await asyncio.to_thread(partial.touch)
        try:
            size = await self._pour(artifact, partial)
        except (ArtifactMissingError, ArtifactDamagedError) as error:
            error.data["retriable"] = False
            raise
        return await self._cache.keep(partial, artifact.digest, size)

    async def _pour(self, artifact: Artifact, partial: Path) -> int:
        size = 0
        async with aclosing(self._store.read(artifact.execution, artifact.digest)) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > artifact.size:  # the hash would say so too, but only when the disk is full
                    raise ArtifactDamagedError(digest=artifact.digest, execution=artifact.execution)
                await asyncio.to_thread(_append, partial, piece)
        return size

    # ---- storing

    async def _keep(self, order: AttemptOrder, run: Run) -> dict[str, Artifact]:
        found: dict[str, Artifact] = {}
        for name, output in order.outputs.items():
            if output.path is None:
                continue
            partial = self._place(order.ref)
            taken = await run.take(output.path, partial, self._bytes_max)
            if taken is None:
                continue
            digest, size = taken
            self._pin(order.ref, digest)
            path = await self._cache.keep(partial, digest, size)
            await self._store_it(order.execution, FileContent.kept(path, digest, size))
            found[name] = described(output.path.rpartition("/")[2], digest, size, order.execution)
        return found

    async def _store_it(self, execution: str, content: FileContent) -> None:
        await fault.point("agent.upload.before")
        await self._patiently(lambda: self._store.put(execution, _Halting(content)))
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


def _append(path: Path, piece: bytes) -> None:
    # Opened for each piece: whoever is cancelled between two leaves nothing open.
    with path.open("ab") as file:
        file.write(piece)


class _Halting:
    """A content at whose pieces a test can halt the agent."""

    def __init__(self, content: FileContent) -> None:
        self._content = content
        self.digest, self.size, self.name = content.digest, content.size, content.name

    async def piece(self, at: int) -> bytes:
        """See ``Content.piece``."""
        await fault.point("agent.upload.piece")
        return await self._content.piece(at)
