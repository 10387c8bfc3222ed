"""One connection to NATS that outlives every interruption, and says at once when it is interrupted.

nats-py 2.16 does most of it. What is added, and why:

- Nothing is ever sent later than its caller believes. nats-py keeps what could not be written and sends it after the
  reconnect; an append whose outcome was given as Unknown would then land behind its caller's back. So nothing is
  published while the connection is away, and what was left unsent when it broke is thrown away.
- Whoever waits is told. ``on_loss`` callbacks run the moment the connection is seen to be lost, ``ready`` waits for
  its return.
- An error line of the server leads to a reconnect. nats-py closes for good after most of them (see ``client``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import RawCredentials, Server

from muster.broker.nats.client import NatsClient
from muster.broker.nats.replies import Answer, Replies
from muster.model.errors import BrokerError
from muster.settings import Settings

API_TIMEOUT_S: Final = 5.0
"""A question about streams and consumers that has no answer by then: the same patience as an append's."""
PING_INTERVAL_S: Final = 5
"""A connection that is open but dead is noticed after three of these."""
RECONNECT_WAIT_S: Final = (0.25, 1.0)
"""The wait before another attempt to reconnect, rising from the first to the second."""
_log = logging.getLogger(__name__)


class Connection:
    """What every part of a ``NatsBroker`` speaks through. ``where`` is the URL without its password."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.nc = NatsClient()
        self.replies = Replies()
        self.closed = False
        self.where = re.sub(r"//[^@/,]*@", "//", settings.url)
        self._urls = [url.strip() for url in settings.url.split(",") if url.strip()]
        self._listeners: list[Callable[[], None]] = []
        self._back = asyncio.Event()
        self._last_error = ""
        self._established = False
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._attempts = count()

    @classmethod
    async def connect(cls, settings: Settings, *, name: str) -> Connection:
        """A connection that stands. Raises BrokerError, in one sentence, if none can be had in the time given."""
        connection = cls(settings)
        options = await _credentials(settings)
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                while True:
                    if await connection._try(name, options):
                        return connection
                    await asyncio.sleep(RECONNECT_WAIT_S[0])
        except TimeoutError:
            raise connection._unreachable() from None

    async def _try(self, name: str, options: dict[str, Any]) -> bool:
        """Try with a client, which tries each URL in turn for as long as it is let, but gives up on some errors."""
        attempt = asyncio.ensure_future(self._open(name, options))
        connected = False
        try:
            await asyncio.wait([attempt, self._refused], return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                raise self._unreachable()
            await attempt
            connected = True
        except (OSError, nats.errors.Error) as error:
            await self._failed(error)
        finally:
            if not connected:
                await self._abandon(attempt)
        return connected

    async def _open(self, name: str, options: dict[str, Any]) -> None:
        await self.nc.connect(
            self._urls,
            name=name,
            inbox_prefix=self.settings.inbox_prefix,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S[0],  # type: ignore[arg-type] # it is only slept
            reconnect_to_server_handler=self._choose,
            ping_interval=PING_INTERVAL_S,
            error_cb=self._failed,
            disconnected_cb=self._lost,
            reconnected_cb=self._returned,
            closed_cb=self._ended,
            **options,
        )
        await self.replies.open(self.nc)
        self._established = True
        self._back.set()

    async def _abandon(self, attempt: asyncio.Future[None]) -> None:
        self._established = False  # it ends because nobody wants it, which is nothing to tell
        self.nc.give_up()
        attempt.cancel()
        try:
            await asyncio.gather(attempt, return_exceptions=True)
        finally:
            with contextlib.suppress(Exception):
                await self.nc.close()
            self.nc, self.replies = NatsClient(), Replies()

    def _unreachable(self) -> BrokerError:
        if self._refused.done():
            return BrokerError(
                f"The broker at {self.where} refuses these credentials.",
                remedy="Check the creds or nkey file given to this process.",
                url=self.where,
            )
        return BrokerError(
            f"No broker answers at {self.where} ({self._last_error or 'silence'}).",
            remedy="Start one, or give the right address with --url or MUSTER_URL; muster doctor looks closer.",
            url=self.where,
        )

    # ---- state

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment."""
        return self._back.is_set() and self.nc.is_connected

    @property
    def reconnects(self) -> int:
        """How often it was lost and came back."""
        return int(self.nc.stats["reconnects"])

    def on_loss(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever the connection is lost or closed; the result unsubscribes."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def ready(self) -> bool:
        """Wait until the connection stands; False once it is closed for good."""
        while not self.connected and not self.closed:
            self._back.clear()
            if self.nc.is_connected:
                self._back.set()
            await self._back.wait()
        return not self.closed

    def _choose(self, servers: list[Server], _: dict[str, Any]) -> tuple[Server, float]:
        attempt = next(self._attempts)
        low, high = RECONNECT_WAIT_S
        wait = min(high, low * 2 ** min(attempt // len(servers), 8))
        # Spread, so that a hundred agents do not come back in the same instant.
        return servers[attempt % len(servers)], wait * random.uniform(0.6, 1.0)  # noqa: S311

    async def _failed(self, error: Exception) -> None:
        self._last_error = str(error) or type(error).__name__
        if "authorization" in self._last_error.lower() and not self._refused.done():
            self._refused.set_result(None)
        _log.debug(f"broker connection: {self._last_error}")

    async def _lost(self) -> None:
        stood = self._back.is_set()
        self._back.clear()
        self.nc.forget_unsent()
        if stood and not self.closed:
            _log.warning(f"the connection to the broker at {self.where} is lost; reconnecting")
        self.replies.lose()
        for callback in list(self._listeners):
            callback()
        if self.closed:
            self._back.set()

    async def _ended(self) -> None:
        # Not known to happen without ``close``; but then nobody must wait for a return that never comes.
        if self._established and not self.closed:
            _log.error(f"the connection to the broker at {self.where} has ended: {self._last_error}")
            self.closed = True
        await self._lost()

    async def _returned(self) -> None:
        self._attempts = count()
        self._back.set()
        _log.info(f"connected to the broker at {self.where} again")

    # ---- speaking

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> bool:
        """Send, unless the connection is away; whether it was handed to the connection.

        Raises BrokerError for what is larger than the broker takes.
        """
        if not self.connected:
            return False
        try:
            await self.nc.publish(subject, payload, reply, headers)
        except nats.errors.MaxPayloadError:
            raise BrokerError(
                f"{len(payload)} bytes for {subject} are more than the broker takes.",
                remedy="Raise max_payload of the broker, or send less: large data belongs into files.",
            ) from None
        except (nats.errors.ConnectionClosedError, nats.errors.OutboundBufferLimitError):
            return False
        return True

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        timeout: float = API_TIMEOUT_S,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send and wait for the one answer. Raises BrokerError if none comes."""
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        token = self.replies.expect(lambda got: None if answer.done() else answer.set_result(got))
        try:
            sent = await self.publish(subject, payload, reply=self.replies.subject(token), headers=headers)
            async with asyncio.timeout(timeout):
                got = await answer if sent else None
        except TimeoutError:
            raise BrokerError(
                f"The broker at {self.where} did not answer in {timeout:g} s.", url=self.where
            ) from None
        finally:
            self.replies.forget(token)
        if got is None:
            raise BrokerError(f"The connection to the broker at {self.where} is lost.", url=self.where)
        if got.status == "503":
            raise BrokerError(
                f"The broker at {self.where} has nobody who answers for {subject}: JetStream is not enabled, "
                "or it is just starting.",
                url=self.where,
                no_responders=True,
            )
        return got

    async def round_trip(self, timeout: float) -> None:
        """Wait until everything has come that the broker sent before it heard of this. Raises TimeoutError.

        Not nats-py's flush: its ``wait_for`` swallows a cancellation (before Python 3.12) that meets the answer.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(timeout):
            await self.nc._send_ping(answer)
            await answer

    async def close(self) -> None:
        """Send what is under way, then disconnect for good: also where this is cancelled."""
        self.closed = True
        try:
            if self.nc.is_connected:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await self.nc.flush(timeout=2)
        finally:
            try:
                await self.nc.close()
            finally:
                await self._lost()


async def _credentials(settings: Settings) -> dict[str, Any]:
    """Read in a thread, once: nats-py would read the files on the loop at every reconnect."""
    path = settings.creds or settings.nkey_seed
    if path is None:
        return {}
    try:
        text = await asyncio.to_thread(Path(path).expanduser().read_text)
    except OSError as error:
        raise BrokerError(
            f"The credentials file {path} cannot be read ({error.strerror}).",
            remedy="Check the path and who may read it.",
            path=str(path),
        ) from error
    if settings.creds:
        return {"user_credentials": RawCredentials(text)}
    return {"nkeys_seed_str": text}
