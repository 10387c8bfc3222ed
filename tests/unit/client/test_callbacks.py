from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from muster.client.callbacks import Callbacks


async def test_sync_and_async_functions_are_called_in_order():
    """Both kinds are called, in the order asked for, before the block is left."""
    seen: list[int] = []

    async def later(value: int) -> None:
        await asyncio.sleep(0)
        seen.append(value)

    async with Callbacks() as callbacks:
        for number in range(4):
            callbacks.call(later if number % 2 else seen.append, number)
    assert seen == [0, 1, 2, 3]


async def test_a_sync_function_does_not_run_on_the_loop():
    """A function that blocks blocks a thread of its own."""
    threads: list[int] = []
    async with Callbacks() as callbacks:
        callbacks.call(lambda _: threads.append(threading.get_ident()), None)
    assert threads != [threading.get_ident()]


async def test_what_is_raised_is_logged(caplog: pytest.LogCaptureFixture):
    """A function that raises is named in the log, and the next one is called."""
    seen: list[str] = []

    def fails(_: object) -> None:
        raise RuntimeError("mine")

    with caplog.at_level(logging.ERROR, "muster.client"):
        async with Callbacks() as callbacks:
            callbacks.call(fails, None)
            callbacks.call(seen.append, "next")
    assert seen == ["next"]
    assert "mine" in caplog.text


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_function_that_hangs_is_given_up(kind: str, caplog: pytest.LogCaptureFixture):
    """Leaving the block waits no longer than the limit for a function that never returns."""
    release = threading.Event()

    async def waits(_: object) -> None:
        await asyncio.Event().wait()

    def blocks(_: object) -> None:
        release.wait()

    start = time.monotonic()
    with caplog.at_level(logging.ERROR, "muster.client"):
        async with Callbacks(limit_s=0.05) as callbacks:
            callbacks.call(waits if kind == "async" else blocks, None)
    release.set()
    assert time.monotonic() - start < 30
    assert "given up" in caplog.text


async def test_the_queue_is_bounded():
    """A slow function does not pile up memory: what does not fit is dropped and counted."""
    held = asyncio.Event()
    seen: list[int] = []

    async def slow(value: int) -> None:
        await held.wait()
        seen.append(value)

    async with Callbacks(size=3) as callbacks:
        for number in range(10):
            callbacks.call(slow, number)
        assert callbacks.dropped == 7
        held.set()
    assert seen == [0, 1, 2]
