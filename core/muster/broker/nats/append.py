"""Writing events: order, fence, deadline, and an honest outcome for each.

Theory of operation
-------------------
Calls are served in the order in which they came: ``_turn`` is held while a call sends.

*Few events on one replica* are pipelined. Each goes out with a reply token of its own and with the fence in its
header; the turn is given up as soon as the last one is sent, and the call waits for its answers outside, so that
calls overlap on the wire. The broker takes messages of one connection in order, and since the fence is the same for
all of a call, either all pass it or all from some point on fail it. (Where a message is refused for another reason,
a later one could still pass: sizes are therefore checked before anything is sent, and a stream that is full refuses
small and large alike except in its last bytes. Those outcomes are given as Unknown, and the log has the truth.)

*Many events, and any call on a replicated stream*, go as atomic batches (ADR-50) of at most 1,000: all of a batch
is stored or nothing. Only the first message carries the fence, only the commit message is answered; the first also
asks for a reply, because that is where an error would be told. The turn is kept until the answer: JetStream admits
one message in flight per fence subject on a replicated stream (10164), and a batch that is refused must not be
overtaken by the next one.

Measured on NATS 2.15.1 (two cores, 450-byte events; per call in ms, then client + broker CPU in ms per 1,000):

    sync_interval  events  pipelined        batch
    always              8    2.3   152        3.7   261
    always             16    3.7   106        3.8   145
    always             32    7.2   108        3.7    80
    always             64   14.2    97        5.4    56
    always          1,000    210    83         20    15
    default            64    1.3    18        3.3    33
    default         1,000     22    22         20    18

With ``always`` a pipelined write costs one fsync each and a batch three or four in all; the block of the stream
itself is synced before the batch is answered (seen with strace), so both are equally safe.

Outcomes: an answer with a sequence is Appended; 10071 is Refused as replaced; no room is Refused as full. 10201 (the
batch holds an event that an earlier try had stored) is resolved by sending the batch again one by one, which tells
for each. Codes that only mean "not now" are tried again until the deadline. Silence, and the loss of the connection,
are Unknown; nothing of such a call is sent later.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

import msgspec

from muster.broker.admission import Message, too_large
from muster.broker.interface import Appended, Fence, Outcome, Refused, Unknown
from muster.broker.nats import api
from muster.broker.nats.connection import Connection
from muster.broker.nats.replies import Answer
from muster.broker.nats.streams import EVENTS
from muster.model.errors import BrokerError

BATCH_MIN: Final = 32
"""From here on a batch takes no more CPU than pipelining where every write is synced, and half the time."""
BATCH_MAX: Final = 1000
"""JetStream's limit."""
HEADERS_MAX: Final = 1024
"""Room for the headers within the broker's message limit."""
RETRY_S: Final = (0.002, 0.05)
"""The wait after "not now", rising from the first to the second."""

MESSAGE_ID: Final = "Nats-Msg-Id"
EXPECTED_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"

REPLACED: Final = 10071
DUPLICATE_IN_BATCH: Final = 10201
STORE_FAILED: Final = 10077
# insufficient resources, storage resources exceeded, account resources exceeded
FULL: Final = frozenset({10023, 10047, 10002})
# own write in flight, same id in flight, fence not ready, too many batches, batch cut by a change of leader
NOT_NOW: Final = frozenset({10164, 10158, 10163, 10210, 10176})
# no leader, not the leader: whether an earlier message got through is not said
NOT_KNOWN: Final = frozenset({10008, 10009})


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct, frozen=True):
    seq: int = 0
    duplicate: bool = False
    count: int = 0
    error: _Error | None = None


_ack: Final = msgspec.json.Decoder(_PubAck)


_LOST: Final = Unknown("the connection to the broker broke before it answered")
_LATE: Final = Unknown("the broker did not answer before the deadline")
_Settled = _PubAck | Unknown


class _Call:
    """The answers to messages that were sent together. Each message holds a place in the window until answered."""

    def __init__(self, size: int, answered: Callable[[], None]) -> None:
        self.acks: list[_Settled | None] = [None] * size
        self.tokens: list[str] = []
        self._missing = size
        self._answered = answered
        self._done = asyncio.Event()

    def take(self, index: int, answer: Answer | None) -> None:
        """Take the answer to one message."""
        self.settle(index, _read(answer))

    def settle(self, index: int, ack: _Settled) -> None:
        """Keep what is known of one message."""
        self.acks[index] = ack
        self._missing -= 1
        self._answered()
        if not self._missing:
            self._done.set()

    async def wait(self) -> None:
        """Until every message is answered."""
        await self._done.wait()

    def outcomes(self) -> list[Outcome]:
        """One for each message."""
        return [_LATE if ack is None else _outcome(ack) for ack in self.acks]


