"""The flow of messages from one pull consumer, with a watchdog of its own.

Requests overlap: a new one goes out when half of the last is used up, so that one is always open at the broker and a
message that is stored is sent at once. Every request asks for idle heartbeats; where two of them stay away, and where
the connection breaks or the consumer is gone, ``next`` raises ``PullLostError`` and the caller begins anew. (nats-py's
own pull subscription is known to stop after a restart of the server, nats.py #504.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from types import TracebackType
from typing import Final, Self

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from muster.broker.nats.connection import Connection
from muster.broker.nats.streams import NANOSECONDS

HEARTBEAT_S: Final = 5
EXPIRES_S: Final = 60
ASLEEP_S: Final = 1.0
"""A watchdog that bites this much too late bites nobody: this process did not run, and has not read what came."""
LEAVE_S: Final = 2.0
"""How long the broker may take to say that it has sent the last message."""
MAX_BYTES: Final = 64 << 20
"""What one request may bring: a bound on memory, well above the largest message."""


class PullLostError(Exception):
    """The consumer has to be asked anew, or made anew. ``missing``: there was none."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


class _Request(msgspec.Struct, frozen=True):
    batch: int
    max_bytes: int
    expires: int
    idle_heartbeat: int


_encoder: Final = msgspec.json.Encoder()


class Pull:
    """Use as a context manager; ``next`` hands over what has come."""

    def __init__(self, connection: Connection, stream: str, consumer: str, batch: int) -> None:
        self.waiting: deque[Msg] = deque()
        self._connection = connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._open = 0
        self._wake = asyncio.Event()
        self._sign = 0.0
        self._lost: PullLostError | None = None

    async def __aenter__(self) -> Self:
        """Subscribe to an inbox of its own, so that nothing of an earlier consumer can arrive here."""
        self._loop = asyncio.get_running_loop()
        self._sign = self._loop.time()
        self._inbox = self._connection.nc.new_inbox()
        self._quiet = self._connection.on_loss(self._broken)
        try:
            # Bounded by what is asked for, not by nats-py, which would drop what is above its limit.
            self._subscription: Subscription = await self._connection.nc.subscribe(
                self._inbox, cb=self._received, pending_msgs_limit=0, pending_bytes_limit=0
            )
        except nats.errors.Error:
            self._quiet()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up interest: the broker drops what was asked for and not yet sent."""
        self._quiet()
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()

    async def leave(self) -> None:
        """Ask for nothing more, and wait for what is on its way; then everything that came is in ``waiting``."""
        subscription = self._subscription
        # As nats-py's drain, which keeps the subscription for ever where it is cancelled or the connection breaks, and
        # which may swallow the cancellation.
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await self._connection.nc._send_unsubscribe(subscription._id)
            await self._connection.round_trip(LEAVE_S)
            await subscription._pending_queue.join()

    async def next(self, limit: int) -> list[Msg]:
        """What has come, at least one message and at most ``limit``. Raises PullLostError."""
        while not self.waiting:
            if self._lost is not None:
                raise self._lost
            await self._ask()
            self._wake.clear()
            if not self.waiting and self._lost is None:
                await self._watch()
        if len(self.waiting) <= limit:
            taken = list(self.waiting)
            self.waiting.clear()
        else:
            taken = [self.waiting.popleft() for _ in range(limit)]
        await self._ask()
        return taken

    async def _ask(self) -> None:
        wanted = self._batch - self._open - len(self.waiting)
        if self._lost is None and wanted * 2 >= self._batch:
            self._open += wanted
            request = _Request(
                batch=wanted,
                max_bytes=MAX_BYTES,
                expires=int(EXPIRES_S * NANOSECONDS),
                idle_heartbeat=int(HEARTBEAT_S * NANOSECONDS),
            )
            payload = _encoder.encode(request)
            if not await self._connection.publish(self._subject, payload, reply=self._inbox):
                self._broken()

    async def _watch(self) -> None:
        silent_from = self._sign + 2 * HEARTBEAT_S + 1
        try:
            async with asyncio.timeout_at(silent_from):
                await self._wake.wait()
        except TimeoutError:
            if self._loop.time() > silent_from + ASLEEP_S:
                self._sign = self._loop.time()
            elif self._loop.time() >= self._sign + 2 * HEARTBEAT_S + 1:
                self._lose("the broker stopped sending heartbeats")

    def _broken(self) -> None:
        self._lose("the connection broke")

    def _lose(self, reason: str, *, missing: bool = False) -> None:
        if self._lost is None:
            self._lost = PullLostError(reason, missing=missing)
        self._wake.set()

    async def _received(self, msg: Msg) -> None:
        self._sign = self._loop.time()
        headers = msg.headers
        if headers and not msg.data and "Status" in headers:
            self._status(headers)
        else:
            self._open -= 1
            self.waiting.append(msg)
            self._wake.set()

    def _status(self, headers: dict[str, str]) -> None:
        status, text = headers["Status"], headers.get("Description", "")
        if status == "100":
            return
        if status == "503":
            self._lose("there is no such consumer", missing=True)
        elif status in {"404", "408"} or "Batch Completed" in text or "MaxBytes" in text:
            self._open = max(0, self._open - int(headers.get("Nats-Pending-Messages", "0")))
            self._wake.set()
        else:
            self._lose(f"{status} {text}", missing="Deleted" in text)
