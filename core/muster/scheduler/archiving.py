"""Moving executions that ended long ago out of the log: a task beside the rounds of one term.

Theory of operation
-------------------
What is due is read from the log each time: the terminal events that are older than the limit (those of archived
executions are gone from it). For each, in this order:

1. its object is put: all its events, in one object under its name, written once, and read back;
2. ``log.archived`` names the objects of the batch by their hashes, under the fence of our election;
3. only when that is seen in the log, the stream lets its events go, up to the last one that is in the object.

A leader that dies, or is replaced, after any of these leaves something that the next one ends. An object that is there
already is *adopted* if it holds the beginning of the execution's history, up to its end at least: what came later
stays in the stream, as every fact does that comes after archiving, and readers merge it. It is never written anew, so
nothing that a ``log.archived`` names can be destroyed by one who does not know that he was replaced. Objects that the
newest ``log.archived`` names and whose events still stand are only erased; a batch is erased before the next one is
named, so no older one has to be looked at.

An execution stays while a machine still holds room for one of its attempts: whoever folds the log anew must find it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, Final, TypeVar

from muster import fault
from muster.archive import packing
from muster.archive.manifest import digest
from muster.broker.interface import Broker, Delivery
from muster.clock import Clock
from muster.model.engine.state import CLEARED
from muster.model.errors import ArchiveDamagedError, BrokerError
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.commands import Archive
from muster.scheduler.follower import Follower
from muster.scheduler.options import SchedulerOptions
from muster.scheduler.proposals import Proposals

log = logging.getLogger("muster.scheduler")

DUE_MAX: Final = 10_000
"""Executions of one pass; what is left is for the next, which follows at once."""
AT_ONCE: Final = 4
"""Executions of a batch that are put, and erased, side by side."""
ENDS: Final = frozenset({"execution.succeeded", "execution.failed", "execution.cancelled"})

T = TypeVar("T")


class Archiving:
    """Moves what is due, every now and then and when it is asked to."""

    def __init__(
        self,
        broker: Broker,
        follower: Follower,
        options: SchedulerOptions,
        clock: Clock,
        proposals: Proposals,
        turn: asyncio.Lock,
    ) -> None:
        self._broker = broker
        self._follower = follower
        self._options = options
        self._clock = clock
        self._proposals = proposals
        self._turn = turn
        self._asked: asyncio.Queue[tuple[Archive, Delivery]] = asyncio.Queue()
        self._kept: set[str] = set()
        self._sweep_s = 0.0

    def ask(self, command: Archive, delivery: Delivery) -> None:
        """Somebody wants it now."""
        self._asked.put_nowait((command, delivery))

    async def run(self, done: Callable[[Delivery], Awaitable[None]]) -> None:
        """Move until cancelled; ``done`` acknowledges a command. Raises BrokerError."""
        every_s = self._options.archive_every_s
        await self._safely(self._finish())
        while True:
            try:
                async with asyncio.timeout(every_s or None):
                    command, delivery = await self._asked.get()
            except TimeoutError:
                await self._safely(self._pass())
                continue
            await self._answer(command)
            await done(delivery)

    async def _safely(self, work: Coroutine[Any, Any, None]) -> None:
        """What cannot be archived now stays in the log, and is due the next time."""
        try:
            await work
        except (BrokerError, ArchiveDamagedError) as error:
            log.warning("archiving goes on later: %s", error)

    async def _pass(self) -> None:
        cutoff = self._clock.now() - timedelta(seconds=self._options.archive_after_s)
        cause = f"timer:archive:{cutoff.isoformat()}"
        while await self.move(cutoff, cause) > DUE_MAX // 2:
            log.info("archiving: more is due")
        await self._sweep()

    async def _finish(self) -> None:
        """End what an earlier leader began: named in the newest ``log.archived``, and still standing."""
        newest = await self._broker.archive.manifest.newest()
        if newest is None or not isinstance(newest.event.data, c.LogArchived):
            return
        standing: list[str] = []
        for moved in newest.event.data.objects:
            async with aclosing(self._broker.log.read(moved.first, stop=moved.first)) as batches:
                async for batch in batches:
                    standing += [recorded.event.execution for recorded in batch]
        if standing:
            async with self._turn:
                await self._batch(standing, newest.event.id, 0)

    async def _answer(self, command: Archive) -> None:
        """Move what is asked for. The answer is in the log: a ``log.archived`` with nothing left, or the refusal."""
        older_s = self._options.archive_after_s if command.older_than_s is None else command.older_than_s
        cutoff = self._clock.now() - timedelta(seconds=max(0.0, older_s))
        self._kept.clear()
        try:
            await self.move(cutoff, command.id, answer=True)
        except (BrokerError, ArchiveDamagedError) as error:
            await self._proposals.refuse("archive", command, error)

    # ---- one pass

    async def move(self, cutoff: datetime, cause: str, *, answer: bool = False) -> int:
        """Move what ended before ``cutoff``; how many moved. ``answer``: the last word is written in any case.

        Raises ArchiveUnavailableError, BrokerError.
        """
        due = await self._due(cutoff)
        waiting = iter(due)
        left, moved = len(due), 0
        while batch := list(islice(waiting, self._options.archive_batch)):
            left -= len(batch)
            async with self._turn:
                fresh = await self._batch(batch, cause, left)
            moved += fresh
            answer = answer and not (fresh and left == 0)
        if answer:
            await self._tell([], cause, 0)
        return moved

    async def _due(self, cutoff: datetime) -> list[str]:
        """The executions that ended before ``cutoff``, the oldest end first, without those that have to stay."""
        found: dict[str, None] = {}
        async with aclosing(self._broker.log.read(subjects=subjects.ENDED)) as batches:
            async for batch in batches:
                for recorded in batch:
                    if recorded.event.time >= cutoff or len(found) >= DUE_MAX:
                        return [each for each in found if each not in self._kept]
                    found[recorded.event.execution] = None
        return [each for each in found if each not in self._kept]

    def _movable(self, executions: Sequence[str]) -> Iterator[str]:
        state = self._follower.state
        held = {ref.execution for machine in state.machines.values() for ref in machine.held}
        for execution in executions:
            if execution not in held and state.ended.get(execution) != CLEARED:
                yield execution

    async def _batch(self, executions: Sequence[str], cause: str, left: int) -> int:
        """Move these; how many objects the log was told of."""
        newest = await self._broker.archive.manifest.newest()
        body = newest.event.data if newest else None
        told = {one.first: one for one in body.objects} if isinstance(body, c.LogArchived) else {}
        movable = list(self._movable(executions))
        put = await self._at_once(partial(self._put_or_keep, execution, told) for execution in movable)
        moved = {execution: one for execution, one in zip(movable, put, strict=True) if one is not None}
        moved = await self._checked(moved)
        fresh = [one for one in moved.values() if told.get(one.first) != one]
        await fault.point("scheduler.archive.tell")
        if fresh:
            await self._tell(fresh, cause, left)
            await self._check_told(fresh)
        await self._at_once(partial(self._erase, execution, one) for execution, one in moved.items())
        await fault.point("scheduler.archive.done")
        return len(fresh)

    async def _erase(self, execution: str, moved: c.Moved) -> None:
        await fault.point("scheduler.archive.erase")
        await self._broker.log.erase(execution, moved.last + 1)

    async def _at_once(self, works: Iterable[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """A few side by side: each is mostly waiting for the broker, and the rounds need it as well."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
            async with room:
                return await work()

        tasks = [asyncio.create_task(one(work), name="archiving") for work in works]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _checked(self, moved: dict[str, c.Moved]) -> dict[str, c.Moved]:
        """Those whose object, read back, is what the log will say that it is. No other may leave the stream."""
        got = await self._broker.archive.home.get(list(moved))
        kept: dict[str, c.Moved] = {}
        for (execution, one), data in zip(moved.items(), got, strict=True):
            if data is not None and sha256(data).hexdigest() == one.sha256:
                kept[execution] = one
            else:
                self._keep(execution, "its object, read back, is not the one that was put")
        return kept

    async def _check_told(self, moved: Sequence[c.Moved]) -> None:
        """Raise BrokerError unless the newest ``log.archived`` is ours.

        The broker takes an event whose id it knows for one that it has, and acknowledges it.
        """
        newest = await self._broker.archive.manifest.newest()
        body = newest.event.data if newest else None
        if not isinstance(body, c.LogArchived) or body.objects != list(moved):
            raise BrokerError("What was archived is not named by the log, so nothing of it is erased.")

    def _keep(self, execution: str, reason: str) -> None:
        """It stays in the log as it is, until this term ends or somebody asks."""
        log.warning("the execution %s is not archived: %s", execution, reason)
        self._kept.add(execution)

    async def _tell(self, moved: list[c.Moved], cause: str, left: int) -> None:
        """Name the objects in the log. Nobody else writes there, so what is the newest now is the one before."""
        newest = await self._broker.archive.manifest.newest()
        before = newest.event.data.first if newest and isinstance(newest.event.data, c.LogArchived) else 0
        firsts = [one.first for one in moved] + ([before] if before else [])
        body = c.LogArchived(
            place=self._broker.archive.home.place,
            objects=moved,
            previous=digest(newest) if newest else "",
            first=min(firsts, default=0),
            left=left,
        )
        await self._proposals.write(body, cause)

    # ---- one execution

    async def _put_or_keep(self, execution: str, told: dict[int, c.Moved]) -> c.Moved | None:
        try:
            return await self._put(execution, told)
        except ArchiveDamagedError as error:
            self._keep(execution, str(error))
            return None

    async def _put(self, execution: str, told: dict[int, c.Moved]) -> c.Moved | None:
        """Have its object in the archive; what the manifest says, or will say, of it. None where it has to stay."""
        packer, known, begun = packing.Packer(), None, False
        wanted = [subjects.events(execution=execution)]
        async with aclosing(self._broker.log.read(subjects=wanted)) as batches:
            async for batch in batches:
                known = known if begun else told.get(batch[0].sequence)
                begun = True
                packer.add([each for each in batch if known is None or each.sequence <= known.last])
                if packer.size > self._options.archive_object_bytes:
                    break
        data, moved = packer.object()
        if not moved.events:
            return None
        if moved.bytes > self._options.archive_object_bytes:
            self._keep(execution, "its history is larger than archive_object_bytes")
            return None
        await fault.point("scheduler.archive.put")
        home = self._broker.archive.home
        if await home.put(execution, data):
            return moved
        [there] = await home.get([execution])
        if there is None:
            raise BrokerError(f"The object of {execution} went away while it was looked at.")
        return _adopted(execution, there, data)

    # ---- what was left behind

    async def _sweep(self) -> None:
        """Objects of cleared executions, put by a leader that did not know that it was replaced, go too."""
        if self._clock.seconds() < self._sweep_s:
            return
        self._sweep_s = self._clock.seconds() + self._options.archive_sweep_s
        cleared: set[str] = set()
        async with aclosing(self._broker.log.read(subjects=[subjects.CLEARED])) as batches:
            async for batch in batches:
                cleared.update(recorded.event.execution for recorded in batch)
        if not cleared or await self._broker.archive.manifest.newest() is None:
            return
        async with aclosing(self._broker.archive.home.heads(anew=True)) as listing:
            async for heads in listing:
                self._follower.late.update(head.name for head in heads if head.name in cleared)


def _adopted(execution: str, there: bytes, data: bytes) -> c.Moved:
    """What an object holds that was there before ours, if it is the beginning of our history and reaches its end.

    Raises ArchiveDamagedError for any other.
    """
    held = list(packing.lines(there, execution))
    ended = any(packing.recorded(*each, execution).event.kind in ENDS for each in held)
    if not ended or held != list(islice(packing.lines(data, execution), len(held))):
        raise ArchiveDamagedError(
            f"The archive holds an object of {execution} that is not its history.",
            remedy="Find out whose it is, and remove it; until then the execution stays in the log.",
        )
    return c.Moved(
        sha256=sha256(there).hexdigest(),
        bytes=len(there),
        events=len(held),
        first=held[0][0],
        last=held[-1][0],
    )
