"""The store: each event once, in whatever batches, and what happens where something is wrong."""

import json
import sqlite3
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.errors import MusterError
from muster.model.log import catalogue as c
from muster_projections import canonical
from muster_projections.claim import claimed
from muster_projections.executions import EXECUTIONS
from muster_projections.failures import ViewBusyError, ViewError, ViewOutdatedError, ViewUnreadableError
from muster_projections.projection import Column, Insert, Projection, Table
from muster_projections.registry import chosen
from muster_projections.store import Store
from tests.fixtures.histories import START, History, history
from tests.fixtures.views import ask, fold, rows


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A history with all that can happen, and the digest of its view folded event by event."""
    log = history(11, executions=8, steps=3, mishaps=0.6)
    path = fold(tmp_path_factory.mktemp("reference") / "view.db", log.events, cuts=range(1, log.sequence))
    return log, canonical.digest(path)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_cut_into_batches_gives_the_same_view(data, reference, tmp_path_factory):
    """However the history is cut, the canonical form is the same."""
    log, digest = reference
    cuts = data.draw(st.sets(st.integers(1, log.sequence - 1), max_size=30))
    assert canonical.digest(fold(tmp_path_factory.mktemp("cut") / "view.db", log.events, cuts=cuts)) == digest


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_ending_between_any_two_batches_loses_and_repeats_nothing(data, reference, tmp_path_factory):
    """A store that is opened anew after any batch goes on where the last transaction ended, also from too early."""
    log, digest = reference
    path = tmp_path_factory.mktemp("kill") / "view.db"
    for cut in sorted(data.draw(st.sets(st.integers(1, log.sequence - 1), max_size=4))):
        fold(path, log.events[:cut])
    assert canonical.digest(fold(path, log.events)) == digest


def test_the_same_log_twice_changes_nothing(reference, tmp_path):
    """Events up to the position are passed over: every one counts exactly once."""
    log, digest = reference
    path = fold(tmp_path / "view.db", log.events)
    with closing(Store.open(path, chosen())) as store:
        assert store.write(log.events) == 0
    assert canonical.digest(path) == digest


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_repeated_facts_change_nothing(data, reference, tmp_path_factory):
    """Facts that are written again, anywhere after their first place, leave every row as it is but the position."""
    log, _ = reference
    facts = [each for each in log.events if each.event.n and each.event.data.kind != "machine.connected"]
    again = data.draw(st.lists(st.sampled_from(facts), min_size=1, max_size=20))
    events = [*log.events]
    for fact in again:
        events.append(msgspec.structs.replace(fact, sequence=len(events) + 1))
    folder = tmp_path_factory.mktemp("again")
    first = list(canonical.dump(fold(folder / "first.db", log.events)))
    second = list(canonical.dump(fold(folder / "second.db", events)))
    assert second[1:] == first[1:]
    assert json.loads(second[0]) == {"sequence": len(events)}


def test_the_position_says_what_was_folded(tmp_path):
    """One row: the log's creation, the last sequence and its time, and the versions."""
    log = History()
    log.queue("x1")
    log.decide(c.StepSkipped(reason="condition"), "x1", step="a")
    (found,) = rows(fold(tmp_path / "view.db", log.events), "position")
    assert (found["sequence"], found["at"]) == (2, "2026-03-01T12:00:00.000731Z")
    assert found["created"] == "2026-03-01T12:00:00.000000Z"
    assert set(json.loads(found["projections"])) == {"", *(each.name for each in chosen())}


