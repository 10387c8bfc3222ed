"""What all connections of the in-memory broker share: the events, their fence and de-duplication, and a signal."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.broker.admission import Message
from muster.broker.codec import decode_event
from muster.broker.filters import matcher
from muster.broker.interface import Appended, Fence, Outcome, Position, Refused
from muster.broker.memory.kept import Beats, Queues, Written
from muster.model.log.envelope import Recorded

WRONG_LAST: Final = 10071
FULL: Final = 10077
BATCH_MAX: Final = 1000


class Signal:
    """Wakes everybody who waits, each time something changed."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Wake all that wait now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, timeout_s: float | None = None) -> None:
        """Until the next ``notify``, or the timeout."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            pass
        finally:
            if future in self._waiting:
                self._waiting.remove(future)


class MemoryStore:
    """The stream of events and everything else a broker would keep.

    ``replicated`` behaves as a stream with replicas does: each call is one or more atomic batches. ``full`` refuses
    every write. ``max_payload`` is the limit of one message.
    """

    def __init__(
        self,
        *,
        replicated: bool = False,
        max_payload: int = 8 << 20,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.replicated = replicated
        self.full = False
        self.max_payload = max_payload
        self.clock = clock
        self.changed = Signal()
        self.queues = Queues()
        self.beats = Beats()
        self.written = Written()
        self.objects: dict[str, bytes] = {}
        self.artifacts: dict[tuple[str, str], bytes] = {}
        self.created = datetime.min.replace(tzinfo=UTC)
        self.wipe()

    # ---- what is there

    def position(self) -> Position:
        """The identity and the bounds of the log."""
        first = self._sequences[0] if self._sequences else self._last + 1
        return Position(self.created, first if self._last else 0, self._last)

    def last(self, subject: str) -> Recorded | None:
        """The newest event on ``subject``, which may hold wildcards."""
        if "*" not in subject and ">" not in subject:
            sequence = self._newest.get(subject)
            return None if sequence is None else self._records[bisect_left(self._sequences, sequence)]
        matches = matcher([subject])
        newest_first = range(len(self._records) - 1, -1, -1)
        return next((self._records[i] for i in newest_first if matches(self._subjects[i])), None)

    def sequence_at(self, time: datetime) -> int:
        """The last sequence before what was stored later than ``time``."""
        after = bisect_right(self._sequences, time, key=self._stored.__getitem__)
        return self._sequences[after] - 1 if after < len(self._sequences) else self._last

    def scan(self, start: int, stop: int | None, matches: Callable[[str], bool]) -> Iterator[Recorded]:
        """The events from ``start`` to ``stop`` whose subject matches."""
        for index in range(bisect_left(self._sequences, start), len(self._sequences)):
            record = self._records[index]
            if stop is not None and record.sequence > stop:
                return
            if matches(self._subjects[index]):
                yield record

    # ---- what is written

    def write(self, messages: Sequence[Message], fence: Fence | None) -> list[Outcome]:
        """Append in order, as a stream with one replica or, if ``replicated``, as one with several does."""
        if not self.replicated or len(messages) == 1:
            return self._until_refused(messages, fence)
        outcomes: list[Outcome] = []
        for start in range(0, len(messages), BATCH_MAX):
            batch = messages[start : start + BATCH_MAX]
            failed = next((o for o in outcomes if not isinstance(o, Appended)), None)
            if failed is None and any(id_ in self._ids for _, id_, _ in batch):
                outcomes += self._until_refused(
                    batch, fence
                )  # as muster.broker.nats does when told of a duplicate
                continue
            failed = failed or self._broken(fence) or self._no_room()
            outcomes += [failed or self._store(message) for message in batch]
        self.changed.notify()
        return outcomes

    def put(self, subject: str, line: bytes) -> int:
        """Store any bytes under any subject, as a foreign client could."""
        appended = self._store((subject, "", line))
        self.changed.notify()
        return appended.sequence

    def purge(self, filter_: str, below: int | None = None) -> None:
        """Erase what matches and has a sequence less than ``below``; sequences are not given again."""
        matches = matcher([filter_])
        kept = [
            (sequence, subject, record)
            for sequence, subject, record in zip(self._sequences, self._subjects, self._records, strict=True)
            if not matches(subject) or (below is not None and sequence >= below)
        ]
        self._keep(kept)

    # ---- what goes wrong

    def wipe(self) -> None:
        """The stream is lost and made anew."""
        # A clock that stands still must not make two streams look like one.
        self.created = max(self.clock(), self.created + timedelta(microseconds=1))
        self._last = 0
        self._ids: dict[str, int] = {}
        self._stored: dict[int, datetime] = {}
        self._keep([])

    def lose_from(self, sequence: int) -> None:
        """The broker lost acknowledged writes: the log ends before ``sequence`` again."""
        kept = zip(self._sequences, self._subjects, self._records, strict=True)
        self._keep([entry for entry in kept if entry[0] < sequence])
        self._last = min(self._last, sequence - 1)
        self._ids = {id_: at for id_, at in self._ids.items() if at < sequence}

    def forget_ids(self) -> None:
        """The de-duplication window has passed for everything written so far."""
        self._ids.clear()

    # ---- inside

    def _keep(self, entries: list[tuple[int, str, Recorded]]) -> None:
        self._sequences = [sequence for sequence, _, _ in entries]
        self._subjects = [subject for _, subject, _ in entries]
        self._records = [record for _, _, record in entries]
        self._newest = {subject: sequence for sequence, subject, _ in entries}
        self._stored = {sequence: self._stored[sequence] for sequence in self._sequences}
        self.changed.notify()

    def _until_refused(self, messages: Sequence[Message], fence: Fence | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        refused: Refused | None = None
        for message in messages:
            if refused is None:
                outcome = self._one(message, fence)
                refused = outcome if isinstance(outcome, Refused) else None
            outcomes.append(refused or outcome)
        self.changed.notify()
        return outcomes

    def _one(self, message: Message, fence: Fence | None) -> Outcome:
        # One replica looks at the fence first, several look at the ids first: measured on NATS 2.15.
        known = self._ids.get(message[1])
        if known is not None and self.replicated:
            return Appended(known, duplicate=True)
        if (refused := self._broken(fence)) is not None:
            return refused
        if known is not None:
            return Appended(known, duplicate=True)
        return self._no_room() or self._store(message)

    def _broken(self, fence: Fence | None) -> Refused | None:
        if fence is None or self._newest.get(fence.subject, 0) == fence.sequence:
            return None
        last = self._newest.get(fence.subject, 0)
        return Refused(WRONG_LAST, f"wrong last sequence: {last}", replaced=True)

    def _no_room(self) -> Refused | None:
        return Refused(FULL, "maximum bytes exceeded", full=True) if self.full else None

    def _store(self, message: Message) -> Appended:
        subject, id_, line = message
        self._last += 1
        # As in a broker, whose times rise with the sequences whatever its clock does.
        now = max(self.clock(), next(reversed(self._stored.values()), self.created))
        self._stored[self._last] = now
        event = decode_event(line, sequence=self._last, subject=subject, time=now)
        self._sequences.append(self._last)
        self._subjects.append(subject)
        self._records.append(Recorded(self._last, event))
        self._newest[subject] = self._last
        if id_:
            self._ids[id_] = self._last
        return Appended(self._last)
