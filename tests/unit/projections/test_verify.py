"""Verify on the broker in memory: the view is what the log says, or the first row that is not."""

import asyncio
import sqlite3
from contextlib import closing

import msgspec
import pytest

from muster.broker.memory import MemoryBroker
from muster.model.errors import BrokerError, InvalidArgumentError
from muster.model.log import subjects
from muster.model.log.envelope import encode
from muster.settings import load
from muster_projections.claim import claimed
from muster_projections.desk import Desk
from muster_projections.failures import ViewBusyError, ViewError, ViewMissingError, ViewOutdatedError
from muster_projections.shadow import Progress
from muster_projections.verify import verify
from tests.fixtures.histories import START, history
from tests.fixtures.views import digest, folded

LOG = history(23, executions=20, mishaps=0.8)


@pytest.fixture
def memory() -> MemoryBroker:
    made = MemoryBroker()
    made.store.created = START
    for recorded in LOG.events:
        made.store.put(subjects.event(recorded.event), encode(recorded.event))
    return made


async def _change(path, sql: str) -> None:
    def change() -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(sql)
            connection.commit()

    await asyncio.to_thread(change)


async def test_a_true_view_is_verified(memory, tmp_path):
    """Both digests are that of the view's canonical form; nothing is left of the fold."""
    view = await folded(tmp_path / "view.db", LOG.events, cuts=range(1, LOG.sequence, 9))
    seen: list[Progress] = []
    done = await verify(memory, load(), view=view, progress=seen.append)
    assert done.equal is True
    assert done.live == done.rebuilt == await digest(view)
    assert (done.sequence, done.events, done.difference) == (LOG.sequence, LOG.sequence, None)
    assert {each.doing for each in seen} == {"fold", "compare"}
    assert all(each.last == LOG.sequence for each in seen)
    assert not [path for path in tmp_path.glob("*.verify*") if path.suffix != ".lock"]


async def test_a_view_that_is_behind_is_verified_where_it_is(memory, tmp_path):
    """The log goes on; what counts is what it says up to the view's sequence."""
    done = await verify(memory, load(), view=await folded(tmp_path / "view.db", LOG.events[:77]))
    assert done.equal is True
    assert done.sequence == done.events == 77


async def test_a_view_that_was_tampered_with_is_found_out(memory, tmp_path):
    """The first row that differs is named with both values."""
    view = await folded(tmp_path / "view.db", LOG.events)
    await _change(view, "UPDATE executions SET workflow = 'mine' WHERE rowid = 3")
    done = await verify(memory, load(), view=view)
    assert done.equal is False
    assert done.live != done.rebuilt
    found = done.difference
    assert (found.table, found.column, found.live, found.rebuilt) == (
        "executions",
        "workflow",
        "mine",
        "letters",
    )


async def test_at_an_earlier_sequence_there_is_one_digest(memory, tmp_path):
    """The view is further on: the digest of the fold up to there is given, and why there is no other."""
    view = await folded(tmp_path / "view.db", LOG.events)
    done = await verify(memory, load(), view=view, at=40)
    assert (done.sequence, done.events, done.live, done.equal) == (40, 40, None, None)
    assert done.rebuilt == await digest(await folded(tmp_path / "40.db", LOG.events[:40]))
    assert done.reason == f"the view is at {LOG.sequence}, not at 40"
    assert (await verify(memory, load(), view=view, at=LOG.sequence)).equal is True
    nothing = await verify(memory, load(), view=tmp_path / "none.db", at=40)
    assert (nothing.rebuilt, nothing.reason) == (done.rebuilt, "there is no view, not at 40")


async def test_beyond_the_log_s_end_nothing_is_verified(memory, tmp_path):
    """A sequence the log has not reached is refused with where it ends."""
    with pytest.raises(InvalidArgumentError, match=f"ends at {LOG.sequence}"):
        await verify(memory, load(), view=tmp_path / "view.db", at=LOG.sequence + 1)


async def test_what_was_passed_over_is_told(memory, tmp_path):
    """Poison is no difference, for a rebuilt view passes over the same; it is counted and named."""
    forged = msgspec.structs.replace(LOG.events[-1].event, writer="gpu-1", n=1 << 40, id="forged", line=None)
    memory.store.put(subjects.event(forged), encode(forged))
    view = await folded(
        tmp_path / "view.db", [*LOG.events, LOG.events[-1].__class__(LOG.sequence + 1, forged)]
    )
    done = await verify(memory, load(), view=view)
    assert done.equal is True
    assert done.poison == 1
    assert (done.poisoned[0].sequence, done.poisoned[0].projection) == (LOG.sequence + 1, "*")
    assert "may not write" in done.poisoned[0].error


async def test_a_view_of_another_log_is_not_verified(memory, tmp_path):
    """It says which log the view was folded from."""
    view = await folded(tmp_path / "view.db", LOG.events)
    memory.store.wipe()
    with pytest.raises(ViewError, match=r"another log, one created at 2026-03-01"):
        await verify(memory, load(), view=view)
    memory.store.created = START
    with pytest.raises(ViewError, match="the log ends at 0"):
        await verify(memory, load(), view=view)


async def test_there_must_be_a_view(memory, tmp_path):
    """No view, one of other projections, or one that another process verifies: said before anything is folded."""
    with pytest.raises(ViewMissingError):
        await verify(memory, load(), view=tmp_path / "view.db")
    view = await folded(tmp_path / "view.db", LOG.events)
    async with Desk() as other:
        await other.enter(claimed(view, "verifies"))
        with pytest.raises(ViewBusyError, match="verifies the view"):
            await verify(memory, load(), view=view)
    await _change(view, "UPDATE position SET projections = '{}'")
    with pytest.raises(ViewOutdatedError):
        await verify(memory, load(), view=view)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), BrokerError("gone")])
async def test_an_interrupted_verification_leaves_nothing(memory, tmp_path, error):
    """Whatever ends it early: its file is removed, and the view is as it was."""
    view = await folded(tmp_path / "view.db", LOG.events)
    before = await digest(view)

    def progress(_: Progress) -> None:
        raise error

    with pytest.raises(type(error)):
        await verify(memory, load(), view=view, progress=progress)
    assert not (tmp_path / "view.db.verify").exists()
    assert await digest(view) == before
