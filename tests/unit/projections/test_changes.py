"""Changes laid over each other in memory must come to what SQLite would make of them one by one."""

import sqlite3
from contextlib import closing
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from muster_projections.changes import Changes, statement
from muster_projections.projection import Change, Column, Delete, Insert, Table, Upsert

CHANGED = Table(
    name="changed",
    doc="",
    key=("a", "b"),
    columns=(
        Column(name="a", type="TEXT", doc=""),
        Column(name="b", type="INTEGER", doc=""),
        Column(name="last", type="TEXT", doc=""),
        Column(name="first", type="TEXT", doc="", first=True),
    ),
)
ADDED = Table(
    name="added",
    doc="",
    key=("a",),
    columns=(Column(name="a", type="TEXT", doc=""), Column(name="b", type="INTEGER", doc="")),
    append=True,
)
LETTERS = st.sampled_from("xyz")
VALUES = st.none() | LETTERS
UPSERTS = st.builds(
    lambda a, b, columns: Upsert("changed", (a, b), columns),
    LETTERS,
    st.integers(0, 2),
    st.dictionaries(st.sampled_from(["last", "first"]), VALUES, min_size=1),
)
INSERTS = st.builds(lambda a, b: Insert("added", (a, b)), LETTERS, st.integers(0, 2))
DELETES = st.builds(Delete, st.sampled_from(["changed", "added"]), st.just("a"), LETTERS)


def _rows(batches: list[list[Change]]) -> list[list[tuple]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE changed (a TEXT, b INTEGER, last TEXT, first TEXT, PRIMARY KEY (a, b))"
        )
        connection.execute("CREATE TABLE added (a TEXT PRIMARY KEY, b INTEGER)")
        changes = Changes([CHANGED, ADDED])
        for batch in batches:
            for change in batch:
                changes.add(deepcopy(change))
            for sql, rows in changes.statements():
                connection.executemany(sql, rows)
            changes.clear()
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("changed", "added")
        ]


@given(st.lists(UPSERTS | INSERTS | DELETES, max_size=30))
def test_a_batch_comes_to_the_same_as_its_changes(changes):
    """Upserts, insertions and deletions give the same rows at once as one after the other."""
    assert _rows([changes]) == _rows([[change] for change in changes])


def test_a_row_is_written_once():
    """However often a batch changes a row, SQLite hears of it once."""
    changes = Changes([CHANGED])
    for number in range(100):
        changes.add(Upsert("changed", ("x", 1), {"last": str(number)}))
    assert [rows for _, rows in changes.statements()] == [[("x", 1, "99")]]


def test_what_is_deleted_in_a_batch_goes_first():
    """A row made after a deletion in the same batch stays."""
    changes: list[Change] = [
        Upsert("changed", ("x", 1), {"last": "old"}),
        Delete("changed", "a", "x"),
        Upsert("changed", ("x", 1), {"last": "new"}),
    ]
    assert _rows([changes])[0] == [("x", 1, "new", None)]


def test_rows_that_only_grow_are_never_overwritten():
    """The statement for a whole row leaves one that is there as it is."""
    assert statement(ADDED, ()).endswith('ON CONFLICT ("a") DO NOTHING')
