"""Where coroutines run: one loop for all of them, so that what was opened in ``load`` works in a call.

asyncio is imported when it is wanted: it takes longer than all else here together.
"""

from __future__ import annotations

import threading

from .raising import Stopped


class Loop:
    """In the main thread, while there is something to await; tasks a function leaves go on in its next call."""

    def __init__(self):
        self._loop = None
        self._task = None

    def run(self, awaitable, call=None):
        import asyncio

        if self._loop is None or self._loop.is_closed():  # the function may have closed it
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(_awaited(awaitable))
        try:
            if call is not None and call.cancelled:
                self._task.cancel()
            return self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            if call is not None and call.cancelled:
                raise Stopped from None
            raise
        finally:
            task, self._task = self._task, None
            if not task.done():  # what ended the loop did not end the task, which is not for the next call
                task.cancel()

    def cancel(self):
        """Whether there is a coroutine, which is cancelled then."""
        task = self._task
        if task is None:
            return False
        self._loop.call_soon_threadsafe(task.cancel)
        return True


class SideLoop:
    """In a thread of its own, for many at once: each call waits in its own thread for its coroutine.

    ``part(error)`` ends a child that the function forked in a coroutine: nobody waits for that one there.
    """

    def __init__(self, part):
        self._part = part
        self._loop = None
        self._lock = threading.Lock()

    def run(self, awaitable, call=None):
        import asyncio
        import concurrent.futures

        with self._lock:
            if self._loop is None or self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._forever, name="muster-loop", daemon=True).start()
        done = asyncio.run_coroutine_threadsafe(self._registered(awaitable, call), self._loop)
        try:
            return done.result()
        except concurrent.futures.CancelledError:
            if call is not None and call.cancelled:
                raise Stopped from None
            raise

    def cancel(self, call):
        """Whether the call waits for a coroutine, which is cancelled then."""
        task = call.task  # the loop takes it away when the coroutine ends
        if task is None:
            return False
        self._loop.call_soon_threadsafe(task.cancel)
        return True

    def _forever(self):
        import asyncio

        loop = self._loop
        asyncio.set_event_loop(loop)
        while not loop.is_closed():
            try:
                loop.run_forever()  # a function may stop it, and what exits is raised here, too: others go on
            except BaseException:
                continue

    async def _registered(self, awaitable, call):
        import asyncio

        if call is None:
            return await awaitable
        call.task = asyncio.current_task()
        if call.cancelled:
            call.task.cancel()
        try:
            found = await awaitable
        except BaseException as error:
            self._part(error)
            raise
        finally:
            call.task = None
        self._part(None)
        return found


async def _awaited(found):
    return await found
