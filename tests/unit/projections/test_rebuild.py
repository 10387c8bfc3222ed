"""Rebuild on the broker in memory: the same rows again, and the old view until the new one is whole."""

import asyncio

import pytest

from muster.broker.memory import MemoryBroker
from muster.model import subjects
from muster.model.envelope import encode
from muster.model.errors import BrokerError, LogChangedError
from muster.settings import load
from muster_projections import exchange
from muster_projections import rebuild as module
from muster_projections.claim import claimed
from muster_projections.desk import Desk
from muster_projections.failures import ViewBusyError, ViewUnreadableError
from muster_projections.rebuild import Progress, rebuild
from tests.fixtures.histories import history
from tests.fixtures.views import digest, folded, sequence

LOG = history(21, executions=20, mishaps=0.8)


@pytest.fixture
async def memory() -> MemoryBroker:
    made = MemoryBroker()
    for recorded in LOG.events:
        made.store.put(subjects.event(recorded.event), encode(recorded.event))
    return made


async def test_a_rebuilt_view_is_the_same(memory, tmp_path):
    """Same log, same sequence, same canonical form; and it says how many events that were."""
    view = await folded(tmp_path / "view.db", LOG.events, cuts=range(1, LOG.sequence, 3))
    before = await digest(view)
    done = await rebuild(memory, load(), view=view)
    assert (done.events, done.sequence, done.digest) == (LOG.sequence, LOG.sequence, before)
    assert done.seconds > 0
    assert await digest(view) == before
    assert not list(tmp_path.glob("*.rebuild*"))


async def test_a_view_is_made_where_there_is_none(memory):
    """A rebuild needs no view to begin with."""
    done = await rebuild(memory, load())
    assert await digest(load().view_path) == done.digest


async def test_a_file_of_another_kind_is_not_replaced(memory, tmp_path):
    """What is named and is no view stays as it is; the settings' own view is made anew whatever became of it."""
    file = tmp_path / "diary.txt"
    file.write_text("dear diary, this is not a database")
    with pytest.raises(ViewUnreadableError, match="not a view"):
        await rebuild(memory, load(), view=file)
    assert file.read_text().startswith("dear diary")
    load().view_path.parent.mkdir(parents=True, exist_ok=True)
    load().view_path.write_text("rubbish")
    assert (await rebuild(memory, load())).digest


async def test_an_empty_log_makes_an_empty_view():
    """Nothing to fold is no failure."""
    done = await rebuild(MemoryBroker(), load())
    assert (done.events, done.sequence) == (0, 0)


async def test_an_erased_execution_makes_no_difference(memory, tmp_path):
    """Rebuilt after the erasure from a log with holes, the view equals the one that saw everything."""
    view = await folded(tmp_path / "view.db", LOG.events)
    before = await digest(view)
    for recorded in LOG.events:
        if recorded.event.data.kind == "execution.cleared":
            filter_ = subjects.events(execution=recorded.event.execution)
            memory.store.purge(filter_, below=recorded.sequence)
    done = await rebuild(memory, load(), view=view)
    assert done.events < LOG.sequence
    assert done.digest == before


async def test_what_comes_meanwhile_is_folded_as_well(memory, tmp_path):
    """The rebuild ends where the log ends, not where it ended at its beginning."""
    late = [b"boo"] * 3

    def progress(_: Progress) -> None:
        if late:
            memory.store.put("muster.events.gpu-1.-.machine.exploded", late.pop())

    done = await rebuild(memory, load(), view=tmp_path / "view.db", progress=progress)
    position = await memory.log.position()
    assert done.sequence == position.last > LOG.sequence


async def test_progress_tells_how_far_it_is(memory, tmp_path):
    """After each batch: events so far, the last sequence, and the end."""
    seen: list[Progress] = []
    await rebuild(memory, load(), view=tmp_path / "view.db", progress=seen.append)
    assert seen[-1] == Progress(LOG.sequence, LOG.sequence, LOG.sequence)
    assert [each.sequence for each in seen] == sorted(each.sequence for each in seen)


async def test_a_kept_view_is_not_exchanged(memory, tmp_path):
    """While a projector keeps the view the rebuild is refused and says what to do."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])
    async with Desk() as projector:
        await projector.enter(claimed(view))
        with pytest.raises(ViewBusyError, match="--view FILE"):
            await rebuild(memory, load(), view=view)
    assert await sequence(view) == 10


@pytest.mark.parametrize("error", [RuntimeError("power cut"), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_an_interrupted_rebuild_leaves_the_old_view(memory, tmp_path, error):
    """Whatever ends it early: the old view is there and the shadow is not."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])

    def progress(_: Progress) -> None:
        raise error

    with pytest.raises(type(error)):
        await rebuild(memory, load(), view=view, progress=progress)
    assert await sequence(view) == 10
    assert not list(tmp_path.glob("*.rebuild*"))


async def test_a_failed_exchange_leaves_the_old_view(memory, tmp_path, monkeypatch):
    """Up to the very moment of the exchange the old view is the view."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])

    def failing(*_: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(module, "exchange", failing)
    with pytest.raises(OSError, match="disk gone"):
        await rebuild(memory, load(), view=view)
    monkeypatch.undo()
    assert await sequence(view) == 10
    assert (await rebuild(memory, load(), view=view)).sequence == LOG.sequence


async def test_what_a_killed_rebuild_left_is_not_used(memory, tmp_path):
    """A shadow of an earlier rebuild is thrown away, not continued."""
    view, shadow = tmp_path / "view.db", tmp_path / "view.db.rebuild"
    await folded(shadow, history(99).events)
    done = await rebuild(memory, load(), view=view)
    assert done.digest == await digest(await folded(tmp_path / "expected.db", LOG.events))


async def test_a_log_that_is_replaced_meanwhile_is_noticed(memory, tmp_path):
    """Half of one log and half of another make no view."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])
    with pytest.raises(LogChangedError):
        await rebuild(memory, load(), view=view, progress=lambda _: memory.store.wipe())
    assert await sequence(view) == 10


async def test_without_a_broker_nothing_is_touched(memory, tmp_path):
    """No answer, no rebuild: the view stays."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])
    memory.disconnect()
    with pytest.raises(BrokerError):
        await rebuild(memory, load(), view=view)
    assert await sequence(view) == 10


def test_the_shadow_s_names_are_its_own():
    """What SQLite keeps beside a file is known by its name: both must be removed."""
    assert {"-wal", "-shm"} <= set(exchange._BESIDE)
