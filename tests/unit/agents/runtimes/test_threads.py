"""The threads of a runtime, on a machine that has no more of them."""

import asyncio
import threading

import pytest

from muster_agents.runtimes.threads import Threads


async def test_without_another_thread_work_waits_for_the_one_there_is(monkeypatch: pytest.MonkeyPatch):
    """What is to be done is done by the threads that could be made."""
    threads, release = Threads(2, "test"), threading.Event()
    first = threads.submit(release.wait)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", _refused)
        second = threads.submit(lambda: "done")
    release.set()
    async with asyncio.timeout(30):
        assert (await first, await second) == (True, "done")
    threads.close()


async def test_without_any_thread_it_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch):
    """The first work fails at once instead of waiting for ever; the next one is done when there can be a thread."""
    threads = Threads(2, "test")
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", _refused)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.submit(lambda: "never")
    async with asyncio.timeout(30):
        assert await threads.submit(lambda: "done") == "done"
    threads.close()


def _refused(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