def test_the_file_is_as_documented(tmp_path):
    """WAL, so that readers never wait for the writer, and strict tables, so that a column holds what it says."""
    path = fold(tmp_path / "view.db", [])
    assert ask(path, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    made = ask(path, "SELECT sql FROM sqlite_master WHERE type = 'table'")
    assert all("STRICT" in each["sql"] for each in made)


# ---- what is wrong with an event


def _broken(error: str) -> Projection:
    table = Table(
        name="broken",
        doc="Breaks.",
        key=("sequence",),
        columns=(
            Column(name="sequence", type="INTEGER", doc=""),
            Column(name="value", type="INTEGER", doc=""),
        ),
        append=True,
    )

    def handler(recorded):
        if recorded.event.execution == "x2":
            if error:
                raise ValueError(error)
            return [Insert("broken", (recorded.sequence, 1 << 70))]
        return [Insert("broken", (recorded.sequence, 1))]

    return Projection.of(name="broken", version=1, tables=(table,), handlers={"execution.queued": handler})


@pytest.mark.parametrize(
    ("raised", "recorded"),
    [("no such luck", "ValueError: no such luck"), ("", "OverflowError: Python int too large")],
    ids=["apply raises", "SQLite refuses"],
)
@pytest.mark.parametrize("cuts", [[], [1, 2]], ids=["one batch", "three batches"])
def test_one_projection_s_trouble_is_its_own(tmp_path, raised, recorded, cuts):
    """What one projection cannot fold is recorded as poison; the others fold it, and all fold what comes after."""
    log = History()
    for execution in ("x1", "x2", "x3"):
        log.queue(execution)
    path, projections = tmp_path / "view.db", (EXECUTIONS, _broken(raised))
    fold(path, log.events, cuts=cuts, projections=projections)
    with closing(sqlite3.connect(path)) as connection:
        poison = connection.execute("SELECT * FROM poison").fetchall()
        assert [each[:4] for each in poison] == [(2, "broken", "x2", "execution.queued")]
        assert poison[0][4].startswith(recorded)
        assert connection.execute("SELECT id FROM executions").fetchall() == [("x1",), ("x2",), ("x3",)]
        assert connection.execute("SELECT sequence FROM broken").fetchall() == [(1,), (3,)]
        assert connection.execute("SELECT sequence FROM position").fetchone() == (3,)


def test_an_envelope_that_sqlite_cannot_hold_is_passed_over(tmp_path):
    """An outbox number beyond 64 bits must not stop the view."""
    log = History()
    event = log.report("gpu-1", c.AttemptAccepted(), "x1", step="a", attempt=1).event
    log.append(msgspec.structs.replace(event, n=1 << 70, line=None))
    log.report("gpu-1", c.AttemptStarted(), "x1", step="a", attempt=1)
    path = fold(tmp_path / "view.db", log.events)
    assert [(each["sequence"], each["projection"]) for each in rows(path, "poison")] == [(2, "*")]
    assert len(rows(path, "lifecycle")) == 2


def test_a_decision_without_its_step_is_poison(tmp_path):
    """An event that lacks what its row is known by is recorded, not guessed at."""
    log = History()
    log.decide(c.StepSkipped(reason="condition"), "x1")
    log.queue("x1")
    path = fold(tmp_path / "view.db", log.events)
    assert [(each["sequence"], each["projection"]) for each in rows(path, "poison")] == [(1, "steps")]
    assert len(rows(path, "steps")) == 1


# ---- what is wrong with the file


def test_a_failed_transaction_leaves_nothing(tmp_path, monkeypatch):
    """Where the file refuses a batch, rows, position and memory are as before, and the batch can be written again."""
    log = history(5, executions=3)
    path = fold(tmp_path / "view.db", log.events[:20])
    before = list(canonical.dump(path))
    with closing(Store.open(path, chosen())) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store, "_move", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.write(log.events)
        assert list(canonical.dump(path)) == before
        store.write(log.events)
    assert canonical.digest(path) == canonical.digest(fold(tmp_path / "other.db", log.events))


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path):
    """Where the file cannot grow the error says so; with room again the same batch is written."""
    log = history(5, executions=60)
    path = fold(tmp_path / "view.db", log.events[:20])
    with closing(Store.open(path, chosen())) as store:
        store.connection.execute("PRAGMA max_page_count = 60")
        with pytest.raises(ViewError, match="cannot be written to: database or disk is full") as caught:
            store.write(log.events)
        assert "disk has room" in caught.value.advice
        assert store.sequence == 20
        store.connection.execute("PRAGMA max_page_count = 100000")
        store.write(log.events)
    assert canonical.digest(path) == canonical.digest(fold(tmp_path / "other.db", log.events))


def test_a_damaged_view_is_named(tmp_path):
    """A file whose pages are torn is told from one that never was a view; the remedy is to rebuild."""
    path = fold(tmp_path / "view.db", history(5, executions=60).events)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(ViewError, match="is damaged") as caught:
        fold(path, history(5, executions=60).events)
    assert "muster projections rebuild" in caught.value.advice


def test_an_old_sqlite_is_named(tmp_path, monkeypatch):
    """A Python with an old SQLite gives a sentence instead of a syntax error."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ViewError, match="too old"):
        Store.open(tmp_path / "view.db", chosen())


def _of_version(version: int) -> Projection:
    return Projection.of(
        name=EXECUTIONS.name, version=version, tables=EXECUTIONS.tables, handlers=EXECUTIONS.handlers
    )


def test_a_view_of_other_projections_is_not_continued(tmp_path):
    """Another version, another column or another projection: the view is outdated."""
    path = fold(tmp_path / "view.db", [])
    for others in (
        (_of_version(EXECUTIONS.version + 1), *chosen()[1:]),
        chosen()[:-1],
        (*chosen(), _broken("")),
    ):
        with pytest.raises(ViewOutdatedError, match="rebuild"):
            Store.open(path, others)
    Store.open(path, chosen()).close()


def test_another_file_is_not_touched(tmp_path):
    """A file that is no view, or no database at all, is left alone, and the error says what to do."""
    (text := tmp_path / "text.db").write_text("dear diary, " * 100)
    with closing(sqlite3.connect(foreign := tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    for path in (text, foreign):
        with pytest.raises(ViewUnreadableError, match="not a view") as caught:
            Store.open(path, chosen())
        assert caught.value.advice
    assert text.read_text().startswith("dear diary")


def test_a_folder_in_the_way_is_named(tmp_path):
    """A path that cannot be opened gives a sentence, not a stack."""
    with pytest.raises(ViewError, match="cannot be opened") as caught:
        Store.open(tmp_path, chosen())
    assert isinstance(caught.value, MusterError)


def test_one_process_keeps_a_view(tmp_path):
    """A second claim on the same view is refused and names who holds it; another view, or a later claim, is not."""
    view = tmp_path / "view.db"
    with claimed(view):
        with pytest.raises(ViewBusyError, match=r"pid \d+"), claimed(view):
            pass
        with claimed(tmp_path / "other.db"):
            pass
    with claimed(view):
        pass


def test_an_empty_view_may_change_its_log(tmp_path):
    """As long as nothing was folded, the view belongs to no log."""
    with closing(Store.open(tmp_path / "view.db", chosen())) as store:
        for year in (2025, 2026):
            store.adopt(START.replace(year=year))
        assert store.created is not None
        assert store.created.startswith("2026")
