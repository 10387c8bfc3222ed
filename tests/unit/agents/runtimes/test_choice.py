"""An agent that is cancelled while it opens its runtime leaves nothing of it."""

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from muster_agents.options import AgentOptions
from muster_agents.runtimes import docker_engine, process
from muster_agents.runtimes.choice import choose


class Slow:
    """A client of an engine, whose making takes as long as a test wants."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.closed = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, **_: object) -> "Slow":
        self.begun.set()
        self.go_on.wait(10)
        return self

    def info(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self.closed.set()


async def cancelled_after(begun: threading.Event, options: AgentOptions, folder: Path) -> None:
    """Somebody chooses it, and is cancelled as soon as that."""
    choosing = asyncio.create_task(choose(options, folder, datetime.now(UTC), 1))
    await asyncio.to_thread(begun.wait, 10)
    choosing.cancel()
    await asyncio.wait({choosing})
    assert choosing.cancelled()


async def ended(threads: set[threading.Thread]) -> None:
    """All but these, and but the loop's own."""
    for thread in set(threading.enumerate()) - threads:
        if thread.name.startswith("muster-"):
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


async def test_a_client_of_the_engine_that_comes_late_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The thread that makes it cannot be cancelled; what it makes is closed when it is made."""
    client, threads = Slow(), set(threading.enumerate())
    monkeypatch.setattr(docker_engine, "_Client", client)
    await cancelled_after(client.begun, AgentOptions(name="m1", runtime="docker"), tmp_path)
    assert not client.closed.is_set()
    client.go_on.set()
    assert await asyncio.to_thread(client.closed.wait, 10)
    await ended(threads)


async def test_the_threads_of_a_process_runtime_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """They are ended though the runtime was never handed over."""
    begun, go_on, threads = threading.Event(), threading.Event(), set(threading.enumerate())

    def kill_strays(_: Path) -> None:
        begun.set()
        go_on.wait(10)

    monkeypatch.setattr(process, "kill_strays", kill_strays)
    await cancelled_after(begun, AgentOptions(name="m1", runtime="process"), tmp_path)
    go_on.set()
    await ended(threads)
