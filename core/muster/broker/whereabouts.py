"""Where a log ends, or, in words, that the broker has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from muster.broker.interface import LogReader, Position
from muster.model.errors import BrokerError

STREAM_NOT_FOUND: Final = 10059  # JetStream's own number


async def position(log: LogReader) -> Position:
    """Where the log ends. Raises BrokerError, which says so where Muster was never started on this broker."""
    try:
        return await log.position()
    except BrokerError as error:
        if error.data.get("api_code") != STREAM_NOT_FOUND:
            raise
        raise BrokerError(
            "This broker has no event log: Muster was never started on it.",
            remedy="Start a scheduler on it, which makes one: muster scheduler (or muster up).",
        ) from error


async def awaited(log: LogReader, retry_s: float, say: Callable[[str], None]) -> Position:
    """As position, as soon as there is a log and the broker says so; what it waits for is said once.

    Raises what no waiting helps against.
    """
    said = False
    while True:
        try:
            return await position(log)
        except BrokerError as error:
            if type(error) is not BrokerError:
                raise
            if not said:
                say(f"waiting for the event log: {error}")
                said = True
        await asyncio.sleep(retry_s)
