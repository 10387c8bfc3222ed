"""The agent's side of the protocol of functions (docs/function-protocol.md), over any pipe.

JSON-RPC 2.0, one object a line. The agent asks and the function answers, in any order; what the function tells by
itself are notifications. What it prints on stdout that is no message of the protocol is nobody's answer: it is handed
back, for the logs. An answer is only ever given to the question whose id it bears, once; what answers no question, or
answers one twice, is dropped, counted, and warned of once.

An answer that is longer than a line may be is not read, and one that is no JSON cannot be; of its beginning and end it
can mostly be told whose answer it was, and that question fails instead of waiting for ever.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from muster.model.plan.calls import CANNOT_TRAVEL
from muster_agents.functions.lines import ENDS_BYTES, Lines, TooLong

ENVELOPE_BYTES: Final = 4096
"""What a line may have beside the answer it carries: version, id, braces."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:]')
UNREADABLE: Final = "its answer is no message that can be read."
_MARKER: Final = b'"jsonrpc"'

log = logging.getLogger(__name__)

Send = Callable[[bytes], Awaitable[None]]
Told = Callable[[str, Any], None]


class RefusedError(Exception):
    """The function answered with an error."""

    def __init__(self, code: Any, message: Any, data: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.data = code, message, data


class UnreadableError(RefusedError):
    """The function answered with what is no message: nobody said this error, it is told so of what cannot travel."""

    def __init__(self) -> None:
        super().__init__(CANNOT_TRAVEL, UNREADABLE, None)


class TooLargeError(Exception):
    """The function answered with a line of ``size`` bytes, which is more than it may."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


class _Error(msgspec.Struct, frozen=True):
    code: Any = None
    message: Any = ""
    data: Any = None


class _Message(msgspec.Struct, frozen=True):
    jsonrpc: str
    id: str | int | None = None
    method: str | None = None
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: _Error | UnsetType = UNSET


_decode: Final = msgspec.json.Decoder(_Message).decode
_encode: Final = msgspec.json.Encoder().encode


def notification(method: str, **params: Any) -> bytes:
    """One line that asks for no answer."""
    return _encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"


def request(id_: str, method: str, params: Any = None) -> bytes:
    """One line that asks for an answer."""
    text = {"jsonrpc": "2.0", "id": id_, "method": method}
    return _encode(text if params is None else text | {"params": params}) + b"\n"


class Wire:
    """One conversation. ``told`` is given the method and parameters of every notification.

    ``foreign`` is for a conversation that somebody else began: told of answers to nothing, of which none is strange.
    """

    def __init__(
        self,
        send: Send,
        told: Told,
        *,
        message_bytes: int,
        name: str = "the function",
        foreign: Callable[[], None] | None = None,
    ) -> None:
        self._send = send
        self._told = told
        self._foreign = foreign
        self._name = name
        self._lines = Lines(message_bytes + ENVELOPE_BYTES)
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._given_up: set[str] = set()
        self._lost: BaseException | None = None
        self.strange = 0
        """Answers to nothing: to no question, or to one that had its answer."""

    # ---- asking

    def expect(self, id_: str) -> asyncio.Future[bytes]:
        """The answer with this id: its ``result`` as JSON text. Until ``forget``.

        It fails with RefusedError or TooLargeError, or with what ``lose`` was told.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self._given_up.discard(id_)
        self._asked[id_] = future
        if self._lost is not None:
            future.set_exception(self._lost)
        return future

    def forget(self, id_: str) -> None:
        """Nobody waits for this answer any more. One that comes yet was asked for, once: it is not strange."""
        future = self._asked.pop(id_, None)
        if future is not None and (future.cancelled() or not future.done()):
            self._given_up.add(id_)

    async def ask(self, id_: str, method: str, params: Any = None) -> bytes:
        """Ask, and wait for the answer. Raises as ``expect`` says, and what sending raises."""
        answer = self.expect(id_)
        try:
            await self._send(request(id_, method, params))
            return await answer
        finally:
            self.forget(id_)

    def settle(self) -> None:
        """What others asked has been answered: from here on answers to nothing are strange."""
        self._foreign = None

    def lose(self, error: BaseException) -> None:
        """Nothing more will be heard: whoever waits, or will, gets this error."""
        self._lost = error
        for future in self._asked.values():
            if not future.done():
                future.set_exception(error)

    # ---- hearing

    def hear(self, chunk: bytes) -> bytes:
        """What stdout said; gives back what is no part of the protocol."""
        lines, passed = self._lines.take(chunk)
        other = [passed] if passed else []
        for line in lines:
            if isinstance(line, TooLong):
                self._too_long(line)
            elif not self._understood(line) and not self._garbled(line):
                other.append(line)
        return b"".join(other)

    def _understood(self, line: bytes) -> bool:
        try:
            message = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if message.method is not None:
            self._notified(message.method, message.params)
        elif isinstance(message.error, _Error):
            error = message.error
            self._answered(message.id, error=RefusedError(error.code, error.message, error.data))
        elif message.result is not UNSET:
            self._answered(message.id, document=bytes(message.result))
        else:
            return False
        return True

    def _notified(self, method: str, params: Raw | UnsetType) -> None:
        try:
            found = {} if params is UNSET else msgspec.json.decode(params)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = {}
        self._told(method, found)

    def _answered(
        self, id_: str | int | None, *, document: bytes = b"", error: Exception | None = None
    ) -> None:
        future = self._asked.get(id_) if isinstance(id_, str) else None
        if future is None and id_ in self._given_up:
            self._given_up.remove(str(id_))
        elif future is None or future.done():
            self._answers_nothing(id_)
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(document)

    def _answers_nothing(self, id_: str | int | None) -> None:
        if self._foreign is not None:
            self._foreign()
            return
        self.strange += 1
        if self.strange == 1:
            log.warning(f"{self._name} answers what it was not asked, or a second time (id {id_!r:.200})")

    def _too_long(self, line: TooLong) -> None:
        """Fail the question it answered, if that can be told."""
        log.warning(f"{self._name} wrote a line of {line.size} bytes, which is not read")
        if (id_ := self._meant(line.head, line.tail)) is not None:
            self._asked[id_].set_exception(TooLargeError(line.size))

    def _garbled(self, line: bytes) -> bool:
        """Fail the question that this answers badly; whether there is one."""
        id_ = self._meant(line[:ENDS_BYTES], line[-ENDS_BYTES:])
        if id_ is not None:
            self._asked[id_].set_exception(UnreadableError())
        return id_ is not None

    def _meant(self, head: bytes, tail: bytes) -> str | None:
        """The question that a line answers of which this is the beginning and the end, if that can be told."""
        if (_MARKER not in head and _MARKER not in tail) or b"method" in _keys(head):
            return None
        open_ = [id_ for id_, future in self._asked.items() if not future.done()]
        named = [id_ for id_ in open_ if _encode(id_) in head or _encode(id_) in tail]
        return named[0] if len(named) == 1 else None


def _keys(text: bytes) -> set[bytes]:
    """The names of the outermost object that begins so."""
    found, depth, last = set(), 0, b""
    for token in _TOKEN.findall(text):
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        elif token == b":" and depth == 1:
            found.add(last.strip(b'"'))
        last = token
    return found


def _seen(future: asyncio.Future[bytes]) -> None:
    """Whoever was stopped does not ask; that is no failure to warn of."""
    if not future.cancelled():
        future.exception()
