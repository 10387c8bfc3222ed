"""Log lines on JetStream: one message holds a list of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from muster.broker import codec
from muster.broker.nats import api
from muster.broker.nats.connection import Connection
from muster.broker.nats.reader import Raw, Reader, position
from muster.broker.nats.streams import LOGS
from muster.model.log import subjects
from muster.model.log.commands import LogLine

MESSAGE_MAX: Final = 512 << 10
"""Lines are put together up to this size; one line alone may be larger."""


class NatsLogLines:
    """A ``LogLines``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(
        self, machine: str, execution: str, step: str, attempt: int, lines: Sequence[LogLine]
    ) -> None:
        """See ``LogLines.write``."""
        subject = subjects.logs(machine, execution, step, attempt)
        for part in _parts(lines):
            await self._connection.publish(subject, codec.encode(part))

    async def read(
        self, execution: str, *, step: str = "*", attempt: int | None = None, follow: bool = False
    ) -> AsyncGenerator[tuple[str, int, LogLine], None]:
        """See ``LogLines.read``."""
        filter_ = subjects.logs("*", execution, step, "*" if attempt is None else attempt)
        stop = None if follow else (await position(self._connection, LOGS)).last
        batches = Reader(self._connection, LOGS, 1, [filter_], stop).batches()
        async with contextlib.aclosing(batches):
            async for batch in batches:
                for raw in batch:
                    tokens = raw.subject.split(".")
                    for line in _lines(raw):
                        yield tokens[4], int(tokens[5]), line

    async def purge(self, execution: str) -> None:
        """See ``LogLines.purge``."""
        filter_ = subjects.logs("*", execution, "*", "*")
        await api.call(self._connection, f"STREAM.PURGE.{LOGS}", {"filter": filter_})


def _parts(lines: Sequence[LogLine]) -> list[list[LogLine]]:
    parts: list[list[LogLine]] = []
    room = 0
    for line in lines:
        size = 100 + 2 * len(line.text)  # the JSON around it, and text that needs escapes
        if not parts or size > room:
            parts.append([])
            room = MESSAGE_MAX
        parts[-1].append(line)
        room -= size
    return parts


def _lines(raw: Raw) -> list[LogLine]:
    """Lines that cannot be read are none: logs are for looking."""
    try:
        return codec.decode_lines(raw.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
