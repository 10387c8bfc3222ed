"""Exchanging a view: readers see the old or the new one, and the new one is whole."""

import threading
import time
from contextlib import closing

import pytest

from muster import fault
from muster_projections import canonical, exchange
from muster_projections.claim import swapping
from muster_projections.exchange import discard
from muster_projections.failures import ViewBusyError
from muster_projections.query import View
from muster_projections.registry import chosen
from muster_projections.store import Store
from tests.fixtures.histories import history
from tests.fixtures.views import fold


def _names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def views(tmp_path):
    """An old view, and a shadow with more in it."""
    log = history(7)
    return fold(tmp_path / "view.db", log.events[:30]), fold(tmp_path / "shadow.db", log.events)


def test_the_new_view_takes_the_old_one_s_place(views, tmp_path):
    """Afterwards there is one file with the shadow's content, and nothing beside it that SQLite could mistake."""
    view, shadow = views
    digest = canonical.digest(shadow)
    exchange.exchange(shadow, view)
    assert _names(tmp_path) - {"view.db.swap", "shadow.db.swap"} == {"view.db"}
    assert canonical.digest(view) == digest


def test_a_reader_keeps_the_view_it_opened(views):
    """One who reads while the file is exchanged goes on reading the old view, whole, and finds the new one later."""
    view, shadow = views
    with View.open(view) as reader:
        before = [each.id for each in reader.executions()]
        exchange.exchange(shadow, view)
        assert [each.id for each in reader.executions()] == before
        assert reader.sequence == 30
        with closing(Store.open(view, chosen())) as store:
            assert store.sequence > 30
        assert reader.sequence == 30
    with View.open(view) as reader:
        assert reader.sequence > 30


def test_what_was_still_in_the_log_is_not_lost(views, tmp_path):
    """A projector that was killed left its last transactions in the -wal file: they are folded in first."""
    view, shadow = views
    reader = View.open(view)  # keeps the log from being folded in by the last writer
    fold(view, history(7).events[:40])
    assert (tmp_path / "view.db-wal").stat().st_size > 0
    shadow.rename(tmp_path / "kept.db")
    with pytest.raises(FileNotFoundError):
        exchange.exchange(shadow, view)
    assert reader.sequence == 40
    reader.close()
    with View.open(view) as again:
        assert again.sequence == 40


def test_a_reader_in_the_middle_of_a_query_is_waited_for(views, monkeypatch):
    """A long query holds up the exchange; where it does not end in time, the old view stays."""
    monkeypatch.setattr(exchange, "READERS_TIMEOUT_S", 0.05)
    view, shadow = views
    with View.open(view) as reader:
        with reader.snapshot():
            assert reader.sequence == 30
            fold(view, history(7).events[:40])
            with pytest.raises(ViewBusyError, match="a reader"):
                exchange.exchange(shadow, view)
        assert reader.sequence == 40
    exchange.exchange(shadow, view)
    with View.open(view) as reader:
        assert reader.sequence > 40


def test_readers_wait_while_files_are_exchanged(views):
    """A reader that opens a view in the moment of its exchange waits for the new one."""
    view, _ = views
    opened = threading.Event()

    def read() -> None:
        with View.open(view):
            opened.set()

    thread = threading.Thread(target=read)
    with swapping(view, alone=True):
        thread.start()
        time.sleep(0.1)
        assert not opened.is_set()
    thread.join(5)
    assert opened.is_set()


def test_a_damaged_view_is_replaced(views, tmp_path):
    """A file that SQLite cannot read does not stop the exchange."""
    _, shadow = views
    (damaged := tmp_path / "damaged.db").write_bytes(b"not a database" * 1000)
    exchange.exchange(shadow, damaged)
    with View.open(damaged) as view:
        assert view.sequence > 30


def test_a_reader_who_opens_in_the_middle_ends_nobody_s_exchange(views, monkeypatch):
    """Somebody opens the view just before and just after: what an exchange under way left lying is not his to mend."""
    view, shadow = views
    seen = []

    def look(point: str) -> None:
        if "exchange" in point:
            with View.open(view) as reader:
                seen.append(reader.sequence)

    monkeypatch.setattr(fault, "halt", look)
    exchange.exchange(shadow, view)
    assert seen == [30, history(7).sequence]
    assert not view.with_name("view.db.exchange").exists()


@pytest.mark.parametrize("renamed", [False, True], ids=["before the rename", "after it"])
def test_an_exchange_that_died_is_finished_by_the_next_who_opens(views, tmp_path, renamed):
    """Before the rename the old view keeps its log; after it the old one's empty log must not be the new one's."""
    view, shadow = views
    new = canonical.digest(shadow)
    fold(view, history(7).events[:40])
    with View.open(view) as reader, closing(Store.open(view, chosen())) as store:  # both hold the log's index
        store.write(history(7).events[:50])
        exchange._settle(view)
        (tmp_path / "view.db.exchange").write_text(str(shadow.stat().st_ino))
        if renamed:
            shadow.replace(view)
        else:
            store.write(history(7).events[:60])
        with View.open(view) as again:
            assert again.sequence == (history(7).sequence if renamed else 60)
        assert reader.sequence == (50 if renamed else 60)
        assert store.moved is renamed
    assert not (tmp_path / "view.db.exchange").exists()
    if renamed:
        assert canonical.digest(view) == new


def test_discarding_leaves_nothing(views, tmp_path):
    """A shadow goes with everything beside it."""
    _, shadow = views
    for what in ("-wal", "-shm"):
        (tmp_path / f"shadow.db{what}").touch()
    discard(shadow)
    discard(shadow)
    assert not {
        name for name in _names(tmp_path) if name.startswith("shadow.db") and name != "shadow.db.swap"
    }
