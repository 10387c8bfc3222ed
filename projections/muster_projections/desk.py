"""One thread in which everything that blocks is done, and batches that are read while the last one is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """The thread. Calls are done in their order, also those whose caller was cancelled."""

    def __init__(self) -> None:
        self._thread: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="view")
        self._stack: Final = ExitStack()

    async def run(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Do ``call`` in the thread."""
        loop = asyncio.get_running_loop()
        # Shielded: a call that waits for the thread would be cancelled with its caller, and may be one that closes.
        return await asyncio.shield(loop.run_in_executor(self._thread, partial(call, *args, **options)))

    async def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter ``context`` in the thread; it is left when the desk is closed."""
        return await self.run(self._stack.enter_context, context)

    @asynccontextmanager
    async def holding(self, context: AbstractContextManager[T]) -> AsyncIterator[T]:
        """``context`` for the length of the block, entered and left in the thread, even where entering is cancelled."""
        stack = ExitStack()
        try:
            yield await self.run(stack.enter_context, context)
        finally:
            await self.run(stack.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.run(self._stack.close)
        finally:
            self._thread.shutdown(wait=False)


async def ahead(batches: AsyncIterator[T], stop: asyncio.Event | None = None) -> AsyncGenerator[T, None]:
    """The batches, each read while the one before it is dealt with, until ``stop`` is set.

    A batch that had come by then is still handed over.
    """
    stop = stop or asyncio.Event()
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    coming = asyncio.ensure_future(_next(batches))
    try:
        while True:
            await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done() or (batch := coming.result()) is None:
                return
            if stop.is_set():
                yield batch
                return
            coming = asyncio.ensure_future(_next(batches))
            yield batch
    finally:
        stopped.cancel()
        coming.cancel()
        await asyncio.gather(stopped, coming, return_exceptions=True)
        close = getattr(batches, "aclose", None)
        if close is not None:
            await close()


async def _next(batches: AsyncIterator[T]) -> T | None:
    return await anext(batches, None)
