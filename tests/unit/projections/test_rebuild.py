"""Rebuild on the broker in memory: the same rows again, and the old view until the new one is whole."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from muster.broker.memory import MemoryBroker
from muster.model.errors import BrokerError, LogChangedError
from muster.model.log import subjects
from muster.model.log.envelope import encode
from muster.settings import load
from muster_projections import exchange
from muster_projections import rebuild as module
from muster_projections.claim import claimed
from muster_projections.desk import Desk
from muster_projections.failures import ViewBusyError, ViewUnreadableError
from muster_projections.rebuild import rebuild
from muster_projections.shadow import Progress, Shadow
from tests.fixtures.histories import START, history
from tests.fixtures.views import digest, folded, sequence

LOG = history(21, executions=20, mishaps=0.8)


@pytest.fixture
async def memory() -> MemoryBroker:
    made = MemoryBroker()
    made.store.created = START
    for recorded in LOG.events:
        made.store.put(subjects.event(recorded.event), encode(recorded.event))
    return made


def _left(folder: Path) -> list[Path]:
    """What is left of a shadow; locks are meant to stay."""
    return [path for path in folder.glob("*.rebuild*") if path.suffix != ".lock"]


async def test_a_rebuilt_view_is_the_same(memory, tmp_path):
    """Same log, same sequence, same canonical form; and it says how many events that were."""
    view = await folded(tmp_path / "view.db", LOG.events, cuts=range(1, LOG.sequence, 3))
    before = await digest(view)
    done = await rebuild(memory, load(), view=view)
    assert (done.events, done.sequence) == (LOG.sequence, LOG.sequence)
    assert (done.compared.live, done.compared.rebuilt) == (before, before)
    assert done.compared.equal
    assert done.seconds > 0
    assert await digest(view) == before
    assert not _left(tmp_path)


async def test_a_view_is_made_where_there_is_none(memory, tmp_path):
    """A rebuild needs no view to begin with."""
    done = await rebuild(memory, load())
    expected = await folded(tmp_path / "expected.db", LOG.events)
    assert await digest(load().view_path) == await digest(expected)
    assert not done.compared.equal
    assert "There is no view" in (done.compared.obstacle or "")


async def test_a_file_of_another_kind_is_not_replaced(memory, tmp_path):
    """What is named and is no view stays as it is; the settings' own view is made anew whatever became of it."""
    file = tmp_path / "diary.txt"
    file.write_text("dear diary, this is not a database")
    with pytest.raises(ViewUnreadableError, match="not a view"):
        await rebuild(memory, load(), view=file)
    assert file.read_text().startswith("dear diary")
    load().view_path.parent.mkdir(parents=True, exist_ok=True)
    load().view_path.write_text("rubbish")
    assert (await rebuild(memory, load())).sequence == LOG.sequence


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
    assert done.compared.equal
    assert await digest(view) == before


async def test_what_comes_meanwhile_is_folded_as_well(memory, tmp_path):
    """The rebuild ends where the log ends at its last look, not where it ended at its beginning."""
    late = [b"boo"] * 3

    def progress(_: Progress) -> None:
        if late:
            memory.store.put("muster.events.gpu-1.-.machine.exploded", late.pop())

    done = await rebuild(memory, load(), view=tmp_path / "view.db", progress=progress)
    position = await memory.log.position()
    assert LOG.sequence < done.sequence <= position.last


async def test_progress_tells_how_far_it_is(memory, tmp_path):
    """After each batch: events so far, the last sequence, and the end."""
    seen: list[Progress] = []
    await rebuild(memory, load(), view=tmp_path / "view.db", progress=seen.append)
    assert seen[-1] == Progress(LOG.sequence, LOG.sequence, LOG.sequence)
    assert [each.sequence for each in seen] == sorted(each.sequence for each in seen)


async def test_a_view_that_is_behind_is_compared_where_it_is(memory, tmp_path):
    """Nobody kept the view for a while: both are compared at its sequence, and the new one is at the log's end."""
    view = await folded(tmp_path / "view.db", LOG.events[:100])
    before = await digest(view)
    done = await rebuild(memory, load(), view=view)
    assert (done.compared.sequence, done.compared.live) == (100, before)
    assert done.compared.equal
    assert await sequence(view) == done.sequence == LOG.sequence


