"""What the engine asks of a broker. Two implementations ship: ``muster.broker.nats`` and ``muster.broker.memory``.

The log is the truth. An append has one of three outcomes per event and never a fourth: it is in the log (Appended),
it is certainly not there by this write (Refused), or nobody knows yet (Unknown: the deadline passed, or the
connection broke, before the answer came). Only reading the log settles an Unknown.

Whatever goes on until it is closed is an asynchronous generator: leave it with ``contextlib.aclosing``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from muster.model.log.commands import Command, Heartbeat, LogLine
from muster.model.log.envelope import Event, Recorded

if TYPE_CHECKING:
    from muster.archive.archive import Archive
    from muster.artifacts.store import Artifacts


class Fence(msgspec.Struct, frozen=True):
    """``sequence`` must still be the last of ``subject``, or the write is refused; 0 means the subject is empty."""

    subject: str
    sequence: int


class Appended(msgspec.Struct, frozen=True):
    """The event is in the log. ``duplicate``: an earlier write had put it there."""

    sequence: int
    duplicate: bool = False


class Refused(msgspec.Struct, frozen=True):
    """This write did not put the event into the log. ``replaced``: the fence does not hold any more.

    ``full``: the stream has reached its limit; the same write may be repeated once there is room.
    """

    code: int
    reason: str
    replaced: bool = False
    full: bool = False


class Unknown(msgspec.Struct, frozen=True):
    """Whether the event is in the log is not known."""

    reason: str


Outcome = Appended | Refused | Unknown


class Position(msgspec.Struct, frozen=True):
    """Which stream this is (``created``) and what it holds: sequences first to last; last is 0 if nothing ever was."""

    created: datetime
    first: int
    last: int


class LogReader(Protocol):
    """Reading the events."""

    async def position(self) -> Position:
        """The stream's identity and bounds. Raises BrokerError if the broker does not answer."""
        ...

    async def last(self, subject: str) -> Recorded | None:
        """The newest event on ``subject``, which may hold wildcards. Raises BrokerError."""
        ...

    async def sequence_at(self, time: datetime) -> int:
        """The place in the log at ``time``: what stands up to this sequence was stored by then, what follows was not.

        By the broker's own clock, which rises with the sequences as those of the writers need not. 0 where nothing had
        been stored; what was erased since counts as stored before what follows it. Raises BrokerError.
        """
        ...

    def read(
        self, start: int = 1, *, subjects: Sequence[str] = (), stop: int | None = None
    ) -> AsyncGenerator[list[Recorded], None]:
        """The events from sequence ``start`` to ``stop`` (default: the last one at the time of the call), in batches.

        Ends by itself. ``subjects`` filters; none means all.
        """
        ...

    def follow(self, start: int = 1, *, subjects: Sequence[str] = ()) -> AsyncGenerator[list[Recorded], None]:
        """As read, but goes on with what is appended later, until it is closed.

        Gapless and in order over reconnects and broker restarts. What is ready is handed over in one batch of at most
        the configured size. Raises LogChangedError where the stream's last sequence has fallen below what was read
        from it, or the stream was made anew.
        """
        ...


class EventLog(LogReader, Protocol):
    """The append-only log."""

    async def append(self, events: Sequence[Event], fence: Fence | None = None) -> list[Outcome]:
        """Write the events in this order; one outcome for each, in the same order.

        All are written under the same fence, which is not moved by the write itself unless an event's subject is the
        fence's (then that event must stand alone in the call). If one event is Refused, those after it are Refused or
        Unknown, never Appended before it. Calls may overlap; events of an earlier call stand before those of a later
        one. On one replica the writes are pipelined, on a replicated stream each call is one or more atomic batches.
        Returns within the configured deadline even if the broker is gone. Does not retry.
        """
        ...

    async def erase(self, execution: str, below: int) -> None:
        """Erase the events of this execution that stand below sequence ``below``. Raises BrokerError.

        The one thing that takes events out of the log. Only a scheduler does this, for an execution that was cleared or
        is in the archive.
        """
        ...


