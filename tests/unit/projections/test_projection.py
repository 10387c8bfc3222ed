"""What every projection keeps to."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from muster.model.log.catalogue import CATALOGUE
from muster_projections.projection import moment
from muster_projections.registry import chosen
from muster_projections.schema import tables
from tests.fixtures.histories import history

TABLES = tables(chosen())


def test_times_sort_as_text():
    """Times have one width and one zone, so that text sorts as they do."""
    whole = datetime(2026, 3, 1, 12, tzinfo=UTC)
    times = [whole, whole + timedelta(microseconds=1), whole + timedelta(seconds=1)]
    assert [moment(time) for time in times] == sorted(moment(time) for time in times)
    assert moment(whole.astimezone(timezone(timedelta(hours=2)))) == moment(whole)


def test_the_same_event_gives_the_same_changes():
    """Apply is pure: asked twice it answers alike, and asking changes no event."""
    log = history(3, executions=6, mishaps=0.6)
    for recorded in log.events:
        for projection in chosen():
            assert list(projection.apply(recorded)) == list(projection.apply(recorded))


@pytest.mark.parametrize("projection", chosen(), ids=lambda each: each.name)
def test_projections_know_the_kinds_they_fold(projection):
    """Every handler is for a kind of the catalogue: a misspelt one would never be called."""
    assert set(projection.handlers) <= set(CATALOGUE)


@pytest.mark.parametrize("table", TABLES, ids=lambda each: each.name)
def test_tables_are_whole(table):
    """The key's columns come first, indexes name columns, every table and column has a sentence that ends."""
    assert table.names[: len(table.key)] == table.key
    assert all(set(index) <= set(table.names) for index in table.indexes)
    assert len(set(table.names)) == len(table.names)
    assert table.doc.endswith(".")
    assert all(column.doc.endswith((".", "…")) for column in table.columns)


def test_names_are_given_once():
    """No two tables share a name, and a column that is JSON in one is JSON wherever it is found."""
    names = [table.name for table in TABLES]
    assert len(set(names)) == len(names)
    kinds: dict[str, set[bool]] = {}
    for projection in chosen():
        for table in projection.tables:
            for column in table.columns:
                kinds.setdefault(column.name, set()).add(column.type == "JSON")
    assert {name for name, found in kinds.items() if len(found) > 1} == set()
