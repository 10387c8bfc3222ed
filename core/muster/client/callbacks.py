"""A caller's functions, called beside the reading of the log so that they can neither stop nor fail it.

What is to be called waits in a bounded queue. An async function is awaited on the loop; a sync one runs on a daemon
thread, because one that never returns must not keep the process alive. What a function raises is logged. One that
takes longer than its limit is given up, and nothing is called after it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

QUEUE_MAX: Final = (
    1024  # updates that may wait for a slow function; beyond it the newest are dropped and counted
)
CALL_LIMIT_S: Final = 30.0  # one call; a function that needs longer should hand its work on

log = logging.getLogger("muster.client")

Callback = Callable[[Any], Awaitable[None] | None]


class Callbacks:
    """Calls functions in the order asked for; leaving the block waits for them, within the limit."""

    def __init__(self, *, limit_s: float = CALL_LIMIT_S, size: int = QUEUE_MAX) -> None:
        self._queue: asyncio.Queue[tuple[Callback, Any] | None] = asyncio.Queue(size + 1)
        self._size = size
        self._limit_s = limit_s
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        if self._queue.qsize() <= self._size:
            self._queue.put_nowait(None)
        try:
            async with asyncio.timeout(self._limit_s):
                await task
        except TimeoutError:
            log.error(f"callbacks were given up {self._limit_s:g} s after the end")
        if self.dropped:
            log.warning(f"{self.dropped} callbacks were dropped: the function was too slow")

    def call(self, function: Callback | None, value: Any) -> None:
        """Have ``function(value)`` called soon. Never waits."""
        if function is None:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="muster-callbacks")
        if self._task.done() or self._queue.qsize() >= self._size:
            self.dropped += 1
            return
        self._queue.put_nowait((function, value))

    async def _serve(self) -> None:
        while (item := await self._queue.get()) is not None:
            function, value = item
            try:
                async with asyncio.timeout(self._limit_s):
                    await _call(function, value)
            except TimeoutError:
                log.error(f"callback {function!r} did not return in {self._limit_s:g} s and is given up")
                return
            except Exception:  # whatever a caller's function does is not the execution's affair
                log.exception(f"callback {function!r} failed")


async def _call(function: Callback, value: Any) -> None:
    if inspect.iscoroutinefunction(function):
        await function(value)
        return
    returned = await _on_thread(functools.partial(function, value))
    if inspect.isawaitable(returned):
        await returned


async def _on_thread(function: Callable[[], Any]) -> Any:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as raised:  # carried over to the loop, where it is logged
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody waits any more

    threading.Thread(target=run, name="muster-callback", daemon=True).start()
    return await future
