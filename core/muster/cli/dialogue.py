"""What a person at the terminal is asked and answers, with Ctrl-C as something that can be awaited."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, Final, Self

READ_MAX: Final = 4096  # what a terminal hands over at once


class Dialogue:
    """While the block runs, Ctrl-C is an answer, and not the end of the process."""

    def __init__(self) -> None:
        self._hit = asyncio.Event()
        self._typed = b""

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._hit.set)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def interrupted(self) -> None:
        """Wait for the next Ctrl-C."""
        await self._hit.wait()
        self._hit.clear()

    async def line(self, question: str, unless: asyncio.Future[Any] | None = None) -> str | None:
        """What was answered; None on Ctrl-C, at the end of the input, and where ``unless`` is done before."""
        print(question, end="", flush=True)
        hit = asyncio.create_task(self.interrupted(), name="muster-interrupt")
        typed = asyncio.create_task(self._line(), name="muster-typing")
        waiting: set[asyncio.Future[Any]] = {hit, typed} | ({unless} if unless is not None else set())
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (hit, typed):
                task.cancel()
            await asyncio.gather(hit, typed, return_exceptions=True)
        found = None if typed.cancelled() else typed.result()
        if found is None:
            print()
        return found

    async def _line(self) -> str | None:
        """The next line that is typed, without its end."""
        while b"\n" not in self._typed:
            more = await self._more()
            if not more:
                return None
            self._typed += more
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    async def _more(self) -> bytes:
        loop, keys = asyncio.get_running_loop(), sys.stdin.fileno()
        ready: asyncio.Future[None] = loop.create_future()

        def typed() -> None:
            if not ready.done():
                ready.set_result(None)

        blocking = os.get_blocking(keys)
        loop.add_reader(keys, typed)
        try:
            await ready
        finally:
            loop.remove_reader(keys)
            # The loop made it non-blocking, and with it the output, which is the same terminal: a write to one that is
            # slow would fail.
            os.set_blocking(keys, blocking)
        return os.read(keys, READ_MAX)
