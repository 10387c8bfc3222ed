"""Answers, by token: one wildcard subscription for everything a connection asks or writes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg


class Answer(msgspec.Struct, frozen=True):
    """What came back. ``status`` is set where the server answered without a body, such as 503.

    ``sequence`` is that of a message that was asked for, where the server says it.
    """

    payload: bytes
    status: str = ""
    sequence: int = 0


Handler = Callable[[Answer | None], None]
"""Takes the answer, or None when the connection broke before it came."""


class Replies:
    """Who waits for which answer. Only as many as are under way: each asker forgets its tokens in the end."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._tokens = count(1)
        self._prefix = ""

    async def open(self, nc: Client) -> None:
        """Subscribe; nats-py subscribes again by itself after a reconnect."""
        self._prefix = f"{nc.new_inbox()}."
        await nc.subscribe(f"{self._prefix}*", cb=self._received)

    def expect(self, handler: Handler) -> str:
        """A new token, whose answer goes to ``handler``."""
        token = str(next(self._tokens))
        self._handlers[token] = handler
        return token

    def subject(self, token: str) -> str:
        """Where the answer is to be sent."""
        return self._prefix + token

    def forget(self, token: str) -> None:
        """An answer that still comes is dropped."""
        self._handlers.pop(token, None)

    def lose(self) -> None:
        """The connection broke: no answer will come to anybody."""
        handlers, self._handlers = self._handlers, {}
        for handler in handlers.values():
            handler(None)

    async def _received(self, msg: Msg) -> None:
        handler = self._handlers.pop(msg.subject[len(self._prefix) :], None)
        if handler is not None:
            headers = msg.headers or {}
            # A message without a body that was asked for has headers too, and they say where it stands.
            sequence = headers.get("Nats-Sequence", "")
            status = "" if msg.data or sequence else headers.get("Status", "")
            handler(Answer(msg.data, status, int(sequence or 0)))