class Delivery(Protocol):
    """A command that was received and not yet acknowledged."""

    @property
    def verb(self) -> str:
        """The verb of its subject."""
        ...

    @property
    def payload(self) -> bytes:
        """The command as JSON; ``decode_command`` makes it a struct."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""
        ...

    async def done(self) -> None:
        """The command is dealt with and goes away. Best effort: one that is lost leads to a redelivery."""
        ...

    async def again(self, delay_s: float = 0.0) -> None:
        """Deliver it again later."""
        ...


class Commands(Protocol):
    """The work queue of commands."""

    async def send(self, target: str, verb: str, command: Command) -> None:
        """Publish and wait until the broker has stored it. Raises BrokerError if that is refused or unknown."""
        ...

    async def open(self, target: str) -> None:
        """Create the queue of ``target`` if it is not there. Only a scheduler does this."""
        ...

    async def reopen(self, target: str) -> None:
        """Make the queue of ``target`` anew: what was handed out and not acknowledged is there again at once.

        For one who takes a queue over from somebody who died with commands in hand. Only a scheduler does this.
        """
        ...

    async def close(self, target: str) -> None:
        """Delete the queue of ``target`` with what is left in it. Only a scheduler does this."""
        ...

    async def forget(self, execution: str) -> None:
        """Drop the commands to machines that name this execution. Only a scheduler does this, for one it erases.

        Other attempts that such a command names are commanded again, as are all that nobody obeys.
        """
        ...

    def receive(self, target: str, *, batch: int = 64) -> AsyncGenerator[list[Delivery], None]:
        """The commands to ``target`` as they come, until closed. Waits where the queue is not there yet.

        Survives reconnects; a watchdog renews the pull where nothing moves.
        """
        ...


class Heartbeats(Protocol):
    """Beats: kept in memory, the newest few of each name."""

    async def beat(self, beat: Heartbeat) -> None:
        """Publish; nobody waits for it."""
        ...

    async def last(self, name: str) -> Heartbeat | None:
        """The newest beat of ``name``, if one is kept."""
        ...

    async def forget(self, execution: str) -> None:
        """Drop the beats that name this execution. Only a scheduler does this, for one it erases."""
        ...

    def listen(self) -> AsyncGenerator[Heartbeat, None]:
        """Beats as they come from now on, of every name. Those missed while the connection was away stay missed."""
        ...


class LogLines(Protocol):
    """What containers print."""

    async def write(
        self, machine: str, execution: str, step: str, attempt: int, lines: Sequence[LogLine]
    ) -> None:
        """Publish the lines in order. May drop them with the connection away: logs are not the truth."""
        ...

    def read(
        self, execution: str, *, step: str = "*", attempt: int | None = None, follow: bool = False
    ) -> AsyncGenerator[tuple[str, int, LogLine], None]:
        """``(step, attempt, line)`` of what is kept, in order; with ``follow`` also what comes later."""
        ...

    async def purge(self, execution: str) -> None:
        """Erase the lines of this execution."""
        ...


class Broker(Protocol):
    """One connection and the things that are reached over it."""

    @property
    def log(self) -> EventLog:
        """The event log."""
        ...

    @property
    def history(self) -> LogReader:
        """All that is known of the past: what stands in the log, and what moved from it into the archive."""
        ...

    @property
    def archive(self) -> Archive:
        """Where executions are that ended long ago, and what the log says about them."""
        ...

    @property
    def commands(self) -> Commands:
        """The command queues."""
        ...

    @property
    def heartbeats(self) -> Heartbeats:
        """The beats."""
        ...

    @property
    def lines(self) -> LogLines:
        """The log lines."""
        ...

    @property
    def artifacts(self) -> Artifacts:
        """The contents of files."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment."""
        ...

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and came back; a change means time was missed."""
        ...

    async def prepare(self) -> None:
        """Create the streams that are missing and check those that are there.

        Raises BrokerUnsuitableError naming what is wrong and the remedy. Only a scheduler does this.
        """
        ...

    async def close(self) -> None:
        """Send what is under way, then disconnect."""
        ...
