"""Removing what containers leave, though the engine may be away in that moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

REMOVE_AGAIN_S: Final = 10.0
"""Between two tries to remove a container while its engine is away."""

log = logging.getLogger(__name__)


async def removed(remove: Callable[[], Awaitable[bool]], over: asyncio.Event, *, tried: bool = False) -> bool:
    """Whether ``remove`` could do it in the end: it is called again and again, unless the agent is ``over``.

    What is left then the next agent of this name finds. ``tried``: it was called just now, and could not.
    """
    while tried or not await remove():
        tried = False
        try:
            async with asyncio.timeout(REMOVE_AGAIN_S):
                await over.wait()
        except TimeoutError:
            continue
        return False
    return True


async def discarded(discard: Awaitable[None], container: str) -> bool:
    """Whether what an earlier agent left could be removed."""
    try:
        await discard
    except Exception as error:  # the engine is away
        log.error(f"the container {container} could not be removed: {error}")
        return False
    return True