async def test_a_view_that_was_changed_is_found_out_and_replaced(memory, tmp_path):
    """The first row that differs is named, and the new view is the right one."""
    view = await folded(tmp_path / "view.db", LOG.events)
    before = await digest(view)

    def spoil() -> None:
        with closing(sqlite3.connect(view)) as connection:
            connection.execute("UPDATE machines SET software = 'mine' WHERE name = 'gpu-2'")
            connection.commit()

    await asyncio.to_thread(spoil)
    done = await rebuild(memory, load(), view=view)
    assert not done.compared.equal
    found = done.compared.difference
    assert (found.table, found.key, found.column, found.live) == (
        "machines",
        {"name": "gpu-2"},
        "software",
        "mine",
    )
    assert await digest(view) == before


async def test_a_damaged_view_is_replaced(memory, tmp_path):
    """A view whose pages are rubbish cannot be compared, and does not keep the new one from its place."""
    view = await folded(load().view_path, LOG.events)
    await asyncio.to_thread(_damage, view)
    done = await rebuild(memory, load())
    assert "malformed" in (done.compared.obstacle or "")
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


def _damage(view: Path) -> None:
    content = bytearray(view.read_bytes())
    content[4096 * 4 :] = b"rubbish!" * ((len(content) - 4096 * 4) // 8)
    view.write_bytes(content)


async def test_a_kept_view_is_rebuilt_all_the_same(memory, tmp_path):
    """A projector may keep the view: it holds another claim."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])
    async with Desk() as projector:
        await projector.enter(claimed(view))
        assert (await rebuild(memory, load(), view=view)).sequence == LOG.sequence
    assert await sequence(view) == LOG.sequence


async def test_a_view_that_is_kept_with_other_projections_is_not_rebuilt(memory, tmp_path):
    """The projector could not go on with the new one: it is to be started anew, which does the same."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])

    def age() -> None:
        with closing(sqlite3.connect(view)) as connection:
            connection.execute("UPDATE position SET projections = '{}'")
            connection.commit()

    await asyncio.to_thread(age)
    async with Desk() as projector:
        await projector.enter(claimed(view))
        with pytest.raises(ViewBusyError, match=r"with other projections .* Start that process anew"):
            await rebuild(memory, load(), view=view)
    done = await rebuild(memory, load(), view=view)
    assert "other projections" in (done.compared.obstacle or "")
    assert await sequence(view) == LOG.sequence


async def test_a_second_rebuild_is_refused(memory, tmp_path):
    """One at a time: the second is told who the first is, and harms nothing."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])
    async with Desk() as first:
        await first.enter(claimed(view, "rebuilds"))
        with pytest.raises(ViewBusyError, match=r"\(pid \d+\) rebuilds the view .* Wait until it is done"):
            await rebuild(memory, load(), view=view)
    assert await sequence(view) == 10


async def test_the_last_events_are_folded_while_the_projector_waits(memory, tmp_path, monkeypatch):
    """What the projector wrote up to the exchange is in the new view: it never goes back behind the old one."""
    view = await folded(tmp_path / "view.db", LOG.events)
    put = memory.store.put
    more = history(22, executions=3)

    async def late(shadow, watch):
        for recorded in more.events:
            put(subjects.event(recorded.event), encode(recorded.event))
        await last(shadow, watch)

    last = module._last
    monkeypatch.setattr(module, "_last", late)
    done = await rebuild(memory, load(), view=view)
    assert done.sequence == LOG.sequence + more.sequence


async def test_a_broker_that_stops_answering_at_the_end_keeps_nobody_waiting(memory, tmp_path, monkeypatch):
    """While the projector waits the broker has a deadline: afterwards the old view stays."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])
    monkeypatch.setattr(module, "LAST_S", 0.05)

    async def deaf(self) -> int:
        return await asyncio.get_running_loop().create_future()

    near = module._near

    async def then_deaf(shadow, watch):
        await near(shadow, watch)
        monkeypatch.setattr(Shadow, "last", deaf)

    monkeypatch.setattr(module, "_near", then_deaf)
    with pytest.raises(BrokerError, match="the old view stays"):
        await rebuild(memory, load(), view=view)
    assert await sequence(view) == 10
    assert not _left(tmp_path)


@pytest.mark.parametrize("error", [RuntimeError("power cut"), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_an_interrupted_rebuild_leaves_the_old_view(memory, tmp_path, error):
    """Whatever ends it early: the old view is there and the shadow is not."""
    view = await folded(tmp_path / "view.db", LOG.events[:10])

    def progress(_: Progress) -> None:
        raise error

    with pytest.raises(type(error)):
        await rebuild(memory, load(), view=view, progress=progress)
    assert await sequence(view) == 10
    assert not _left(tmp_path)


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
    await rebuild(memory, load(), view=view)
    assert await digest(view) == await digest(await folded(tmp_path / "expected.db", LOG.events))


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
