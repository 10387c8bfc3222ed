"""Where a log ends, or, in words, that the broker has none."""

from __future__ import annotations

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
