"""The service on the broker in memory: follows, stops, comes back, and refuses what it must not fold."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from muster.broker.memory import MemoryBroker
from muster.model.errors import BrokerError, BrokerUnsuitableError, LogChangedError
from muster.model.log import subjects
from muster.model.log.envelope import encode
from muster.settings import load
from muster_projections import service
from muster_projections.claim import writing
from muster_projections.desk import Desk
from muster_projections.exchange import discard
from muster_projections.failures import ViewBusyError
from muster_projections.query import View
from muster_projections.rebuild import rebuild
from muster_projections.service import serve
from tests.fixtures.histories import History, history
from tests.fixtures.views import digest, folded, reached, sequence

LOG = history(7, executions=10, mishaps=0.5)


@pytest.fixture
def memory() -> MemoryBroker:
    return MemoryBroker()


@asynccontextmanager
async def serving(broker: MemoryBroker, view: Path | None = None) -> AsyncIterator[list[str]]:
    """The service, from its readiness to its end; what it said is given."""
    stop, said, ready = asyncio.Event(), list[str](), asyncio.Event()

    def say(line: str) -> None:
        said.append(line)
        ready.set()

    task = asyncio.create_task(serve(broker, load(), stop=stop, ready=say, view=view))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if ready.is_set():
            yield said
        stop.set()
        await asyncio.wait_for(task, 10)
        if not ready.is_set():
            raise AssertionError("it ended without being ready")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def written(broker: MemoryBroker, log: History, begin: int = 0, end: int | None = None) -> None:
    """Put a part of the history into the log, repetitions included."""
    for recorded in log.events[begin:end]:
        broker.store.put(subjects.event(recorded.event), encode(recorded.event))
    await asyncio.sleep(0)


async def test_the_view_follows_the_log(memory, tmp_path):
    """What stands in the log is folded, and what is appended meanwhile as well."""
    await written(memory, LOG, 0, 100)
    async with serving(memory) as said:
        await written(memory, LOG, 100)
        await reached(load().view_path, LOG.sequence)
        assert said == [f"the projections keep {load().view_path}, which is at sequence 0 of 100"]
    expected = await folded(tmp_path / "expected.db", LOG.events)
    assert await digest(load().view_path) == await digest(expected)


async def test_it_goes_on_where_it_ended(memory, tmp_path):
    """Stopped and started again, it reads on from its position."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view):
        await reached(view, 100)
    await written(memory, LOG, 100)
    async with serving(memory, view) as said:
        assert f"at sequence 100 of {LOG.sequence}" in said[0]
        await reached(view, LOG.sequence)
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


async def test_a_lost_connection_is_waited_out(memory, tmp_path):
    """While the broker is away nothing is folded, and nothing is missed afterwards."""
    view = tmp_path / "view.db"
    async with serving(memory, view):
        await written(memory, LOG, 0, 50)
        await reached(view, 50)
        memory.disconnect()
        other = MemoryBroker(memory.store)
        await written(other, LOG, 50)
        await asyncio.sleep(0.05)
        assert await sequence(view) == 50
        memory.reconnect()
        await reached(view, LOG.sequence)


async def test_a_log_that_is_not_there_yet_is_waited_for(memory, tmp_path, monkeypatch, caplog):
    """However long it takes it is said once, with what to do; then the view is kept."""
    position, looks = memory.history.position, 0

    async def absent():
        nonlocal looks
        looks += 1
        if looks < 5:
            raise BrokerError("The broker refused STREAM.INFO: stream not found.", api_code=10059)
        return await position()

    monkeypatch.setattr(memory.history, "position", absent)
    monkeypatch.setattr(service, "RETRY_S", 0.01)
    await written(memory, LOG)
    async with serving(memory, tmp_path / "view.db"):
        await reached(tmp_path / "view.db", LOG.sequence)
    assert caplog.text.count("waiting for the event log: This broker has no event log") == 1
    assert "muster scheduler" in caplog.text


async def test_what_waiting_does_not_mend_is_an_error(memory, tmp_path, monkeypatch):
    """A broker that can never be used is not waited for."""

    async def unsuitable():
        raise BrokerUnsuitableError("It has other settings.")

    monkeypatch.setattr(memory.history, "position", unsuitable)
    with pytest.raises(BrokerUnsuitableError, match="other settings"):
        async with serving(memory, tmp_path / "view.db"):
            pass


async def test_a_second_projector_is_refused(memory, tmp_path):
    """One process keeps a view; the error says who does and what to do."""
    view = tmp_path / "view.db"
    async with serving(memory, view):
        with pytest.raises(ViewBusyError, match="Stop it first"):
            async with serving(memory, view):
                pass
        async with serving(memory, tmp_path / "other.db"):
            pass


async def test_another_log_is_refused(memory, tmp_path):
    """A view must not be continued from a stream that was made anew, however long that is."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view):
        await reached(view, 100)
    memory.store.wipe()
    await written(memory, LOG)
    with pytest.raises(LogChangedError, match="muster projections rebuild"):
        async with serving(memory, view):
            pass
    assert await sequence(view) == 100


async def test_a_shortened_log_is_refused(memory, tmp_path):
    """A log that ends before the view does has lost what the view reflects."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view):
        await reached(view, 100)
    memory.store.lose_from(90)
    with pytest.raises(LogChangedError, match="ends at 89"):
        async with serving(memory, view):
            pass


