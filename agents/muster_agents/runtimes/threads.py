"""Daemon threads for calls that block: a call that hangs must hang neither the loop nor the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """At most ``limit`` threads, made when needed. They live until ``close``. For one loop."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._queue: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = 0
        self._open = 0

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin ``work``. Cancelling the future does not end it. Raises RuntimeError where there can be no thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._open += 1
        if self._open > self._threads < self._limit:
            self._grow(loop)
        self._queue.put((future, work))
        return future

    def _grow(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            threading.Thread(target=self._serve, args=(loop,), name=self._name, daemon=True).start()
        except RuntimeError:  # the system has no more of them: what is to be done waits for one that is there
            if not self._threads:
                self._open -= 1
                raise
        else:
            self._threads += 1

    async def call(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        """Do ``work`` in a thread."""
        return await self.submit(lambda: work(*args, **options))

    def close(self) -> None:
        """Idle threads end now, busy ones after their call."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # it belongs to whoever awaits the future
                error = raised
            del work
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                loop.call_soon_threadsafe(self._finish, future, result, error)
            del item, future, result, error

    def _finish(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._open -= 1
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
