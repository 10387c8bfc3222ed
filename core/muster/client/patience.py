"""How long the client waits for what it asked, and what it says where that was in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from muster.broker.interface import Broker
from muster.model.errors import ExecutionTimeoutError
from muster.model.log import subjects

ACCEPT_LIMIT_S: Final = 30.0  # a new scheduler leads within a few seconds; more means that none runs
ERASED_POLL_S: Final = 0.02

NO_SCHEDULER: Final = (
    "It is stored, but no scheduler took it up in time.",
    "Start one: muster scheduler (or muster up). What was stored is then done by itself.",
)
_TOO_LONG: Final = ("", "")

T = TypeVar("T")


async def within(
    limit_s: float | None, waiting: Awaitable[T], execution: str, words: tuple[str, str] = _TOO_LONG
) -> T:
    """What was waited for. Raises ExecutionTimeoutError with these words after ``limit_s``."""
    try:
        async with asyncio.timeout(limit_s):
            return await waiting
    except TimeoutError:
        message, remedy = words
        message = message or f"The execution {execution} did not end in {limit_s:g} s; it goes on."
        raise ExecutionTimeoutError(message, remedy=remedy or None, execution=execution) from None


async def erased(broker: Broker, execution: str) -> None:
    """The scheduler erases once the mark is in the log; nothing else is written that could be waited for.

    First the log, what was printed and the commands, and the archived object in the end.
    """
    while await broker.history.last(subjects.queued(execution)) is not None:  # noqa: ASYNC110 - as said, there is nothing to await
        await asyncio.sleep(ERASED_POLL_S)
