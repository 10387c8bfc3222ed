"""Sending commands: after the decision that orders them is in the log, and again where nobody obeyed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

import msgspec

from muster import fault
from muster.broker.interface import Broker
from muster.identity import uuid7
from muster.model.errors import BrokerError
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import AttemptOrder, Command, Start, Stop
from muster.scheduler.options import SchedulerOptions

log = logging.getLogger("muster.scheduler")


class Outbound:
    """Sends starts and stops to machines, a bounded number at once, without holding up the rounds."""

    def __init__(self, broker: Broker, options: SchedulerOptions, tasks: asyncio.TaskGroup) -> None:
        self._broker = broker
        self._options = options
        self._tasks = tasks
        self._room = asyncio.Semaphore(options.sends_at_once)
        self._under_way: set[asyncio.Task[None]] = set()

    async def start(self, machine: str, session: int, orders: Sequence[AttemptOrder]) -> None:
        """Have ``machine`` start these attempts."""
        for part in self._parts(orders):
            await self._send(machine, "start", Start(id=uuid7(), session=session, attempts=part))

    async def stop(self, machine: str, refs: Sequence[AttemptRef], reason: str = "") -> None:
        """Have ``machine`` stop these attempts."""
        if refs:
            await self._send(machine, "stop", Stop(id=uuid7(), attempts=list(refs), reason=reason))

    async def flush(self) -> None:
        """Wait for what is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _parts(self, orders: Sequence[AttemptOrder]) -> Iterator[list[AttemptOrder]]:
        part: list[AttemptOrder] = []
        size = 0
        for order in orders:
            length = len(msgspec.json.encode(order))
            if part and size + length > self._options.start_bytes:
                yield part
                part, size = [], 0
            part.append(order)
            size += length
        if part:
            yield part

    async def _send(self, machine: str, verb: str, command: Command) -> None:
        await self._room.acquire()
        task = self._tasks.create_task(self._publish(machine, verb, command))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _publish(self, machine: str, verb: str, command: Command) -> None:
        try:
            await fault.point("scheduler.send.before")
            await self._broker.commands.send(machine, verb, command)
            await fault.point("scheduler.send.after")
        except BrokerError as error:
            log.warning("%s to %s was not sent and will be sent again: %s", verb, machine, error)
        finally:
            self._room.release()
