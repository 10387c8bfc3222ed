"""The projections as processes on a real broker: restarts, kills, rebuilds, and two at once."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio

from muster.broker.nats import NatsBroker
from muster.model.log import subjects
from muster.model.log.envelope import encode
from muster.settings import Settings
from muster_projections.rebuild import rebuild
from muster_projections.service import serve
from muster_projections.verify import verify
from tests.fixtures.broker import Broker
from tests.fixtures.histories import History, history
from tests.fixtures.views import digest, folded, reached, sequence

ROOT = Path(__file__).resolve().parents[3]
KILLS = 6
DIRECT = "from muster_projections.command import projections; projections()"


class Log:
    """A real stream that a history is put into, repetitions included, as any foreign client could."""

    def __init__(self, server: Broker, broker: NatsBroker, folder: Path) -> None:
        self.server, self.broker, self.view = server, broker, folder / "view.db"
        self.settings = Settings(url=server.url, data_dir=folder)

    async def put(self, log: History, begin: int = 0, end: int | None = None, pause_s: float = 0.0) -> None:
        """Append a part of the history and wait until it is stored."""
        async with await nats.connect(self.server.url) as client:
            stream = client.jetstream(timeout=10)
            for recorded in log.events[begin:end]:
                future = await stream.publish_async(subjects.event(recorded.event), encode(recorded.event))
                if pause_s:
                    await asyncio.sleep(pause_s)
            await asyncio.wait_for(stream.publish_async_completed(), 30)
            assert (await future).seq == recorded.sequence


@pytest_asyncio.fixture
async def bare(broker: Broker, tmp_path: Path) -> AsyncIterator[Log]:
    """Of a broker on which Muster was never started: there is no stream yet."""
    connected = await NatsBroker.connect(Settings(url=broker.url), name="test")
    yield Log(broker, connected, tmp_path)
    await connected.close()


@pytest_asyncio.fixture
async def log(bare: Log) -> Log:
    await bare.broker.prepare()
    return bare


@pytest.fixture
def start(bare: Log) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``muster projections …`` as a process; whatever is left is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def make(command: str, *arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(str(ROOT / root) for root in ("core", "projections"))
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                DIRECT,
                command,
                "--url",
                bare.server.url,
                "--view",
                bare.view,
                *arguments,
            ],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()
        process.communicate()


async def _ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed, once it has ended."""
    return await asyncio.to_thread(process.communicate, timeout=30)


async def test_a_projector_follows_and_drains(log, start):
    """It says when it is ready, folds what comes, and ends in order on SIGTERM with all of it written."""
    events = history(7, executions=20)
    await log.put(events, 0, 200)
    process = start("run")
    said = await asyncio.to_thread(process.stdout.readline)
    assert said.startswith(f"the projections keep {log.view}")
    await log.put(events, 200)
    await reached(log.view, events.sequence)
    process.send_signal(signal.SIGTERM)
    await _ended(process)
    assert process.returncode == 0
    assert await digest(log.view) == await digest(await folded(log.view.with_name("e.db"), events.events))


async def test_it_waits_for_a_scheduler_that_makes_the_log(bare, start):
    """Started first of all it says once, in words, what it waits for; when a scheduler has come it keeps the view."""
    process = start("run")
    said = await asyncio.to_thread(process.stderr.readline)
    assert "waiting for the event log: This broker has no event log" in said
    assert "muster scheduler" in said
    await bare.broker.prepare()
    assert (await asyncio.to_thread(process.stdout.readline)).startswith(f"the projections keep {bare.view}")
    events = history(7)
    await bare.put(events)
    await reached(bare.view, events.sequence)
    process.send_signal(signal.SIGTERM)
    assert await _ended(process) == ("", "")
    assert process.returncode == 0


async def test_it_can_be_ended_while_it_waits(bare, start):
    """SIGTERM ends it in order although there was never a log, and leaves no view behind."""
    process = start("run")
    await asyncio.to_thread(process.stderr.readline)
    process.send_signal(signal.SIGTERM)
    assert await _ended(process) == ("", "")
    assert process.returncode == 0
    assert not bare.view.exists()


@pytest.mark.slow
async def test_a_restart_of_the_broker_is_survived(log):
    """The broker is killed and comes back on the same port: the service goes on, and misses nothing."""
    events = history(7, executions=20)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        serve(log.broker, log.settings, stop=stop, ready=lambda _: ready.set(), view=log.view)
    )
    await log.put(events, 0, 200)
    await asyncio.wait_for(ready.wait(), 40)
    await reached(log.view, 200)
    await asyncio.to_thread(log.server.kill)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(log.server.start)
    await log.put(events, 200)
    await reached(log.view, events.sequence)
    stop.set()
    await asyncio.wait_for(task, 40)
    assert await digest(log.view) == await digest(await folded(log.view.with_name("e.db"), events.events))