async def test_a_log_that_lost_its_end_and_grew_again_is_refused(memory, tmp_path):
    """Long enough and of the same creation, but another event stands where the view ends."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view):
        await reached(view, 100)
    memory.store.lose_from(90)
    await written(memory, LOG, 100)
    with pytest.raises(LogChangedError, match="at 100; now"):
        async with serving(memory, view):
            pass


async def test_a_log_that_changes_meanwhile_is_noticed(memory, tmp_path):
    """The stream is made anew while it is followed: the service ends with the error instead of folding on."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    with pytest.raises(LogChangedError):
        async with serving(memory, view):
            await reached(view, 100)
            memory.store.wipe()
            await asyncio.sleep(0.05)
    assert await sequence(view) == 100


async def test_an_outdated_view_is_rebuilt_by_itself(memory, tmp_path):
    """A view of another release is folded anew; nobody has to know."""
    view = tmp_path / "view.db"
    await written(memory, LOG)
    await folded(view, LOG.events[:50])
    with closing(sqlite3.connect(view)) as connection:
        connection.execute("UPDATE position SET projections = '{}'")
        connection.commit()
    async with serving(memory, view) as said:
        async with asyncio.timeout(10):
            while len(said) < 2:
                await asyncio.sleep(0.005)
        assert await sequence(view) == LOG.sequence
    assert said[0].startswith(f"the projections rebuild {view}")
    assert f"which is at sequence {LOG.sequence}" in said[1]
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


async def test_rubbish_in_the_stream_is_passed_over(memory, tmp_path):
    """What is no event at all is counted; the events around it are folded."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 10)
    memory.store.put("muster.events.gpu-1.-.machine.exploded", b"boo")
    await written(memory, LOG, 10)
    async with serving(memory, view):
        await reached(view, LOG.sequence + 1)
    with closing(sqlite3.connect(view)) as connection:
        assert connection.execute("SELECT kind, count FROM unknown").fetchall() == [("unreadable.event", 1)]


async def test_a_cancelled_service_leaves_the_view_whole(memory, tmp_path):
    """Without a chance to drain, rows and position still belong together, and the lock is free."""
    view = tmp_path / "view.db"
    await written(memory, LOG)

    def ready(_: str) -> None:
        task.cancel()

    task = asyncio.create_task(serve(memory, load(), stop=asyncio.Event(), ready=ready, view=view))
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with serving(memory, view):
        await reached(view, LOG.sequence)
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


async def test_a_rebuilt_view_is_taken_up(memory, tmp_path):
    """A rebuild puts another file in the place of the view: the service goes on with that one, twice."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view) as said:
        await reached(view, 100)
        for end in (150, LOG.sequence):
            before = view.stat().st_ino
            done = await rebuild(memory, load(), view=view)
            assert done.compared.equal
            assert view.stat().st_ino != before
            await written(memory, LOG, done.sequence, end)
            await reached(view, end)
    assert len(said) == 3
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


async def test_nothing_is_written_to_a_view_that_is_none_any_more(memory, tmp_path):
    """What comes after the exchange goes to the new file alone: who reads the old one reads on undisturbed."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view):
        await reached(view, 100)
        old = await asyncio.to_thread(View.open, view)
        await rebuild(memory, load(), view=view)
        await written(memory, LOG, 100)
        await reached(view, LOG.sequence)
        assert await asyncio.to_thread(lambda: old.sequence) == 100
        await asyncio.to_thread(old.close)
        await asyncio.sleep(0)
    assert await sequence(view) == LOG.sequence


async def test_a_view_that_was_removed_is_folded_anew(memory, tmp_path):
    """Somebody deletes the file while it is kept: with the next event it is there again, and whole."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view) as said:
        await reached(view, 100)
        await asyncio.to_thread(discard, view)
        await written(memory, LOG, 100)
        async with asyncio.timeout(10):
            while len(said) < 2:
                await asyncio.sleep(0.005)
        await reached(view, LOG.sequence)
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


async def test_the_projector_waits_while_files_are_exchanged(memory, tmp_path):
    """While a rebuild folds the last events nothing is written to the old view."""
    view = tmp_path / "view.db"
    await written(memory, LOG, 0, 100)
    async with serving(memory, view):
        await reached(view, 100)
        async with Desk() as other, other.holding(writing(view, alone=True)):
            await written(memory, LOG, 100)
            await asyncio.sleep(0.1)
            assert await sequence(view) == 100
        await reached(view, LOG.sequence)


async def test_a_rebuild_at_the_start_can_be_stopped(memory, tmp_path, monkeypatch):
    """Asked to stop while it rebuilds an outdated view, the service ends at once and leaves that as it is."""
    view = await folded(tmp_path / "view.db", LOG.events[:50])
    with closing(sqlite3.connect(view)) as connection:
        connection.execute("UPDATE position SET projections = '{}'")
        connection.commit()
    begun = asyncio.Event()

    async def endless(*_: object) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(service, "refold", endless)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(memory, load(), stop=stop, ready=lambda _: None, view=view))
    await asyncio.wait_for(begun.wait(), 10)
    stop.set()
    await asyncio.wait_for(task, 10)
    with closing(sqlite3.connect(view)) as connection:
        assert connection.execute("SELECT sequence, projections FROM position").fetchone() == (50, "{}")
