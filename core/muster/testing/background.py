"""An event loop of its own, on a thread of its own, whose clock can be put forward.

The engine under test does not run on the test's loop: so it makes no difference whether a test is async and who runs
it, a test that blocks does not stop the engine, and putting the clock forward does not let the test's own timeouts
expire.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Coroutine, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from muster.clock import Clock

T = TypeVar("T")
CLOSE_LIMIT_S: Final = 30.0  # real seconds; whatever still runs by then is left to the end of the process


class Pending(Generic[T]):
    """Something under way on the engine's loop: ``await`` it in an async test, or ask for its ``result()``."""

    def __init__(self, future: concurrent.futures.Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self, timeout: float | None = None) -> T:
        """What came of it; waits, with ``timeout`` at most so many (real) seconds. Raises what it raised."""
        return self._future.result(timeout)


class ForwardLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the real one plus ``ahead_s``."""

    ahead_s = 0.0

    def time(self) -> float:
        """Monotonic seconds, put forward."""
        return super().time() + self.ahead_s


class ForwardClock(Clock):
    """The engine's clock: that of its loop."""

    def __init__(self, loop: ForwardLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """The time of day, put forward."""
        return datetime.now(UTC) + timedelta(seconds=self._loop.ahead_s)

    def seconds(self) -> float:
        """Monotonic seconds, put forward."""
        return time.monotonic() + self._loop.ahead_s


class Background:
    """The thread and its loop."""

    def __init__(self, name: str) -> None:
        self.loop = ForwardLoop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def begin(self, work: Coroutine[Any, Any, T]) -> Pending[T]:
        """Do ``work`` on the loop. May be called from any thread."""
        return Pending(asyncio.run_coroutine_threadsafe(work, self.loop))

    def close(self) -> None:
        """End what still runs, then the loop and the thread."""
        if not self._thread.is_alive():
            return
        self.begin(self._finish()).result(CLOSE_LIMIT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CLOSE_LIMIT_S)
        if not self._thread.is_alive():
            self.loop.close()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()
