"""The desk: one thread for what blocks, and reading ahead."""

import asyncio
import contextlib
import threading

import pytest

from muster_projections.desk import Desk, ahead


async def test_everything_is_done_in_one_thread():
    """Calls and contexts run in the same thread, which is not the loop's."""
    seen = []

    @contextlib.contextmanager
    def context():
        seen.append(threading.get_ident())
        yield "entered"
        seen.append(threading.get_ident())

    async with Desk() as desk:
        assert await desk.enter(context()) == "entered"
        seen.append(await desk.run(threading.get_ident))
    assert len(set(seen)) == 1
    assert len(seen) == 3
    assert threading.get_ident() not in seen


async def test_a_call_that_was_begun_is_finished_before_the_desk_is_closed():
    """Cancelling whoever waits does not cut a call short: what is left is left after it."""
    order = []
    begun, go_on = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(5)
        order.append("done")

    @contextlib.contextmanager
    def context():
        yield
        order.append("left")

    async def work() -> None:
        async with Desk() as desk:
            await desk.enter(context())
            await desk.run(call)

    task = asyncio.create_task(work())
    await cancelled(task, begun, go_on)
    assert order == ["done", "left"]


async def cancelled(task: asyncio.Task[None], begun: threading.Event, go_on: threading.Event) -> None:
    """Cancel it once its call in the thread has begun, and only then let that go on."""
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _numbers(log: list[str], last: int = 3):
    try:
        for number in range(last):
            log.append(f"read {number}")
            yield number
            await asyncio.sleep(0)
    finally:
        log.append("closed")


async def test_the_next_batch_is_read_while_one_is_written():
    """Reading and writing overlap by one batch, and every batch comes once and in order."""
    log: list[str] = []
    async for number in ahead(_numbers(log)):
        log.append(f"begin {number}")
        for _ in range(5):
            await asyncio.sleep(0)
        log.append(f"end {number}")
    assert [entry for entry in log if entry.startswith("end")] == ["end 0", "end 1", "end 2"]
    assert log.index("read 1") < log.index("end 0") < log.index("begin 1")
    assert log[-1] == "end 2"
    assert "closed" in log


async def test_a_stop_ends_it_after_what_had_come():
    """Set while nothing comes, it ends at once; a batch that had come is still handed over."""
    stop = asyncio.Event()
    log: list[str] = []

    async def batches():
        yield 1
        yield 2
        try:
            await asyncio.sleep(60)
        finally:
            log.append("closed")

    found = []
    async for number in ahead(batches(), stop):
        found.append(number)
        if number == 1:
            await asyncio.sleep(0.01)
            stop.set()
    assert found == [1, 2]
    assert log == []  # it was not asked for a third


async def test_a_stop_while_waiting_closes_the_source():
    """Nobody waits for a batch that may never come."""
    stop = asyncio.Event()
    closed = asyncio.Event()

    async def batches():
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            closed.set()

    async for _ in ahead(batches(), stop):
        asyncio.get_running_loop().call_later(0.01, stop.set)
    assert closed.is_set()


async def test_what_the_source_raises_is_raised():
    """A failure comes where the batch would have come."""

    async def batches():
        yield 1
        raise ConnectionError("gone")

    found = []
    with pytest.raises(ConnectionError, match="gone"):
        async for number in ahead(batches()):
            found += [number]
    assert found == [1]


async def test_what_is_entered_is_left_though_nobody_waits_for_it_any_more():
    """A caller that is cancelled while the thread enters a context, or is about to, leaves it all the same."""
    order = []
    begun, go_on = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def context():
        begun.set()
        go_on.wait(5)
        order.append("entered")
        try:
            yield
        finally:
            order.append("left")

    async def work(desk: Desk) -> None:
        async with desk.holding(context()):
            order.append("held")

    async with Desk() as desk:
        task = asyncio.create_task(work(desk))
        await cancelled(task, begun, go_on)
        assert order == ["entered", "left"]


async def test_a_call_that_waits_for_the_thread_is_done_though_its_caller_is_cancelled():
    """It may be one that closes something."""
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def busy() -> None:
        begun.set()
        go_on.wait(5)

    async with Desk() as desk:
        first = asyncio.create_task(desk.run(busy))
        await asyncio.to_thread(begun.wait, 5)
        second = asyncio.create_task(desk.run(order.append, "closed"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        go_on.set()
        await first
    assert order == ["closed"]
