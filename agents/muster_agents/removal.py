"""Removing what containers leave, though the engine may be away in that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

REMOVE_AGAIN_S: Final = 10.0
"""Between two tries to remove a container while its engine is away."""


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
