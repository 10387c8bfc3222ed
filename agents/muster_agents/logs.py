"""What attempts print, on its way to the broker: cut into lines, bounded, in small batches."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from muster.broker.interface import LogLines
from muster.model.errors import MusterError
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import LogLine
from muster_agents.options import AgentOptions
from muster_agents.secrecy import NONE, Company, Secrets

BATCH_BYTES: Final = 512 << 10
"""Bytes of text in one message: escaped to JSON at worst sixfold, which still fits the broker's limit."""
TAIL_LINE_LENGTH: Final = 1000
"""Characters of a line that goes with an error."""
RECORD: Final = "log"
"""The stream of what a function says by ``logging``, or a ``log`` message of its own."""
NOTE: Final = "muster"
"""The stream of lines that Muster itself adds."""

log = logging.getLogger(__name__)

Entry = tuple[datetime, str, bytes]


class LogStream:
    """The lines of one attempt. Nothing here waits."""

    def __init__(
        self,
        ref: AttemptRef,
        options: AgentOptions,
        ready: Callable[[LogStream], None],
        secrets: Secrets = NONE,
    ) -> None:
        self.ref = ref
        self.secrets = secrets
        self.company = Company()
        self._options = options
        self._ready = ready
        self._partial: dict[str, bytes] = {}
        self._tail: deque[bytes] = deque(maxlen=options.tail_lines)
        self._bytes = 0
        self._second = 0
        self._budget = 0
        self._withheld = 0
        self.dropped = 0
        self.pending: deque[Entry] = deque()
        self.sent = asyncio.Event()
        self.sent.set()

    def print(self, stream: str, chunk: bytes) -> None:
        """Take what was printed; lines go on when their end has come, or when they are too long."""
        count, budget = chunk.count(b"\n"), self._allowance()
        *lines, rest = (self._partial.get(stream, b"") + chunk).split(b"\n", budget)
        now = datetime.now(UTC)
        for line in lines:
            self._add_cut(now, stream, line)
        self._budget -= len(lines)
        if lines:
            self._withheld = 0
        if count > budget:
            self._skip(stream, rest, count - budget)
        else:
            self._partial[stream] = self._add_begun(now, stream, rest)
        if self.pending:
            self.sent.clear()
            self._ready(self)

    def say(self, level: str, logger: str, text: str) -> None:
        """A record of the program's own logging: its level, where it comes from, and its text, of a line or more."""
        where = f"{level.upper()} {logger}: " if logger else f"{level.upper()}: "
        self.print(RECORD, (where + text.rstrip("\n") + "\n").encode("utf-8", "replace"))

    def _allowance(self) -> int:
        """How many lines may still come in this second."""
        if (second := int(monotonic())) != self._second:
            self._second, self._budget = second, self._options.log_lines_per_s
        return self._budget

    def _skip(self, stream: str, rest: bytes, count: int) -> None:
        """Too much: keep only what may turn out to be the end."""
        limit, kept = self._options.log_line_bytes, self._options.tail_lines
        *lines, partial = rest.rsplit(b"\n", kept + 1)
        # The first of more is all that was before them.
        lines = [self._discreet(line)[-limit:] for line in lines[-kept:]]
        self._partial[stream] = self._discreet(partial)[-limit:]
        self._tail.extend(lines)
        self._withheld = min(self._withheld + len(lines), kept)
        self.dropped += count

    def close(self) -> None:
        """Nothing more comes: what has no line end is a line too."""
        now = datetime.now(UTC)
        if self._withheld:
            self.dropped -= self._withheld
            for line in list(self._tail)[-self._withheld :]:
                self._push(now, "stdout", line)
            self._withheld = 0
        for stream, rest in self._partial.items():
            if rest:
                self._add_cut(now, stream, rest)
        self._partial.clear()
        if self.pending:
            self.sent.clear()
            self._ready(self)

    @property
    def tail(self) -> list[str]:
        """The last lines, for an error: cut short, since an error is read as a whole."""
        return [line.decode("utf-8", "replace")[:TAIL_LINE_LENGTH] for line in self._tail]

    def take(self) -> list[LogLine]:
        """The next batch, oldest first; what was dropped is said in its place."""
        lines: list[LogLine] = []
        size = 0
        if self.dropped and self.pending:
            text = f"{self.dropped} lines were dropped here: they came faster than they can be taken"
            lines.append(LogLine(time=self.pending[0][0], stream=NOTE, text=text))
            self.dropped = 0
        while self.pending and len(lines) < self._options.log_batch_lines and size < BATCH_BYTES:
            time, stream, line = self.pending.popleft()
            size += len(line)
            lines.append(LogLine(time=time, stream=stream, text=line.decode("utf-8", "replace")))
        self._bytes -= size
        return lines

    def _discreet(self, line: bytes) -> bytes:
        """The line without secrets, its own and those of its company."""
        return self.company.secrets.line(self.secrets.line(line))

    def _add_begun(self, now: datetime, stream: str, rest: bytes) -> bytes:
        """Pieces of a line whose end has not come, and is not waited for; gives back what is."""
        limit = self._options.log_line_bytes
        if len(rest) <= limit:
            return rest
        rest = self._discreet(rest)
        whole = min(secrets.begun(rest) for secrets in (self.secrets, self.company.secrets))
        begun, rest = rest[whole:], rest[:whole]
        while rest and len(rest) + len(begun) > limit:
            piece, rest = self._cut(rest) if len(rest) > limit else (rest, b"")
            self._add(now, stream, piece)
        return rest + begun

    def _add_cut(self, now: datetime, stream: str, line: bytes) -> None:
        line = self._discreet(line)
        while len(line) > self._options.log_line_bytes:
            piece, line = self._cut(line)
            self._add(now, stream, piece)
        self._add(now, stream, line.removesuffix(b"\r"))

    def _add(self, now: datetime, stream: str, line: bytes) -> None:
        self._tail.append(line)
        self._push(now, stream, line)

    def _push(self, now: datetime, stream: str, line: bytes) -> None:
        self.pending.append((now, stream, line))
        self._bytes += len(line)
        while self._bytes > self._options.log_backlog_bytes or len(self.pending) > self._lines_max:
            self._bytes -= len(self.pending.popleft()[2])
            self.dropped += 1

    @property
    def _lines_max(self) -> int:
        # Empty lines weigh nothing and still cost memory.
        return max(1, self._options.log_backlog_bytes // 64)

    def _cut(self, line: bytes) -> tuple[bytes, bytes]:
        """The first piece and the rest, not cut inside a UTF-8 character."""
        at = self._options.log_line_bytes
        while at > 1 and line[at] & 0xC0 == 0x80:
            at -= 1
        return line[:at], line[at:]


class LogShipper:
    """Sends the lines of all attempts, in turn."""

    def __init__(self, lines: LogLines, options: AgentOptions) -> None:
        self._lines = lines
        self._options = options
        self._waiting: dict[LogStream, None] = {}
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()

    def open(self, ref: AttemptRef, secrets: Secrets = NONE) -> LogStream:
        """The lines of this attempt; ``secrets`` are not in what is sent."""
        return LogStream(ref, self._options, self._ready, secrets)

    def _ready(self, stream: LogStream) -> None:
        self._waiting[stream] = None
        self._wake.set()
        if len(stream.pending) >= self._options.log_batch_lines:
            self._urgent.set()

    async def flush(self, stream: LogStream) -> None:
        """End the stream, and wait a little until its lines are sent."""
        stream.close()
        if stream.sent.is_set():
            return
        self._urgent.set()
        try:
            async with asyncio.timeout(self._options.log_flush_s):
                await stream.sent.wait()
        except TimeoutError:
            log.warning(f"the last lines of {stream.ref.step} are late; its end is reported before them")

    async def ship(self) -> None:
        """Send as lines come, until cancelled."""
        while True:
            await self._wake.wait()
            await self._company()
            self._wake.clear()
            self._urgent.clear()
            while self._waiting:
                stream = next(iter(self._waiting))
                del self._waiting[stream]
                await self._write(stream, stream.take())
                if stream.pending:
                    self._waiting[stream] = None
                else:
                    stream.sent.set()

    async def _company(self) -> None:
        """Let a few more lines come, unless somebody waits."""
        try:
            async with asyncio.timeout(self._options.log_delay_s):
                await self._urgent.wait()
        except TimeoutError:
            pass

    async def _write(self, stream: LogStream, lines: list[LogLine]) -> None:
        ref = stream.ref
        try:
            await self._lines.write(self._options.name, ref.execution, ref.step, ref.attempt, lines)
        except MusterError as error:
            stream.dropped += len(lines)
            log.warning(f"{len(lines)} log lines of {ref.step} were not taken: {error.message}")
        except Exception:  # lines are for looking: they end neither the attempt nor the sending of others'
            stream.dropped += len(lines)
            log.exception("%s log lines of %s could not be sent", len(lines), ref.step)
