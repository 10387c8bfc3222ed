"""The JetStream API: requests and answers as plain objects.

nats-py's own JetStream context is not used: it publishes without a deadline that holds, and its configuration objects
know fewer fields than the server.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from muster.broker.nats.connection import API_TIMEOUT_S, Connection
from muster.model.errors import BrokerError

CONSUMER_NOT_FOUND: Final = 10014
MESSAGE_NOT_FOUND: Final = 10037
DELETE_FAILED: Final = 10057
STREAM_NOT_FOUND: Final = 10059


class Stored(msgspec.Struct, frozen=True):
    """One message as the stream keeps it."""

    sequence: int
    subject: str
    time: datetime
    payload: bytes


async def call(
    connection: Connection,
    operation: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout: float = API_TIMEOUT_S,
) -> dict[str, Any]:
    """The answer to ``$JS.API.<operation>``. Raises BrokerError, with ``api_code`` where the server refused."""
    payload = b"" if body is None else msgspec.json.encode(body)
    got = await connection.request(f"$JS.API.{operation}", payload, timeout=timeout)
    answer: dict[str, Any] = msgspec.json.decode(got.payload)
    error = answer.get("error")
    if error is not None:
        raise BrokerError(
            f"The broker refused {operation}: {error.get('description', error)}.",
            url=connection.where,
            api_code=error.get("err_code", error.get("code", 0)),
        )
    return answer


def refused_with(error: BrokerError, *codes: int) -> bool:
    """Whether the server refused with one of these codes."""
    return error.data.get("api_code") in codes


async def find(connection: Connection, operation: str, missing: int) -> dict[str, Any] | None:
    """As ``call`` without a body; None where the server says ``missing``."""
    try:
        return await call(connection, operation)
    except BrokerError as error:
        if refused_with(error, missing):
            return None
        raise


async def following(connection: Connection, stream: str, subject: str, sequence: int) -> int | None:
    """The sequence of the first message on ``subject`` from ``sequence`` on, as the leader of the stream has it."""
    return await _first(connection, stream, {"seq": sequence, "next_by_subj": subject})


async def since(connection: Connection, stream: str, time: datetime) -> int | None:
    """The sequence of the first message stored at ``time`` or later, as the leader of the stream has it."""
    return await _first(
        connection, stream, {"start_time": time.astimezone(UTC).isoformat(), "next_by_subj": ">"}
    )


async def _first(connection: Connection, stream: str, body: Mapping[str, Any]) -> int | None:
    try:
        answer = await call(connection, f"STREAM.MSG.GET.{stream}", body)
    except BrokerError as error:
        if refused_with(error, MESSAGE_NOT_FOUND):
            return None
        raise
    found: int = answer["message"]["seq"]
    return found


async def delete(connection: Connection, stream: str, sequence: int) -> None:
    """Take one message out of a stream, if it is still there."""
    try:
        await call(connection, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})
    except BrokerError as error:
        if not refused_with(error, MESSAGE_NOT_FOUND, DELETE_FAILED):
            raise


async def following_message(
    connection: Connection, stream: str, subject: str, sequence: int
) -> Stored | None:
    """The first message on ``subject`` from ``sequence`` on, as the leader of the stream has it."""
    return await stored(connection, stream, {"seq": sequence, "next_by_subj": subject})


async def last(connection: Connection, stream: str, subject: str) -> Stored | None:
    """The newest message on ``subject``, which may hold wildcards, as the leader of the stream has it."""
    return await stored(connection, stream, {"last_by_subj": subject})


async def stored(connection: Connection, stream: str, body: Mapping[str, Any]) -> Stored | None:
    """The message the leader of the stream has for what ``body`` asks."""
    try:
        answer = await call(connection, f"STREAM.MSG.GET.{stream}", body)
    except BrokerError as error:
        if refused_with(error, MESSAGE_NOT_FOUND):
            return None
        raise
    message = answer["message"]
    return Stored(
        message["seq"],
        message["subject"],
        datetime.fromisoformat(message["time"]),
        base64.b64decode(message.get("data", "")),
    )