@pytest.mark.slow
async def test_a_killed_projector_leaves_rows_and_position_that_belong_together(log, start):
    """Killed with -9 again and again while it folds: what is in the file is exactly the log up to its position."""
    events = history(7, executions=400)
    await log.put(events)
    chance, slowness = random.Random(4), 1.0
    seen: list[int] = []
    while len(seen) < KILLS or (len(seen) < 3 * KILLS and not any(seen)):
        process = start("run")
        await asyncio.to_thread(process.stdout.readline)
        await asyncio.sleep(slowness * chance.uniform(0.01, 0.12))
        process.kill()
        await _ended(process)
        seen.append(await sequence(log.view))
        expected = await folded(log.view.with_name(f"{seen[-1]}.db"), events.events[: seen[-1]])
        assert await digest(log.view) == await digest(expected)
        slowness *= (
            1 if seen[-1] else 1.5
        )  # where others keep the machine busy nothing may have been folded yet
    assert seen == sorted(seen)
    assert any(0 < at < events.sequence for at in seen), seen
    start("run")
    await reached(log.view, events.sequence)
    assert await digest(log.view) == await digest(await folded(log.view.with_name("all.db"), events.events))


@pytest.mark.slow
async def test_a_second_projector_is_refused(log, start):
    """The second process ends at once with a sentence that names the first, and does no harm to it."""
    await log.put(events := history(7))
    first = start("run")
    await asyncio.to_thread(first.stdout.readline)
    second = start("run")
    _, trouble = await _ended(second)
    assert second.returncode != 0
    assert f"Another process (pid {first.pid}) keeps the view" in trouble
    assert "Stop it first" in trouble
    await reached(log.view, events.sequence)


@pytest.mark.slow
async def test_a_view_is_rebuilt_beside_the_projector_that_keeps_it(log, start):
    """The files are exchanged while events arrive; the projector goes on with the new one and misses nothing."""
    events = history(7, executions=60)
    await log.put(events, 0, 1500)
    first = start("run")
    await asyncio.to_thread(first.stdout.readline)
    await reached(log.view, 1500)
    task = asyncio.create_task(log.put(events, 1500, pause_s=0.0005))
    seen, files = [1500], set[int]()
    while not task.done() or len(files) < 3:
        files.add(log.view.stat().st_ino)
        done = await rebuild(log.broker, log.settings, view=log.view)
        assert done.compared.equal, done
        seen.append(await sequence(log.view))
    await task
    assert seen == sorted(seen)
    await reached(log.view, events.sequence)
    first.send_signal(signal.SIGTERM)
    await _ended(first)
    assert first.returncode == 0
    assert await digest(log.view) == await digest(await folded(log.view.with_name("e.db"), events.events))


@pytest.mark.slow
async def test_a_view_is_verified_beside_the_projector_that_keeps_it(log, start):
    """While events arrive and the view moves, what it says at some sequence is what the log says there."""
    events = history(7, executions=60)
    await log.put(events, 0, 1500)
    kept = start("run")
    await asyncio.to_thread(kept.stdout.readline)
    await reached(log.view, 1500)
    seen, there = [], 1500
    while there < events.sequence:
        come = min(there + 400, events.sequence)
        task = asyncio.create_task(log.put(events, there, come, pause_s=0.0005))
        there = come
        done = await verify(log.broker, log.settings, view=log.view)
        assert done.equal, done
        seen.append(done.sequence)
        await task
        await reached(log.view, come)
    assert len(set(seen)) > 1
    assert seen == sorted(seen)
    assert not log.view.with_name("view.db.verify").exists()


@pytest.mark.slow
async def test_a_rebuild_while_events_arrive(log):
    """It ends with a view of everything that had come by then, equal to one that followed all along."""
    events = history(7, executions=60)
    await log.put(events, 0, 1500)
    task = asyncio.create_task(log.put(events, 1500, pause_s=0.0005))
    done = await rebuild(log.broker, log.settings, view=log.view)
    assert done.sequence >= 1500
    expected = await folded(log.view.with_name("e.db"), events.events[: done.sequence])
    assert await digest(log.view) == await digest(expected)
    await task
    again = await rebuild(log.broker, log.settings, view=log.view)
    assert again.sequence == events.sequence
    assert again.compared.equal
    assert again.compared.sequence == done.sequence
    assert await digest(log.view) == await digest(await folded(log.view.with_name("f.db"), events.events))


@pytest.mark.slow
async def test_a_killed_rebuild_leaves_the_old_view(log, start):
    """Killed with -9 at any moment, the view is the old one or the new one, whole; a rebuild afterwards works."""
    events = history(7, executions=200)
    await log.put(events)
    old = await digest(await folded(log.view, events.events[:300]))
    new = await digest(await folded(log.view.with_name("e.db"), events.events))
    shadow, seen = log.view.with_name("view.db.rebuild"), set()
    for wait_s in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3):
        for name in ("", "-wal", "-shm"):
            log.view.with_name(f"view.db{name}").unlink(missing_ok=True)
        await folded(log.view, events.events[:300])
        process = start("rebuild")
        while not shadow.exists() and process.poll() is None:
            await asyncio.sleep(0.001)
        await asyncio.sleep(wait_s)
        process.kill()
        await _ended(process)
        seen.add(await digest(log.view))
    assert seen <= {old, new}
    assert old in seen
    out, _ = await _ended(start("rebuild", "--json"))
    assert json.loads(out)["sequence"] == events.sequence
    assert await digest(log.view) == new
    assert not shadow.exists()
