"""The work queue of commands on JetStream: one durable, filtered pull consumer for each target."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from muster.broker import codec
from muster.broker.interface import Delivery
from muster.broker.nats import api
from muster.broker.nats.connection import Connection
from muster.broker.nats.pull import Pull, PullLostError
from muster.broker.nats.reader import consumed
from muster.broker.nats.streams import COMMANDS, NANOSECONDS
from muster.model.errors import BrokerError
from muster.model.log import subjects
from muster.model.log.commands import Command

ACK_WAIT_S: Final = 30.0
"""A command that was handed out and not acknowledged comes again after this long.

That is also how long one may be late that was on its way to a receiver that had just gone.
"""
ACKS_PENDING_MAX: Final = 10_000
RETRY_S: Final = (0.2, 1.0)
"""The wait for a queue that is not there yet, rising from the first to the second."""


class NatsDelivery:
    """A ``Delivery``."""

    def __init__(self, connection: Connection, msg: Msg) -> None:
        self._connection = connection
        self._reply = msg.reply
        self.verb = subjects.verb(msg.subject)
        self.payload = msg.data
        self.redelivered = consumed(msg.reply).deliveries > 1

    async def done(self) -> None:
        """See ``Delivery.done``."""
        await self._connection.publish(self._reply, b"+ACK")

    async def again(self, delay_s: float = 0.0) -> None:
        """See ``Delivery.again``."""
        body = b"-NAK"
        if delay_s > 0:
            body += b" " + msgspec.json.encode({"delay": int(delay_s * NANOSECONDS)})
        await self._connection.publish(self._reply, body)


class NatsCommands:
    """A ``Commands``. ``ack_wait_s`` is given to the queues that this connection opens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.ack_wait_s = ACK_WAIT_S

    async def send(self, target: str, verb: str, command: Command) -> None:
        """See ``Commands.send``."""
        subject = subjects.command(target, verb)
        got = await self._connection.request(
            subject,
            codec.encode(command),
            headers={"Nats-Msg-Id": command.id},
            timeout=self._connection.settings.append_deadline_s,
        )
        error = msgspec.json.decode(got.payload).get("error") if got.payload else {"description": "no answer"}
        if error:
            raise BrokerError(
                f"The broker did not store the {verb} command to {target}: {error.get('description', error)}.",
                api_code=error.get("err_code", 0),
            )

    async def open(self, target: str) -> None:
        """See ``Commands.open``."""
        config: dict[str, Any] = {
            "durable_name": target,
            "name": target,
            "filter_subject": subjects.commands(target),
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait_s * NANOSECONDS),
            "max_deliver": -1,
            "max_ack_pending": ACKS_PENDING_MAX,
            "replay_policy": "instant",
        }
        await api.call(
            self._connection,
            f"CONSUMER.CREATE.{COMMANDS}.{target}.{subjects.commands(target)}",
            {"stream_name": COMMANDS, "config": config},
        )

    async def reopen(self, target: str) -> None:
        """See ``Commands.reopen``. The stream keeps a command until it is acknowledged, whatever becomes of queues."""
        await self._forget(target)
        await self.open(target)

    async def close(self, target: str) -> None:
        """See ``Commands.close``."""
        await self._forget(target)
        await api.call(self._connection, f"STREAM.PURGE.{COMMANDS}", {"filter": subjects.commands(target)})

    async def _forget(self, target: str) -> None:
        await api.find(self._connection, f"CONSUMER.DELETE.{COMMANDS}.{target}", api.CONSUMER_NOT_FOUND)

    async def forget(self, execution: str) -> None:
        """See ``Commands.forget``. Message by message: a work queue lets nobody look into it but its receivers."""
        named = f'"{execution}"'.encode()
        for verb in ("start", "stop"):
            subject, sequence = subjects.command("*", verb), 1
            while found := await api.following_message(self._connection, COMMANDS, subject, sequence):
                if named in found.payload:
                    await api.delete(self._connection, COMMANDS, found.sequence)
                sequence = found.sequence + 1

    async def receive(self, target: str, *, batch: int = 64) -> AsyncGenerator[list[Delivery], None]:
        """See ``Commands.receive``."""
        wait = RETRY_S[0]
        while await self._connection.ready():
            try:
                async with Pull(self._connection, COMMANDS, target, batch) as pull:
                    try:
                        while True:
                            messages = await pull.next(batch)
                            wait = RETRY_S[0]
                            yield [NatsDelivery(self._connection, msg) for msg in messages]
                    finally:
                        await self._give_back(pull)
            except PullLostError as lost:
                if lost.missing:
                    await asyncio.sleep(wait)
                    wait = min(RETRY_S[1], wait * 2)
            except nats.errors.Error:
                await asyncio.sleep(wait)

    async def _give_back(self, pull: Pull) -> None:
        """What came and nobody took is free for another at once, not after ``ack_wait``."""
        try:
            if self._connection.connected:
                await pull.leave()
        finally:
            while pull.waiting:
                await NatsDelivery(self._connection, pull.waiting.popleft()).again()
