"""The contents of files in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256

from muster.artifacts.store import PIECE_BYTES, Content, Progress, verified
from muster.broker.memory.link import Link
from muster.model.errors import ArtifactMissingError, InvalidArgumentError


class MemoryArtifacts:
    """``Artifacts``. What another connection of the same store has put is there too."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def put(self, execution: str, content: Content, progress: Progress | None = None) -> bool:
        """See ``Artifacts.put``."""
        await self._ask()
        pieces: list[bytes] = []
        if (execution, content.digest) in self._link.store.artifacts:
            return False
        for at in range(0, content.size, PIECE_BYTES):
            pieces.append(await content.piece(at))
            await self._ask()
            if progress is not None:
                progress(min(at + PIECE_BYTES, content.size))
        whole = b"".join(pieces)
        if sha256(whole).hexdigest() != content.digest:
            raise InvalidArgumentError("The file changed while it was sent.", remedy="Send it again.")
        before = self._link.store.artifacts.setdefault((execution, content.digest), whole)
        return before is whole

    async def read(self, execution: str, digest: str) -> AsyncGenerator[bytes, None]:
        """See ``Artifacts.read``."""
        await self._ask()
        found = self._link.store.artifacts.get((execution, digest))
        if found is None:
            raise ArtifactMissingError(digest=digest, execution=execution)
        async with aclosing(verified(self._pieces(found), execution, digest)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(self, whole: bytes) -> AsyncGenerator[bytes, None]:
        for at in range(0, len(whole), PIECE_BYTES):
            await self._ask()
            yield whole[at : at + PIECE_BYTES]

    async def size(self, execution: str, digest: str) -> int | None:
        """See ``Artifacts.size``."""
        await self._ask()
        found = self._link.store.artifacts.get((execution, digest))
        return None if found is None else len(found)

    async def erase(self, execution: str) -> None:
        """See ``Artifacts.erase``."""
        await self._ask()
        for key in [key for key in self._link.store.artifacts if key[0] == execution]:
            del self._link.store.artifacts[key]

    async def _ask(self) -> None:
        await asyncio.sleep(0)
        self._link.require()
