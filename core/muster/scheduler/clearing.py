"""Erasing what was cleared, until nothing of it is left but its marker.

Theory of operation
-------------------
``execution.cleared`` names every place in the log that will be empty (and the archived object that will be gone), so
that an erasure can be told from a loss. So what it does not name is not erased. Before anything is, it is looked once
more: where there is more by now (a fact that came late, an object of an archiving that was under way) a further marker
is written that names all of it, and the earlier marker too. Only then everything below is erased, and in the end one
marker is left, the last.

Every step may be repeated. The command is acknowledged when all is done, so a leader that dies in the middle is
followed by one that begins again. Facts that come later, from an agent that was away, are seen by the follower, which
knows what was cleared; so is, at the start of a term, whatever an earlier leader left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from hashlib import sha256

from muster import fault
from muster.archive import packing
from muster.archive.objects import Objects, found
from muster.broker.interface import Broker, Delivery
from muster.model.errors import ArchiveDamagedError, ArchiveUnavailableError, BrokerError
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.envelope import Recorded
from muster.model.log.retention import Range, joined
from muster.scheduler.follower import Follower
from muster.scheduler.proposals import Proposals

log = logging.getLogger("muster.scheduler")

RETRY_S = 5.0
"""Before an archive that cannot be reached is asked again to let go of what was cleared."""


async def erasable(broker: Broker, execution: str) -> c.ExecutionCleared:
    """What a clear of this execution has to erase. Raises ArchiveUnavailableError."""
    standing = await _standing(broker, execution)
    archived = await broker.archive.find(execution)
    return _marker(c.ExecutionCleared(events=0), standing, archived, execution)


def _marker(
    before: c.ExecutionCleared, standing: Sequence[Recorded], archived: bytes | None, execution: str
) -> c.ExecutionCleared:
    """What stands in the stream and in the archive, added to what was erased before."""
    places = {recorded.sequence for recorded in standing} | _held(archived, execution)
    fresh = sum(not _within(before.sequences, sequence) for sequence in places)
    return c.ExecutionCleared(
        events=(before.events or 0) + fresh,
        sequences=joined([*before.sequences, *((each, each) for each in places)]),
        archived=before.archived if archived is None else sha256(archived).hexdigest(),
        held=before.held,
    )


def _held(archived: bytes | None, execution: str) -> set[int]:
    try:
        return set() if archived is None else {sequence for sequence, _ in packing.lines(archived, execution)}
    except ArchiveDamagedError as error:
        log.warning("what is erased is not known in full: %s", error)
        return set()


def _within(ranges: Sequence[Range], sequence: int) -> bool:
    return any(first <= sequence <= last for first, last in ranges)


async def _standing(broker: Broker, execution: str) -> list[Recorded]:
    standing: list[Recorded] = []
    async with aclosing(broker.log.read(subjects=[subjects.events(execution=execution)])) as batches:
        async for batch in batches:
            standing += batch
    return standing


class Clearing:
    """Erases beside the rounds of one term. ``turn`` is shared with what archives: never both at once."""

    def __init__(self, broker: Broker, follower: Follower, proposals: Proposals, turn: asyncio.Lock) -> None:
        self._broker = broker
        self._follower = follower
        self._proposals = proposals
        self._turn = turn
        self._asked: list[tuple[str, Delivery]] = []
        self._woken = asyncio.Event()

    def ask(self, execution: str, delivery: Delivery) -> None:
        """The marker is in the log: erase, then acknowledge the command."""
        self._asked.append((execution, delivery))
        self._woken.set()

    def wake(self) -> None:
        """There may be something that came late."""
        if self._follower.late:
            self._woken.set()

    async def run(self, done: Callable[[Delivery], Awaitable[None]]) -> None:
        """Erase until cancelled; ``done`` acknowledges a command."""
        self.wake()
        while True:
            await self._woken.wait()
            self._woken.clear()
            asked, self._asked = self._asked, []
            for execution, delivery in asked:
                if await self._try(execution):
                    await done(delivery)
                else:
                    self._asked.append((execution, delivery))
            late, failed = self._follower.late, set()
            while late:
                execution = late.pop()
                if not await self._try(execution, only_late=True):
                    failed.add(execution)
            late |= failed
            if self._asked or failed:
                asyncio.get_running_loop().call_later(RETRY_S, self._woken.set)

    async def _try(self, execution: str, *, only_late: bool = False) -> bool:
        try:
            async with self._turn:
                await self.erase(execution, only_late=only_late)
        except BrokerError as error:
            log.warning("the execution %s is cleared and not yet erased: %s", execution, error)
            return False
        return True

    async def erase(self, execution: str, *, only_late: bool = False) -> None:
        """Erase one execution, if it is marked. ``only_late``: unless nothing of it is there."""
        while True:
            marker = await self._broker.log.last(subjects.cleared(execution))
            if marker is None or not isinstance(marker.event.data, c.ExecutionCleared):
                return
            standing = [each for each in await _standing(self._broker, execution) if _counts(each, marker)]
            archived = await found(await self._places(), execution)
            if only_late and not standing and archived is None:
                return
            whole = _marker(marker.event.data, standing, archived, execution)
            if whole == marker.event.data or (not standing and archived is None):
                break
            await self._mark(execution, marker, whole, standing)
        await fault.point("scheduler.clear.erase")
        # While its events stand, who comes after looks here again.
        await self._broker.artifacts.erase(execution)
        if marker.event.data.sequences:
            await self._broker.log.erase(execution, marker.event.data.sequences[-1][1] + 1)
        await fault.point("scheduler.clear.log")
        await self._broker.lines.purge(execution)
        await self._broker.commands.forget(execution)
        await self._broker.heartbeats.forget(execution)
        for objects in await self._places():
            await objects.delete(execution)
        await fault.point("scheduler.clear.done")

    async def _mark(
        self, execution: str, marker: Recorded, whole: c.ExecutionCleared, standing: Sequence[Recorded]
    ) -> None:
        """A further marker, which stands for the one before it as well."""
        own = (marker.sequence, marker.sequence)
        body = c.ExecutionCleared(
            events=(whole.events or 0) + 1,
            sequences=joined([*whole.sequences, own]),
            archived=whole.archived,
        )
        cause = standing[-1].event.id if standing else marker.event.id
        await self._proposals.write(
            body, cause, execution=execution, event_id=f"{execution}:cleared:{marker.sequence}"
        )

    async def _places(self) -> list[Objects]:
        """Where an object may be: where the log says so, and where the next one would go, if that place is there."""
        archive = self._broker.archive
        named = await archive.places()
        if any(objects.place == archive.home.place for objects in named):
            return named
        try:
            await archive.home.get(["none"])
        except ArchiveUnavailableError:
            return named
        return [*named, archive.home]


def _counts(recorded: Recorded, marker: Recorded) -> bool:
    """Whether it has to go: all but the marker itself, and what was asked of the id after it."""
    if recorded.sequence == marker.sequence:
        return False
    return recorded.event.kind != "command.refused" or recorded.sequence < marker.sequence