class Appender:
    """Writes to the event stream over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._in_flight = 0
        self._room = asyncio.Event()
        self._replicated: bool | None = None
        self._batch_ids = (f"{secrets.token_hex(8)}-{number}" for number in count(1))

    async def append(self, messages: Sequence[Message], fence: Fence | None) -> list[Outcome]:
        """See ``EventLog.append``."""
        refused = too_large(messages, self._connection.nc.max_payload - HEADERS_MAX)
        if refused is not None or not messages:
            return refused or []
        outcomes: list[Outcome] = []
        try:
            async with asyncio.timeout(self._connection.settings.append_deadline_s):
                await self._write(messages, fence, outcomes)
        except TimeoutError:
            _fill(outcomes, len(messages), _LATE)
        except BrokerError as error:
            _fill(outcomes, len(messages), Unknown(error.message))
        return _in_order(outcomes)

    async def learn(self) -> None:
        """Ask whether the stream has replicas; the first append does it where nobody did before. Raises BrokerError."""
        info = await api.call(self._connection, f"STREAM.INFO.{EVENTS}")
        self._replicated = info["config"]["num_replicas"] > 1

    async def drain(self) -> None:
        """Wait until nothing is under way; every write ends by its deadline."""
        async with self._turn:
            pass
        while self._in_flight:
            self._room.clear()
            await self._room.wait()

    async def _write(self, messages: Sequence[Message], fence: Fence | None, outcomes: list[Outcome]) -> None:
        async with self._turn:
            if self._replicated is None:
                await self.learn()
            if self._replicated or len(messages) >= BATCH_MIN:
                await self._in_batches(messages, fence, outcomes)
                return
            call = await self._send(messages, fence)
        try:
            await call.wait()
        finally:
            self._forget(call)
            outcomes.extend(call.outcomes())
        if any(isinstance(ack, _PubAck) and ack.error and ack.error.err_code in NOT_NOW for ack in call.acks):
            self._replicated = None  # the stream has got replicas since it was asked

    # ---- pipelined

    async def _send(self, messages: Sequence[Message], fence: Fence | None) -> _Call:
        """Publish each message with a token of its own."""
        call = _Call(len(messages), self._answered)
        replies = self._connection.replies
        try:
            for index, (subject, id_, line) in enumerate(messages):
                await self._take_room()
                token = replies.expect(partial(call.take, index))
                call.tokens.append(token)
                headers = {MESSAGE_ID: id_, **_fence(fence)}
                sent = await self._connection.publish(
                    subject, line, reply=replies.subject(token), headers=headers
                )
                if not sent and call.acks[index] is None:
                    replies.forget(token)
                    call.settle(index, _LOST)
        except BaseException:
            self._forget(call)
            raise
        return call

    async def _take_room(self) -> None:
        while self._in_flight >= self._connection.settings.append_window:
            self._room.clear()
            await self._room.wait()
        self._in_flight += 1

    def _answered(self) -> None:
        self._in_flight -= 1
        self._room.set()

    def _forget(self, call: _Call) -> None:
        for index, token in enumerate(call.tokens):
            if call.acks[index] is None:
                self._connection.replies.forget(token)
                call.settle(index, _LATE)

    # ---- batches

    async def _in_batches(
        self, messages: Sequence[Message], fence: Fence | None, outcomes: list[Outcome]
    ) -> None:
        for start in range(0, len(messages), BATCH_MAX):
            batch = messages[start : start + BATCH_MAX]
            if len(batch) == 1:
                await self._one_by_one(batch, fence, outcomes)
            else:
                await self._batch(batch, fence, outcomes)
            if not _fine(outcomes):
                _fill(outcomes, len(messages), outcomes[-1])
                return

    async def _batch(self, batch: Sequence[Message], fence: Fence | None, outcomes: list[Outcome]) -> None:
        ack = await self._until_taken(lambda: self._publish_batch(batch, fence))
        if isinstance(ack, _PubAck) and ack.error is None:
            first = ack.seq - len(batch) + 1
            outcomes.extend(Appended(first + index) for index in range(len(batch)))
        elif isinstance(ack, _PubAck) and ack.error and ack.error.err_code == DUPLICATE_IN_BATCH:
            await self._one_by_one(batch, fence, outcomes)
        else:
            outcomes.extend([_outcome(ack)] * len(batch))

    async def _one_by_one(
        self, batch: Sequence[Message], fence: Fence | None, outcomes: list[Outcome]
    ) -> None:
        end = len(outcomes) + len(batch)
        for message in batch:
            outcomes.append(_outcome(await self._until_taken(partial(self._publish_one, message, fence))))
            if not _fine(outcomes):
                _fill(outcomes, end, outcomes[-1])

    async def _until_taken(self, publish: Callable[[], Awaitable[_Settled]]) -> _Settled:
        """The answer to ``publish``, repeated while the broker says "not now"; the deadline ends it."""
        wait, longest = RETRY_S
        while True:
            ack = await publish()
            if isinstance(ack, Unknown) or ack.error is None or ack.error.err_code not in NOT_NOW:
                return ack
            await asyncio.sleep(wait)
            wait = min(longest, wait * 2)

    async def _publish_one(self, message: Message, fence: Fence | None) -> _Settled:
        call = await self._send([message], fence)
        try:
            await call.wait()
        finally:
            self._forget(call)
        return call.acks[0] or _LATE

    async def _publish_batch(self, batch: Sequence[Message], fence: Fence | None) -> _Settled:
        replies = self._connection.replies
        commit: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        early: list[Answer | None] = []
        first = replies.expect(early.append)
        last = replies.expect(lambda answer: None if commit.done() else commit.set_result(answer))
        reply = {1: replies.subject(first), len(batch): replies.subject(last)}
        id_ = next(self._batch_ids)
        try:
            for number, (subject, message_id, line) in enumerate(batch, 1):
                headers = {MESSAGE_ID: message_id, "Nats-Batch-Id": id_, "Nats-Batch-Sequence": str(number)}
                if number == 1:
                    headers |= _fence(fence)
                elif number == len(batch):
                    headers["Nats-Batch-Commit"] = "1"
                if not await self._connection.publish(
                    subject, line, reply=reply.get(number, ""), headers=headers
                ):
                    return _LOST
            ack = _read(await commit)
        finally:
            replies.forget(first)
            replies.forget(last)
        # Where the first message was refused, the commit only says that the batch is incomplete.
        reason = _read(early[0]) if early and early[0] is not None and early[0].payload else ack
        return reason if isinstance(ack, _PubAck) and ack.error else ack


def _fence(fence: Fence | None) -> dict[str, str]:
    if fence is None:
        return {}
    return {EXPECTED_SEQUENCE: str(fence.sequence), EXPECTED_SUBJECT: fence.subject}


def _read(answer: Answer | None) -> _Settled:
    if answer is None:
        return _LOST
    if not answer.payload:
        return Unknown(f"nobody stores events at the broker (status {answer.status or 'none'})")
    try:
        return _ack.decode(answer.payload)
    except msgspec.MsgspecError as error:
        return Unknown(f"the broker's answer cannot be read: {error}")


def _outcome(ack: _Settled) -> Outcome:
    if isinstance(ack, Unknown):
        return ack
    error = ack.error
    if error is None:
        return Appended(ack.seq, duplicate=ack.duplicate)
    code, text = error.err_code or error.code, error.description
    if code in NOT_NOW or code in NOT_KNOWN:
        return Unknown(f"the broker could not take it: {text} ({code})")
    no_room = code == STORE_FAILED and ("maximum" in text or "no space" in text)
    if code == STORE_FAILED and not no_room and "too large" not in text:
        return Unknown(f"the broker failed to store it: {text} ({code})")
    return Refused(code, text, replaced=code == REPLACED, full=no_room or code in FULL)


def _fine(outcomes: Sequence[Outcome]) -> bool:
    return not outcomes or isinstance(outcomes[-1], Appended)


def _fill(outcomes: list[Outcome], size: int, rest: Outcome) -> None:
    outcomes.extend([rest] * (size - len(outcomes)))


def _in_order(outcomes: list[Outcome]) -> list[Outcome]:
    """Nothing counts as Appended behind a Refused: the log has the truth."""
    refused = next((index for index, outcome in enumerate(outcomes) if isinstance(outcome, Refused)), None)
    if refused is not None:
        for index in range(refused + 1, len(outcomes)):
            if isinstance(outcomes[index], Appended):
                outcomes[index] = Unknown("stored although an earlier event of the same call was refused")
    return outcomes
