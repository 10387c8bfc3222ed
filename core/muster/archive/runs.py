"""Archived events between two sequences, in order: many objects read side by side.

An object is opened when its first event comes near, unpacked bit by bit and let go at its last; some are fetched ahead.
So memory follows from how many executions overlapped, not from how many there are.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import Final

from muster.archive import packing
from muster.archive.archive import Archive
from muster.archive.manifest import Entry
from muster.broker.filters import matcher
from muster.model.log import subjects as names
from muster.model.log.envelope import Recorded

GROUP: Final = 64
"""Objects fetched together."""
GROUP_BYTES: Final = 8 << 20
"""... up to this size together, which bounds what is held besides the open ones."""

by_sequence = attrgetter("sequence")


class Choice:
    """Which events are wanted; a line that cannot be one of them is not even decoded."""

    def __init__(self, subjects: Sequence[str]) -> None:
        self.matches = matcher(subjects)
        self._all = not subjects
        found = [_needle(subject) for subject in subjects]
        self._needles: list[bytes] = [] if b"" in found else found

    def decoded(self, sequence: int, line: bytes, name: str) -> Recorded | None:
        """The event of the line if it is wanted. Raises ArchiveDamagedError."""
        if self._all:
            return packing.recorded(sequence, line, name)
        if self._needles and not any(needle in line for needle in self._needles):
            return None
        recorded = packing.recorded(sequence, line, name)
        return recorded if self.matches(names.event(recorded.event)) else None


def _needle(subject: str) -> bytes:
    """Bytes that stand in every line on the subject: its kind, or its noun, as the envelope writes it."""
    tokens = subject.split(".")
    if len(tokens) < 5 or tokens[4] in {"*", ">"}:
        return b""
    verb = f"{tokens[5]}.v" if len(tokens) > 5 and tokens[5] not in {"*", ">"} else ""
    return f'"io.muster.{tokens[4]}.{verb}'.encode()


class Run:
    """One object being read."""

    def __init__(self, name: str, data: bytes, choice: Choice) -> None:
        self._name = name
        self._choice = choice
        self._parts = packing.texts(data, name)
        self._texts: list[bytes] = []
        self._at = 0
        self.next = self._look()

    def _look(self) -> int | None:
        """The sequence that comes next; None at the end."""
        while self._at == len(self._texts):
            texts = next(self._parts, None)
            if texts is None:
                return None
            self._texts, self._at = texts, 0
        return packing.numbered(self._texts[self._at], self._name)[0]

    def take(self, low: int, high: int, found: list[Recorded]) -> None:
        """Add what is wanted from ``low`` to ``high``, and go beyond it."""
        numbered, decoded, name = packing.numbered, self._choice.decoded, self._name
        while self.next is not None and self.next <= high:
            beyond = None
            for text in islice(self._texts, self._at, None):
                sequence, line = numbered(text, name)
                if sequence > high:
                    beyond = sequence
                    break
                self._at += 1
                if sequence >= low and (recorded := decoded(sequence, line, name)) is not None:
                    found.append(recorded)
            self.next = self._look() if beyond is None else beyond


class Runs:
    """What was archived, as far as it was admitted here; ``take`` goes through it once, upwards."""

    def __init__(self, archive: Archive, choice: Choice) -> None:
        self._archive = archive
        self._choice = choice
        self._waiting: list[tuple[int, int, Entry]] = []
        self._open: list[Run] = []
        self._ahead: asyncio.Task[list[Run]] | None = None
        self._ahead_first = 0

    def admit(self, entries: Iterable[Entry]) -> None:
        """These are in the archive."""
        for entry in entries:
            heapq.heappush(self._waiting, (entry.first, entry.told, entry))

    def add(self, name: str, data: bytes) -> None:
        """This object is read too."""
        self._open.append(Run(name, data, self._choice))

    @property
    def next(self) -> int | None:
        """No event that is left stands below this; None where none is left."""
        found = [run.next for run in self._open if run.next is not None]
        if self._waiting:
            found.append(self._waiting[0][0])
        if self._ahead is not None:
            found.append(self._ahead_first)
        return min(found, default=None)

    async def take(self, low: int, high: int) -> list[Recorded]:
        """What is wanted from ``low`` to ``high``, in order. Raises ArchiveDamagedError, ArchiveUnavailableError."""
        while await self._opened(high):
            pass
        found: list[Recorded] = []
        for run in self._open:
            run.take(low, high, found)
        self._open = [run for run in self._open if run.next is not None]
        found.sort(key=by_sequence)
        return found

    async def _opened(self, high: int) -> bool:
        """Open what begins up to ``high``, a group at a time; False where nothing more does."""
        if self._ahead is None:
            if not self._waiting or self._waiting[0][0] > high:
                return False
            self._fetch()
        elif self._ahead_first > high:
            if not self._waiting or self._waiting[0][0] > high:
                return False
            self._open += await self._opening(self._group(high))  # admitted behind what is fetched already
            return True
        assert self._ahead is not None
        task, self._ahead = self._ahead, None
        self._open += await task
        if self._waiting:
            self._fetch()
        return True

    def _fetch(self) -> None:
        self._ahead_first = self._waiting[0][0]
        self._ahead = asyncio.create_task(self._opening(self._group(None)), name="archive-ahead")

    def _group(self, high: int | None) -> list[Entry]:
        group: list[Entry] = []
        size = 0
        while self._waiting and len(group) < GROUP and size < GROUP_BYTES:
            if high is not None and self._waiting[0][0] > high:
                break
            entry = heapq.heappop(self._waiting)[2]
            size += entry.size
            group.append(entry)
        return group

    async def _opening(self, group: Sequence[Entry]) -> list[Run]:
        try:
            opened = await self._archive.open(group)
        except BaseException:
            self.admit(group)  # whoever asks again finds them
            raise
        return [Run(name, data, self._choice) for _, name, data in opened]

    async def close(self) -> None:
        """Fetch nothing more."""
        task, self._ahead = self._ahead, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
