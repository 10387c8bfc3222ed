"""Taking a machine's place in the log, and sending its facts there in order.

A connection is one ``machine.connected``. Everything the agent writes expects that event to be the last of its subject,
so the broker itself refuses an agent whose place another one took.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TypeVar

from muster import fault
from muster.broker.interface import Appended, EventLog, Fence, Outcome, Refused
from muster.model.errors import BrokerError, LogChangedError, ReplacedError
from muster.model.log import subjects
from muster.model.log.catalogue import AttemptRef, LoadedFunction, MachineConnected, MachineFacts
from muster.model.log.envelope import Event, Recorded
from muster_agents.options import AgentOptions
from muster_agents.outbox import Outbox, now_ms

T = TypeVar("T")

log = logging.getLogger(__name__)


class Session:
    """One connection of one agent. ``sequence`` is that of its machine.connected, and the fence of all it writes."""

    def __init__(
        self,
        events: EventLog,
        outbox: Outbox,
        options: AgentOptions,
        *,
        instance: str,
        now: Callable[[], datetime],
    ) -> None:
        self._log = events
        self._outbox = outbox
        self._options = options
        self._instance = instance
        self._now = now
        self._subject = subjects.connected(options.name)
        self._mark = 0
        self._trouble = ""
        self.sequence = 0

    # ---- taking the place

    async def connect(
        self,
        facts: MachineFacts,
        attempts: Callable[[], list[AttemptRef]],
        *,
        software: str = "",
        functions: Sequence[LoadedFunction] = (),
    ) -> None:
        """Take the machine's place. ``attempts`` is asked when it is known which facts the log has already."""
        id_ = f"{self._options.name}/connected/{self._instance}"
        while not self.sequence:
            previous = await self._patiently(self._settle)
            event = Event(
                id=id_,
                writer=self._options.name,
                machine=self._options.name,
                time=self._now(),
                n=self._outbox.before,
                data=MachineConnected(
                    instance=self._instance,
                    facts=facts,
                    interval_s=self._options.interval_s,
                    attempts=attempts(),
                    software=software,
                    functions=list(functions),
                ),
            )
            [outcome] = await self._append([event], Fence(self._subject, previous))
            await self._take(outcome, id_)
        self._mark = self.sequence

    async def _settle(self) -> int:
        """Tell the outbox what the log has; give the sequence of the connection before, or 0."""
        name = self._options.name
        last = await self._log.last(subjects.events(writer=name))
        previous = await self._log.last(self._subject)
        n = (last.event.n or 0) if last is not None else 0
        if n > self._outbox.n and self._outbox.held and previous is not None:
            await self._recall(previous.sequence)
        if last is not None and self._outbox.fresh:
            # The disk is new and the machine is not: numbers above ``n`` may have been used in events now erased.
            n = max(n, now_ms())
        self._outbox.settle(n)
        return 0 if previous is None else previous.sequence

    async def _recall(self, since: int) -> None:
        """The disk had no room for what the agent before told last, or lost it: the log knows how it was."""
        batches = self._log.read(since, subjects=[subjects.events(writer=self._options.name)])
        async with aclosing(batches):
            async for batch in batches:
                for recorded in batch:
                    self._outbox.recall(recorded.event)

    async def _take(self, outcome: Outcome, id_: str) -> None:
        if isinstance(outcome, Appended):
            self.sequence = outcome.sequence
            return
        # Refused or unknown does not say that it is absent; what is there does.
        last = await self._patiently(self._last_connected)
        if last is not None and last.event.id == id_:
            self.sequence = last.sequence
            return
        await self._pause(f"the log did not take {self._options.name}'s connection: {outcome.reason}")

    async def _last_connected(self) -> Recorded | None:
        return await self._log.last(self._subject)

    # ---- sending

    async def send(self) -> None:
        """Send what the outbox holds as it comes, until cancelled. Raises ReplacedError."""
        outbox, fence = self._outbox, Fence(self._subject, self.sequence)
        while True:
            await outbox.arrived.wait()
            await asyncio.sleep(
                0
            )  # what is about to be written goes along: it need not wait for another answer
            batch = outbox.waiting(self._options.outbox_round)
            outcomes = await self._append(batch, fence)
            taken = 0
            for outcome in outcomes:
                if not isinstance(outcome, Appended):
                    break
                self._mark = max(self._mark, outcome.sequence)
                taken += 1
            outbox.sent(taken)
            if taken == len(batch):
                self._trouble = ""
            else:
                await self._mend(batch[taken:], outcomes[taken:])

    async def _append(self, events: Sequence[Event], fence: Fence) -> list[Outcome]:
        await fault.point("agent.append.before")
        outcomes = await self._log.append(events, fence)
        await fault.point("agent.append.after")
        return outcomes

    async def _mend(self, rest: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        refused = next((outcome for outcome in outcomes if isinstance(outcome, Refused)), None)
        if any(not isinstance(outcome, Refused) for outcome in outcomes):
            await self._reread(rest)
        if refused is not None:
            if refused.replaced:
                await self.check()
            await self._pause(
                "the event log is full; the facts wait on disk. Make room: muster doctor"
                if refused.full
                else f"the broker refuses this machine's facts ({refused.code}: {refused.reason}); they wait on disk"
            )

    async def _reread(self, rest: Sequence[Event]) -> None:
        """Settle by reading which of ``rest`` the log has. Waits until the broker answers."""
        present = await self._patiently(self._present)
        highest = max(present, default=0)
        count = sum((event.n or 0) <= highest for event in rest)
        missing = [event for event in rest[:count] if event.n not in present]
        if missing:
            log.error(f"the log lost {len(missing)} facts in the middle of a write; they are sent again")
        if not count:
            await self._pause("the broker did not take this machine's facts; they wait on disk")
            return
        try:
            self._outbox.renumber(count, missing)
        except OSError as error:
            await self._pause(f"the agent's journal cannot be written: {error}")

    async def _present(self) -> set[int]:
        """The numbers of this machine's events above what is known to be in the log."""
        found: set[int] = set()
        async for batch in self._log.read(
            self._mark + 1, subjects=[subjects.events(writer=self._options.name)]
        ):
            found.update(recorded.event.n or 0 for recorded in batch)
        return found

    # ---- keeping the place

    async def guard(self) -> None:
        """Look at an interval whether the place is still this agent's, until cancelled. Raises as ``check``."""
        while True:
            await asyncio.sleep(self._options.guard_s)
            await self.check()

    async def check(self) -> None:
        """Raises ReplacedError if another agent took the place, LogChangedError if the log no longer knows of it."""
        last = await self._patiently(self._last_connected)
        if last is not None and last.sequence == self.sequence:
            return
        if last is None or last.sequence < self.sequence:
            raise LogChangedError(
                f"The event log no longer holds the connection of {self._options.name!r}.",
                remedy="The broker lost or replaced the stream. Find out why, then start the agent again.",
            )
        other = last.event.data
        facts = other.facts if isinstance(other, MachineConnected) else MachineFacts()
        raise ReplacedError(
            f"Another agent took the name {self._options.name!r} (on host {facts.hostname or 'unknown'}).",
            machine=self._options.name,
            hostname=facts.hostname,
            boot_id=facts.boot_id,
        )

    # ---- patience

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except LogChangedError:
                raise
            except BrokerError as error:
                await self._pause(error.message)

    async def _pause(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning(trouble)
            self._trouble = trouble
        await asyncio.sleep(self._options.append_retry_s)
