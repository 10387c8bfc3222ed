"""Two views beside each other: the same digest where they are the same, and the first difference where not."""

import sqlite3
from contextlib import closing

import pytest

from muster_projections import canonical, comparison
from muster_projections.comparison import Comparison
from muster_projections.registry import DEFAULTS
from tests.fixtures.histories import history
from tests.fixtures.views import fold

LOG = history(7, executions=12, mishaps=0.5)


@pytest.fixture
def views(tmp_path):
    """Two views of the same log, folded in other batches."""
    return fold(tmp_path / "live.db", LOG.events), fold(tmp_path / "again.db", LOG.events, cuts=[5, 50])


def _compare(live, rebuilt) -> Comparison:
    with closing(sqlite3.connect(live)) as one, closing(sqlite3.connect(rebuilt)) as other:
        found = Comparison(one, other, DEFAULTS)
        assert sum(found.steps()) > 0
        return found


def _spoil(path, sql) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(sql).rowcount == 1
        connection.commit()


def test_equal_views_are_equal(views):
    """No difference, and the digest is that of the canonical form."""
    found = _compare(*views)
    assert found.difference is None
    assert found.digests == (canonical.digest(views[0]), canonical.digest(views[1]))


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_first_column_that_differs_is_named(views, monkeypatch, rows):
    """Table, key, column and both values, however many rows are taken at once; later differences do not hide it."""
    monkeypatch.setattr(comparison, "ROWS", rows)
    with closing(sqlite3.connect(views[1])) as connection:
        execution, step, attempt = connection.execute(
            "SELECT execution, step, attempt FROM steps WHERE attempt < 9 ORDER BY execution, step LIMIT 1 OFFSET 20"
        ).fetchone()
    where = f"WHERE execution = '{execution}' AND step = '{step}'"
    _spoil(views[0], f"UPDATE steps SET machine = 'elsewhere', attempt = 9 {where}")
    _spoil(views[0], "UPDATE machines SET software = 'other' WHERE name = 'gpu-1'")
    found = _compare(*views)
    difference = found.difference
    assert (difference.table, difference.column) == ("steps", "attempt")
    assert difference.key == {"execution": execution, "step": step}
    assert (difference.live, difference.rebuilt) == (9, attempt)
    assert f"attempt of steps (execution = '{execution}', step = '{step}') is 9 in the live view" in str(
        difference
    )
    assert found.digests == (canonical.digest(views[0]), canonical.digest(views[1]))
    assert len(set(found.digests)) == 2


@pytest.mark.parametrize("where", ["live", "rebuilt"])
@pytest.mark.parametrize(
    "place", ["(SELECT min(sequence) FROM errors)", "(SELECT max(sequence) FROM errors)"]
)
def test_a_row_that_is_only_in_one_is_named(views, where, place):
    """A missing row is said to be in the other view only, be it the first, or the last of its table."""
    lacking = views[1] if where == "live" else views[0]
    with closing(sqlite3.connect(lacking)) as connection:
        (sequence,) = connection.execute(f"SELECT {place}").fetchone()
    _spoil(lacking, f"DELETE FROM errors WHERE sequence = {sequence}")
    difference = _compare(*views).difference
    assert (difference.table, difference.key, difference.only) == ("errors", {"sequence": sequence}, where)
    assert f"in the {where} view only" in str(difference)


def test_another_sequence_is_another_digest(views):
    """Where the rows agree and the sequences do not, the digests do not either."""
    _spoil(views[0], "UPDATE position SET sequence = 1")
    found = _compare(*views)
    assert found.difference is None
    assert len(set(found.digests)) == 2
