"""Log lines in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from muster.broker import codec
from muster.broker.filters import matcher
from muster.broker.memory.kept import LINES_KEPT, Written
from muster.broker.memory.link import Link
from muster.model.log import subjects
from muster.model.log.commands import LogLine


class MemoryLogLines:
    """A ``LogLines``."""

    def __init__(self, link: Link, written: Written) -> None:
        self._link = link
        self._written = written

    async def write(
        self, machine: str, execution: str, step: str, attempt: int, lines: Sequence[LogLine]
    ) -> None:
        """See ``LogLines.write``."""
        await asyncio.sleep(0)
        if not self._link.connected or not lines:
            return
        self._written.count += 1
        subject = subjects.logs(machine, execution, step, attempt)
        self._written.messages.append((self._written.count, subject, codec.encode(list(lines))))
        self._link.store.changed.notify()

    async def read(
        self, execution: str, *, step: str = "*", attempt: int | None = None, follow: bool = False
    ) -> AsyncGenerator[tuple[str, int, LogLine], None]:
        """See ``LogLines.read``."""
        self._link.require()
        matches = matcher([subjects.logs("*", execution, step, "*" if attempt is None else attempt)])
        seen = 0
        while await self._link.ready():
            for number, subject, payload in [m for m in self._written.messages if m[0] > seen]:
                seen = number
                if not matches(subject):
                    continue
                tokens = subject.split(".")
                for line in codec.decode_lines(payload):
                    yield tokens[4], int(tokens[5]), line
            if not follow:
                return
            if not self._written.messages or self._written.messages[-1][0] <= seen:
                await self._link.store.changed.wait()

    async def purge(self, execution: str) -> None:
        """See ``LogLines.purge``."""
        await asyncio.sleep(0)
        self._link.require()
        matches = matcher([subjects.logs("*", execution, "*", "*")])
        kept = [message for message in self._written.messages if not matches(message[1])]
        self._written.messages = deque(kept, maxlen=LINES_KEPT)
