"""The agent's facts on their way to the log, and the attempts it answers for: both survive its death.

A fact gets its number ``n`` and stands in the journal before anybody sends it. It leaves when the log has it. What the
log has is known by the highest ``n`` there, so acknowledgements need no record of their own.

Where the disk takes no more, a fact waits with whoever writes it, and an order is not accepted; see ``mishaps``. A
journal that somebody removed is written anew from what is in memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from muster.model.log import envelope
from muster.model.log.catalogue import (
    AttemptAccepted,
    AttemptFailed,
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    AttemptStopped,
    Body,
    MachineDisconnected,
)
from muster.model.log.commands import AttemptOrder
from muster.model.log.envelope import Event
from muster.model.log.names import NO_EXECUTION
from muster_agents import journal
from muster_agents.journal import Journal
from muster_agents.options import AgentOptions
from muster_agents.secrecy import discreet

TERMINAL: Final = (AttemptFinished, AttemptFailed, AttemptStopped)
DISK_RETRY_S: Final = 1.0
PATIENT: Final = (AttemptAccepted, AttemptStarted)
COMPANY_S: Final = 0.01
"""So long these wait for what comes next: most calls of a loaded function are over by then, and all their facts go to
the log in one round instead of two, which saves everybody who reads them a third of the work. Nobody sees ten
milliseconds."""

log = logging.getLogger(__name__)


class Held(msgspec.Struct, kw_only=True):
    """An attempt that was accepted and is not done: its order, and when which fact about it was written.

    ``container`` is the one of a function in which its call began.
    """

    order: AttemptOrder
    told: dict[str, datetime] = {}
    container: str = ""


class _Head(msgspec.Struct, frozen=True):
    n: int


_encode: Final = msgspec.json.Encoder().encode
_held: Final = msgspec.json.Decoder(Held)
_head: Final = msgspec.json.Decoder(_Head)

EVENT, HELD, HEAD = b"E", b"O", b"H"


class Outbox:
    """One writer (``put`` and ``accept``), one sender (``waiting`` and ``sent``), one keeper (``maintain``)."""

    def __init__(
        self, journal: Journal, options: AgentOptions, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._journal = journal
        self._options = options
        self._clock = clock or (lambda: datetime.now(UTC))
        self._waiting: deque[tuple[Event, int]] = deque()
        self._room = asyncio.Event()
        self._room.set()
        self._bound = options.outbox_bytes
        self._rotating: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.arrived = asyncio.Event()
        self.emptied = asyncio.Event()
        self.emptied.set()
        self.held: dict[AttemptRef, Held] = {}
        self.unsent: dict[AttemptRef, None] = {}
        self.fresh = True
        self.stuck = False
        """Whether the disk refused what was to be written last."""
        self._ending = False
        self.n = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    # ---- from disk

    async def open(self) -> None:
        """Read what an earlier agent left and begin a new segment."""
        for record in await asyncio.to_thread(self._journal.load):
            self.fresh = False
            self._replay(*record)
        await self._anew()

    def _replay(self, kind: bytes, payload: bytes) -> None:
        try:
            if kind == EVENT:
                self._replay_event(envelope.decode(payload))
            elif kind == HELD:
                held = _held.decode(payload)
                if held.order.ref not in self.unsent:
                    self.held[held.order.ref] = held
            elif kind == HEAD:
                self.n = max(self.n, _head.decode(payload).n)
        except (msgspec.MsgspecError, ValueError) as error:
            log.error(f"the journal holds a record this release cannot read; it is skipped: {error}")

    def _replay_event(self, event: Event) -> None:
        if event.n is None or event.n <= self.n:
            return
        self.n = event.n
        self._note(event)
        # An old goodbye would take back the connection that comes before it.
        if not isinstance(event.data, MachineDisconnected):
            self._enqueue(event, len(event.line or b""))

    def recall(self, event: Event) -> None:
        """The log has this fact, and the disk perhaps not: whom it is about is answered for as it says."""
        if (event.n or 0) > self.n:
            self._note(event)

    def settle(self, n: int) -> None:
        """The log has everything up to ``n``. New facts are numbered above it."""
        while self._waiting and (self._waiting[0][0].n or 0) <= n:
            self._dequeue()
        self.unsent = {ref: None for event, _ in self._waiting if (ref := _done(event)) is not None}
        self.n = max(self.n, n)

    @property
    def before(self) -> int:
        """The number after which the log goes on: that of the first waiting fact, less one."""
        return (self._waiting[0][0].n or 1) - 1 if self._waiting else self.n

    # ---- facts

    async def put(self, body: Body, ref: AttemptRef | None = None, *, cause: str | None = None) -> Event:
        """Write a fact down, without secrets. Waits where too many wait already, or the disk is full.

        From ``open_wide`` on it waits for neither: what the disk does not take then is in memory alone.
        """
        if ref is not None and (held := self.held.get(ref)) is not None:
            body = discreet(body, held.order)
        while True:
            if not self._room.is_set():
                await self._room.wait()
            try:
                return self._write(body, ref, cause)
            except OSError:
                await asyncio.sleep(DISK_RETRY_S)

    def _write(self, body: Body, ref: AttemptRef | None, cause: str | None) -> Event:
        n, machine = self.n + 1, self._options.name
        event = Event(
            id=f"{machine}/{n}",
            writer=machine,
            time=self._clock(),
            data=body,
            machine=machine,
            n=n,
            cause=cause,
            execution=NO_EXECUTION if ref is None else ref.execution,
            step=None if ref is None else ref.step,
            attempt=None if ref is None else ref.attempt,
        )
        line = envelope.encode(event)
        try:
            self._append(journal.line(EVENT, line))
        except OSError:
            # The order stands in the journal: if the log does not take this, the next agent answers for the attempt.
            if not self._ending:
                raise
        self.n = n
        self._note(event)
        self._enqueue(event, len(line), patient=isinstance(body, PATIENT))
        return event

    async def accept(self, order: AttemptOrder) -> Held:
        """Write down that the agent answers for this attempt, until its last fact is written. Raises OSError."""
        held = Held(order=order)
        self._append(journal.line(HELD, _encode(held)))
        self.held[order.ref] = held
        return held

    def _append(self, record: bytes) -> None:
        """Write to the journal. Raises OSError, which is said once until it takes something again."""
        try:
            self._journal.write(record)
        except OSError as error:
            if not self.stuck:
                log.error(f"the agent's journal cannot be written; attempts wait until it can: {error}")
            self.stuck = True
            raise
        if self.stuck:
            log.warning("the agent's journal can be written again")
        self.stuck = False

    def _note(self, event: Event) -> None:
        if event.step is None or event.attempt is None:
            return
        ref = AttemptRef(event.execution, event.step, event.attempt)
        if isinstance(event.data, TERMINAL):
            self.held.pop(ref, None)
            self.unsent[ref] = None
        elif (held := self.held.get(ref)) is not None:
            held.told.setdefault(event.kind, event.time)
            if isinstance(event.data, AttemptStarted):
                held.container = event.data.container

    # ---- the sender's side

    @property
    def full(self) -> bool:
        """Whether ``put`` waits."""
        return not self._room.is_set()

    def open_wide(self) -> None:
        """No bound from here on, and no waiting: the agent ends, and a few last facts are all that comes."""
        self._ending = True
        self._bound = 1 << 62
        self._room.set()

    def waiting(self, limit: int) -> list[Event]:
        """The oldest facts, at most ``limit``."""
        return [self._waiting[index][0] for index in range(min(limit, len(self._waiting)))]

    def sent(self, count: int) -> None:
        """The log has the oldest ``count``."""
        for _ in range(count):
            if (ref := _done(self._dequeue())) is not None:
                self.unsent.pop(ref, None)

    def renumber(self, count: int, missing: Iterable[Event]) -> None:
        """The log has the oldest ``count`` facts but ``missing``, which it can no longer take in their place.

        A reader ignores numbers below one it has seen, so these get new ones, behind everything else.
        """
        for event in missing:
            copy = msgspec.structs.replace(event, n=self.n + 1, id=f"{event.writer}/{self.n + 1}", line=None)
            line = envelope.encode(copy)
            self._journal.write(journal.line(EVENT, line))
            self.n += 1
            self._enqueue(copy, len(line))
        self.sent(count)

    def _enqueue(self, event: Event, size: int, *, patient: bool = False) -> None:
        self._waiting.append((event, size))
        self.bytes += size
        if patient:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(COMPANY_S, self._in_any_case)
        else:
            self.arrived.set()
        self.emptied.clear()
        if self.bytes > self._bound:
            self._room.clear()

    def _in_any_case(self) -> None:
        self._timer = None
        if self._waiting:
            self.arrived.set()

    def _in_no_case(self) -> None:
        """Nobody waits any more: who comes next has all of its own time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _dequeue(self) -> Event:
        event, size = self._waiting.popleft()
        self.bytes -= size
        if self.bytes <= self._bound:
            self._room.set()
        if not self._waiting:
            self.arrived.clear()
            self.emptied.set()
            self._in_no_case()
        return event

    # ---- the keeper's side

    async def maintain(self) -> None:
        """Sync at an interval, and begin a new segment where the present one is mostly history. Until cancelled."""
        while True:
            await asyncio.sleep(self._options.sync_interval_s)
            try:
                if self._journal.removed:
                    log.error("the agent's journal was removed by somebody else; it is written anew")
                    await self._anew()
                elif self._journal.size > self._options.outbox_segment_bytes > 2 * self.bytes:
                    await self._anew()
                elif self._journal.dirty:
                    await asyncio.to_thread(self._journal.sync)
            except OSError as error:
                log.error(f"the agent's journal cannot be synced: {error}")

    async def _anew(self) -> None:
        # Never half a rotation: the next agent of this name would meet the other half.
        self._rotating = asyncio.create_task(self._rotate())
        await asyncio.shield(self._rotating)

    async def _rotate(self) -> None:
        self._journal.begin()
        snapshot = [journal.line(HEAD, _encode(_Head(self.before)))]
        snapshot += [journal.line(HELD, _encode(held)) for held in self.held.values()]
        snapshot += [journal.line(EVENT, envelope.encode(event)) for event, _ in self._waiting]
        try:
            file = await asyncio.to_thread(self._journal.prepare, snapshot)
        except OSError:
            self._journal.abandon()
            raise
        old = self._journal.switch(file, sum(map(len, snapshot)))
        await asyncio.to_thread(self._journal.retire, old)

    async def close(self) -> None:
        """Sync and close; what waits is sent by the next agent of this name."""
        if self._rotating is not None:
            await asyncio.wait({self._rotating})
        self._in_no_case()
        await asyncio.to_thread(self._journal.close)


def _done(event: Event) -> AttemptRef | None:
    """The attempt whose last fact this is."""
    if not isinstance(event.data, TERMINAL) or event.step is None or event.attempt is None:
        return None
    return AttemptRef(event.execution, event.step, event.attempt)


def now_ms() -> int:
    """Milliseconds since 1970: above every number an agent that lost its disk can have used."""
    return time.time_ns() // 1_000_000
