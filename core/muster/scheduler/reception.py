"""Commands as they come in: received, looked up where memory has let an execution go, kept until a round takes them.

What is received and not in the log when a term ends is given back at once, for whoever leads next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import msgspec

from muster.archive import packing
from muster.broker.codec import decode_command
from muster.broker.interface import Broker, Delivery
from muster.model.engine.state import CLEARED
from muster.model.errors import (
    ArchiveDamagedError,
    ArchiveUnavailableError,
    CommandInvalidError,
    MusterError,
    NameInvalidError,
)
from muster.model.log import subjects
from muster.model.log.catalogue import ExecutionCleared, ExecutionQueued
from muster.model.log.commands import Archive, Cancel, Clear, Command, Rerun, SetSchedule, Submit
from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER, check_execution
from muster.model.reuse.takeover import Past
from muster.model.schedules import calendar
from muster.scheduler.clearing import erasable
from muster.scheduler.follower import Follower

log = logging.getLogger("muster.scheduler")


class Waiting(msgspec.Struct):
    """A command that was received; ``known``, ``erased`` and ``past`` as ``muster.model.engine.admission`` wants them.

    ``error`` is why it could not be looked up: then it is refused.
    """

    delivery: Delivery
    command: Command
    known: str | None = None
    erased: ExecutionCleared | None = None
    past: Past | None = None
    error: MusterError | None = None


class Reception:
    """The commands to the leader. ``asked`` gets those that no round decides; ``woke`` is called after every batch."""

    def __init__(
        self,
        broker: Broker,
        follower: Follower,
        room: int,
        woke: Callable[[], None],
        asked: Callable[[Archive, Delivery], None],
    ) -> None:
        self._broker = broker
        self._follower = follower
        self._woke = woke
        self._asked = asked
        self._commands: asyncio.Queue[Waiting] = asyncio.Queue(room)
        self._in_hand: dict[Delivery, None] = {}

    async def receive(self) -> None:
        """Receive until cancelled. Raises BrokerError."""
        await self._broker.commands.reopen(SCHEDULER)
        async with aclosing(self._broker.commands.receive(SCHEDULER)) as batches:
            async for batch in batches:
                self._in_hand.update(dict.fromkeys(batch))
                async for waiting in self._looked_up(batch):
                    await self._commands.put(waiting)
                self._woke()

    def take(self) -> list[Waiting]:
        """All that wait for a round."""
        taken: list[Waiting] = []
        while not self._commands.empty():
            taken.append(self._commands.get_nowait())
        return taken

    async def done(self, delivery: Delivery) -> None:
        """The command is dealt with."""
        self._in_hand.pop(delivery, None)
        await delivery.done()

    async def give_back(self) -> None:
        """What was received and is not in the log is for whoever leads next, at once."""
        for delivery in self._in_hand:
            await delivery.again()

    # ---- looking up

    async def _looked_up(self, batch: list[Delivery]) -> AsyncIterator[Waiting]:
        """The commands of a batch in their order, looked up side by side."""
        read = [waiting for delivery in batch if (waiting := await self._read(delivery)) is not None]
        looking = [asyncio.ensure_future(self._look_up(waiting)) for waiting in read]
        try:
            for waiting, look in zip(read, looking, strict=True):
                await look
                yield waiting
        finally:
            for look in looking:
                look.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    async def _read(self, delivery: Delivery) -> Waiting | None:
        try:
            command = decode_command(delivery.verb, delivery.payload)
        except CommandInvalidError as error:
            log.warning("a command was dropped: %s", error)
            await self.done(delivery)
            return None
        if isinstance(command, Archive):
            self._asked(command, delivery)
            return None
        return Waiting(delivery, command)

    async def _look_up(self, waiting: Waiting) -> None:
        command = waiting.command
        if isinstance(command, SetSchedule):
            schedule = command.workflow.get("schedule")
            name = schedule.get("timezone") if isinstance(schedule, dict) else None
            await asyncio.to_thread(calendar.prepare, name)
        if not isinstance(command, Submit | Cancel | Rerun | Clear):
            return
        try:
            check_execution(command.execution)
            waiting.known = await self._known(command.execution)
            ended = waiting.known or self._follower.state.ended.get(command.execution)
            if isinstance(command, Clear) and ended not in {None, CLEARED}:
                waiting.erased = await erasable(self._broker, command.execution)
            if isinstance(command, Rerun) and command.of not in self._follower.state.executions:
                waiting.past = await self._past(check_execution(command.of))
        except NameInvalidError:
            return  # which is said where it is admitted
        except (ArchiveUnavailableError, ArchiveDamagedError) as error:
            waiting.error = error

    async def _known(self, execution: str) -> str | None:
        """The digest of an ended execution that memory may have let go."""
        state = self._follower.state
        if execution in state.executions or execution in state.ended or not state.forgotten:
            return None
        log_ = self._broker.log
        marker, standing, archived = await asyncio.gather(
            log_.last(subjects.cleared(execution)),
            log_.last(subjects.queued(execution)),
            self._archived(execution),
        )
        if marker is not None:
            return CLEARED
        first = standing or archived
        return first.event.data.digest if first and isinstance(first.event.data, ExecutionQueued) else None

    async def _past(self, execution: str) -> Past:
        """What the log and the archive say of an execution that is to be run again."""
        past = Past()
        chosen = [subjects.events(writer=SCHEDULER, execution=execution)]
        async with aclosing(self._broker.history.read(subjects=chosen)) as batches:
            async for batch in batches:
                for recorded in batch:
                    past.add(recorded.event)
        return past

    async def _archived(self, execution: str) -> Recorded | None:
        data = await self._broker.archive.find(execution)
        return None if data is None else next(packing.unpack(data, execution), None)
