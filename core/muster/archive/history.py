"""The past as one: what stands in the log and what moved from it into the archive, merged by sequence.

Theory of operation
-------------------
Executions move while we read. Three facts make that harmless:

1. An object is in its place before a ``log.archived`` names it, and that is in the log before anything is taken out of
   the stream. So what the stream lacks and nobody erased is in an object of a ``log.archived`` that can be seen *by the
   time the gap can be seen*.
2. A batch of the stream's reader says what the stream holds up to its last sequence; nothing more can come below it.
3. Sequences are never given twice.

So reading goes in windows. For each batch of the stream, and once more at the end, it is asked whether something was
archived since we last looked (the newest ``log.archived``, one question); if so its objects join those that are read.
Only then is the window handed over, merged with what the objects hold within it; what is in both counts once. A batch
without a gap in its sequences needs no question.

A follower that waits for events which are already archived would wait for ever. So who follows with a filter also
reads ``log.archived``, whose place is above everything it names, and does not hand it on. For a filter that names
executions no index is needed: an execution is either in the stream with its ``execution.queued`` or an object by name.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeVar

from muster.archive import packing
from muster.archive.archive import Archive
from muster.archive.runs import Choice, Runs, by_sequence
from muster.broker.filters import matcher
from muster.broker.interface import EventLog, Position
from muster.model.errors import ArchiveUnavailableError, BrokerError, LogChangedError
from muster.model.log import catalogue as c
from muster.model.log import subjects as names
from muster.model.log.envelope import Recorded
from muster.model.log.names import NO_EXECUTION

WINDOW: Final = 4
"""Archived events are unpacked up to as many times ``read_batch`` ahead."""
RETRY_S: Final = 0.3
"""Before the broker is asked again, once its connection stands."""

T = TypeVar("T")


class Sight(Protocol):
    """What of the archive concerns one reading."""

    runs: Runs

    async def look(self, low: int) -> None:
        """See what was archived since the last look and is not all below ``low``. Raises BrokerError."""
        ...


class Everything:
    """Every object of the manifest that begins up to ``end``."""

    def __init__(self, archive: Archive, choice: Choice, end: int | None) -> None:
        self.runs = Runs(archive, choice)
        self._archive = archive
        self._end = end
        self._told = 0

    async def look(self, low: int) -> None:
        """See ``Sight.look``."""
        manifest = self._archive.manifest
        if not await manifest.refresh() or manifest.sequence == self._told:
            return
        fresh = manifest.after(self._told)
        self._told = manifest.sequence
        self.runs.admit(
            entry for entry in fresh if entry.last >= low and (self._end is None or entry.first <= self._end)
        )


class Named:
    """The objects of a few executions, each fetched once it has left the stream."""

    def __init__(self, log: EventLog, archive: Archive, choice: Choice, executions: Sequence[str]) -> None:
        self.runs = Runs(archive, choice)
        self._log = log
        self._archive = archive
        self._missing = dict.fromkeys(executions)
        self._told = 0

    async def look(self, low: int) -> None:  # noqa: ARG002 - nothing is said of an object before it is here
        """See ``Sight.look``."""
        if not self._missing:
            return
        newest = await self._archive.manifest.newest()
        if newest is None or newest.sequence == self._told:
            return
        for execution in list(self._missing):
            if await self._log.last(names.queued(execution)) is None:
                data = await self._archive.find(execution)
                if data is not None:
                    del self._missing[execution]
                    self.runs.add(execution, data)
        self._told = newest.sequence


class History:
    """A ``LogReader`` over both sides of the border. ``ready`` waits until the connection stands; False once closed."""

    def __init__(
        self, log: EventLog, archive: Archive, batch: int, ready: Callable[[], Awaitable[bool]]
    ) -> None:
        self._log = log
        self._archive = archive
        self._batch = batch
        self._ready = ready

    async def position(self) -> Position:
        """See ``LogReader.position``; ``first`` is that of the oldest event archived, if there is one."""
        position = await self._log.position()
        newest = await self._archive.manifest.newest()
        if newest is None or not isinstance(newest.event.data, c.LogArchived):
            return position
        first = newest.event.data.first or position.first
        return Position(position.created, min(first, position.first), position.last)

    async def last(self, subject: str) -> Recorded | None:
        """See ``LogReader.last``."""
        found = await self._log.last(subject)
        execution = _execution(subject)
        if execution == NO_EXECUTION or await self._archive.manifest.newest() is None:
            return found
        if execution == "*":
            return await self._newest_run(subject, found)
        return await self._named_run(subject, execution, found)

    async def _named_run(self, subject: str, execution: str, found: Recorded | None) -> Recorded | None:
        if await self._log.last(names.queued(execution)) is not None:
            return found
        data = await self._archive.find(execution)
        archived = None if data is None else _newest(data, execution, Choice([subject]))
        return max((each for each in (found, archived) if each is not None), key=by_sequence, default=None)

    async def _newest_run(self, subject: str, found: Recorded | None) -> Recorded | None:
        """Among all objects, those with the newest events first; those that end below ``found`` cannot hold it."""
        await self._archive.manifest.refresh()
        choice, best = Choice([subject]), found
        for entry in sorted(self._archive.manifest.after(0), key=lambda entry: -entry.last):
            if best is not None and entry.last <= best.sequence:
                break
            for _, name, data in await self._archive.open([entry]):
                newest = _newest(data, name, choice)
                if newest is not None and (best is None or newest.sequence > best.sequence):
                    best = newest
        return best

    async def sequence_at(self, time: datetime) -> int:
        """See ``LogReader.sequence_at``. Among events that left the stream it goes by their own times."""
        found = await self._log.sequence_at(time)
        if found < 1 or await self._archive.manifest.newest() is None:
            return found
        below = await self._last_standing(found)
        if below == found:
            return found
        newest, missing = below, True
        async with aclosing(self.read(below + 1, stop=found)) as batches:
            async for batch in batches:
                missing = False
                newest = max([newest, *(each.sequence for each in batch if each.event.time <= time)])
        return found if missing else newest

    async def _last_standing(self, found: int) -> int:
        """The last sequence up to ``found`` that the stream still holds; 0 for none."""
        low, high = (found, found) if await self._holds(found, found) else (0, found - 1)
        while low < high:
            middle = (low + high + 1) // 2
            if await self._holds(middle, found):
                low = middle
            else:
                high = middle - 1
        return low

    async def _holds(self, start: int, stop: int) -> bool:
        async with aclosing(self._log.read(start, stop=stop)) as batches:
            async for _ in batches:
                return True
        return False

    # ---- reading

    async def read(
        self, start: int = 1, *, subjects: Sequence[str] = (), stop: int | None = None
    ) -> AsyncGenerator[list[Recorded], None]:
        """See ``LogReader.read``. Raises ArchiveUnavailableError, ArchiveDamagedError."""
        position = await self._log.position()
        end = position.last if stop is None else min(stop, position.last)
        batches = self._log.read(start, subjects=subjects, stop=end)
        sight = self._sight(subjects, end)
        async with aclosing(self._walk(sight, batches, max(1, start), dense=not subjects, end=end)) as merged:
            async for batch in merged:
                yield batch

    async def follow(
        self, start: int = 1, *, subjects: Sequence[str] = ()
    ) -> AsyncGenerator[list[Recorded], None]:
        """See ``LogReader.follow``. Raises ArchiveUnavailableError, ArchiveDamagedError."""
        wanted = (
            [*subjects, names.ARCHIVED] if subjects and not matcher(subjects)(names.ARCHIVED) else subjects
        )
        batches = self._log.follow(start, subjects=wanted)
        sight = self._sight(subjects, None)
        hidden = len(wanted) > len(subjects)
        async with aclosing(
            self._walk(sight, batches, max(1, start), dense=not subjects, end=None)
        ) as merged:
            async for batch in merged:
                kept = [each for each in batch if each.event.kind != "log.archived"] if hidden else batch
                if kept:
                    yield kept

    def _sight(self, subjects: Sequence[str], end: int | None) -> Sight:
        choice = Choice(subjects)
        executions = named(subjects)
        if executions is None:
            return Everything(self._archive, choice, end)
        return Named(self._log, self._archive, choice, executions)

    async def _walk(
        self,
        sight: Sight,
        batches: AsyncGenerator[list[Recorded], None],
        low: int,
        *,
        dense: bool,
        end: int | None,
    ) -> AsyncGenerator[list[Recorded], None]:
        try:
            async with aclosing(batches):
                async for batch in batches:
                    high = batch[-1].sequence
                    if dense and len(batch) == high - low + 1:
                        yield batch
                    else:
                        async for merged in self._window(sight, low, high, batch):
                            yield merged
                    low = high + 1
            if end is not None and low <= end:
                async for merged in self._window(sight, low, end, []):
                    yield merged
        finally:
            await sight.runs.close()

    async def _window(
        self, sight: Sight, low: int, high: int, batch: list[Recorded]
    ) -> AsyncGenerator[list[Recorded], None]:
        await self._patiently(partial(sight.look, low))
        taken = 0
        while (next_ := sight.runs.next) is not None and next_ <= high:
            cut = min(high, max(low, next_) + WINDOW * self._batch)
            found = await self._patiently(partial(sight.runs.take, low, cut))
            upto = bisect_right(batch, cut, taken, key=by_sequence)
            for part in self._parts(_merged(batch[taken:upto], found)):
                yield part
            low, taken = cut + 1, upto
        if taken < len(batch):
            yield batch[taken:]

    def _parts(self, merged: list[Recorded]) -> list[list[Recorded]]:
        return [merged[at : at + self._batch] for at in range(0, len(merged), self._batch)]

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again where the connection broke meanwhile: a reading outlives that."""
        while True:
            try:
                return await ask()
            except (ArchiveUnavailableError, LogChangedError):
                raise
            except BrokerError:
                if not await self._ready():
                    raise
                await asyncio.sleep(RETRY_S)


def named(subjects: Sequence[str]) -> list[str] | None:
    """The executions a filter is limited to; None where it is not."""
    found = dict.fromkeys(_execution(subject) for subject in subjects)
    if not found or "*" in found:
        return None
    return [execution for execution in found if execution != NO_EXECUTION]


def _execution(subject: str) -> str:
    tokens = subject.split(".")
    return tokens[3] if len(tokens) > 3 and tokens[3] != ">" else "*"


def _newest(data: bytes, name: str, choice: Choice) -> Recorded | None:
    newest = None
    for sequence, line in packing.lines(data, name):
        if (recorded := choice.decoded(sequence, line, name)) is not None:
            newest = recorded
    return newest


def _merged(standing: list[Recorded], archived: list[Recorded]) -> list[Recorded]:
    """Both in order; what is in both, once, as it stands in the log."""
    if not archived or not standing:
        return standing or archived
    there = {recorded.sequence for recorded in standing}
    merged = [*standing, *(recorded for recorded in archived if recorded.sequence not in there)]
    merged.sort(key=by_sequence)
    return merged
