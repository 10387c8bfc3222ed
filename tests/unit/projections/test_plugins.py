"""Projections of other distributions: found, looked at, folded, and kept from harming the others."""

import importlib
import sqlite3
import sys
from contextlib import closing

import pytest

from muster_projections import canonical, registry
from muster_projections.failures import ProjectionInvalidError, ViewOutdatedError
from muster_projections.query import View
from muster_projections.registry import DEFAULTS, chosen
from muster_projections.store import Store
from tests.fixtures.histories import history
from tests.fixtures.plugged import install, install_example, use
from tests.fixtures.views import ask, fold

LOG = history(7, executions=10, mishaps=0.5)
GOOD = """
from muster_projections import Column, Insert, Projection, Table, Upsert, on

class Good(Projection):
    name = "good"
    tables = (
        Table(
            name="good",
            doc="Good.",
            key=("execution",),
            columns=(
                Column(name="execution", type="TEXT", doc="."),
                Column(name="count", type="INTEGER", doc="."),
            ),
        ),
    )

    @on("execution.queued")
    def queued(self, recorded):
        return [Upsert("good", (recorded.event.execution,), {"count": 1})]
"""


@pytest.fixture(autouse=True)
def _forgotten():
    """Modules of one test are none of the next one's."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("own", "durations")):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def plug(tmp_path, monkeypatch):
    """Installs a module ``own`` with these entry points."""

    def plug(source: str, name: str = "own-projections", module: str = "own", **points: str) -> None:
        install(tmp_path / name, {f"{module}.py": source}, points or {"good": f"{module}:Good"}, name)
        use(tmp_path / name, monkeypatch)

    return plug


def test_without_plugins_there_are_the_defaults():
    """Nothing is installed: Muster's own, in their order."""
    assert chosen() == DEFAULTS


def test_the_example_of_the_documentation_is_folded(tmp_path, monkeypatch):
    """Its table is in the view, with what the events say, in whatever batches; the others are as without it."""
    install_example(tmp_path / "site")
    use(tmp_path / "site", monkeypatch)
    assert [each.name for each in chosen()[len(DEFAULTS) :]] == ["durations"]
    view = fold(tmp_path / "view.db", LOG.events)
    apart = fold(tmp_path / "apart.db", LOG.events, cuts=range(1, LOG.sequence))
    assert canonical.digest(view) == canonical.digest(apart)
    found = ask(view, "SELECT * FROM durations")
    expected = ask(
        view,
        "SELECT execution, step, machine, started_at, round((julianday(ended_at) - julianday(started_at)) * 86400, 3)"
        " AS seconds FROM steps WHERE started_at IS NOT NULL AND status IN ('succeeded', 'failed') ORDER BY 1, 2",
    )
    ended = sorted(
        (row for row in found if row["started_at"] and row["ended_at"]),
        key=lambda row: (row["execution"], row["step"]),
    )
    assert [(row["execution"], row["step"], row["started_at"], row["seconds"]) for row in ended] == [
        (row["execution"], row["step"], row["started_at"], row["seconds"]) for row in expected
    ]
    assert expected
    assert all(isinstance(row["seconds"], float) for row in ended)


def test_an_erased_execution_goes_from_one_s_own_tables(plug, tmp_path):
    """A class that says nothing of erasure forgets all the same: its table has a column ``execution``."""
    plug(GOOD)
    cleared = {each.event.execution for each in LOG.events if each.event.kind == "execution.cleared"}
    assert cleared
    view = fold(tmp_path / "view.db", LOG.events)
    assert {row["execution"] for row in ask(view, "SELECT execution FROM good")} == {
        each.event.execution for each in LOG.events if each.event.kind == "execution.queued"
    } - cleared


def test_who_only_reads_needs_no_plugin(plug, tmp_path, monkeypatch):
    """A view with tables of somebody's own is read where that is not installed; to be written it is outdated there."""
    plug(GOOD)
    view = fold(tmp_path / "view.db", LOG.events)
    monkeypatch.undo()
    with View.open(view) as opened:
        assert opened.executions()
    with pytest.raises(ViewOutdatedError):
        Store.open(view, chosen())
    with pytest.raises(ViewOutdatedError):
        canonical.digest(view)


def test_another_version_outdates_the_view(plug, tmp_path):
    """Its version went up: the view is to be folded anew, and can be read until then."""
    plug(GOOD)
    view = fold(tmp_path / "view.db", LOG.events)
    del sys.modules["own"]
    plug(
        GOOD.replace('name = "good"', 'name = "good"\n    version = 2', 1),
        module="own_2",
        name="own-projections-2",
    )
    (tmp_path / "own-projections" / "own_projections-1.0.dist-info" / "entry_points.txt").write_text("")
    with pytest.raises(ViewOutdatedError):
        Store.open(view, chosen())
    with View.open(view) as opened:
        assert opened.sequence == LOG.sequence


BROKEN = {
    "does not import": ("import nothing_of_this_name\n", "cannot be loaded: ModuleNotFoundError"),
    "raises": ("raise RuntimeError('out of luck')\n", "cannot be loaded: RuntimeError: out of luck"),
    "has no such class": ("", "cannot be loaded: AttributeError"),
    "is no projection": ("class Good: pass\n", "no subclass of muster_projections.Projection"),
    "has no name": (GOOD.replace('name = "good"\n    tables', "tables"), "its name is ''"),
    "has a name that is none": (GOOD.replace('"good"', '"Good!"', 1), "its name is 'Good!'"),
    "has a default's name": (
        GOOD.replace('"good"', '"steps"', 1),
        "its name 'steps' is taken by Muster itself",
    ),
    "has a default's table": (
        GOOD.replace('name="good"', 'name="steps"'),
        "table 'steps' is taken by Muster itself",
    ),
    "has the store's table": (
        GOOD.replace('name="good"', 'name="poison"'),
        "is taken by Muster's own bookkeeping",
    ),
    "has SQLite's table": (GOOD.replace('name="good"', 'name="sqlite_good"'), "not with sqlite_"),
    "has a table that is no name": (
        GOOD.replace('name="good"', 'name="go od; --"'),
        "needs a name of lower-case",
    ),
    "has a column that is no name": (GOOD.replace('name="count"', 'name="co unt"'), "a column 'co unt'"),
    "has a column twice": (GOOD.replace('name="count"', 'name="execution"'), "two columns of one name"),
    "has a type that is none": (
        GOOD.replace('"INTEGER"', '"INT"'),
        "of type 'INT': use TEXT, INTEGER, REAL or JSON",
    ),
    "has a key that is none": (
        GOOD.replace('key=("execution",)', 'key=("count",)'),
        "a key whose columns come first",
    ),
    "has no key": (GOOD.replace('key=("execution",)', "key=()"), "a key whose columns come first"),
    "has an index on nothing": (
        GOOD.replace('doc="Good.",', 'doc="Good.", indexes=(("nothing",),),'),
        "an index on 'nothing'",
    ),
    "has a first key": (
        GOOD.replace('name="execution", type="TEXT"', 'name="execution", first=True, type="TEXT"'),
        "a key column 'execution'",
    ),
    "has a generated column that is no SQL": (
        GOOD.replace('name="count"', 'generated="no such thing (", name="count"'),
        "SQLite refuses its table 'good'",
    ),
    "has no columns": (GOOD.replace("columns=(", "columns=() and ("), "has no columns"),
    "has tables that are none": (
        GOOD.replace("tables = (", 'tables = "good" and [1] or ('),
        "no tuple of Table",
    ),
    "is marked as bookkeeping": (
        GOOD.replace('doc="Good.",', 'doc="Good.", bookkeeping=True,'),
        "as bookkeeping",
    ),
    "has a version that is none": (
        GOOD.replace('"good"', '"good"\n    version = "2"', 1),
        "its version is '2'",
    ),
    "misspells a kind": (
        GOOD.replace('"execution.queued"', '"execution.queud"'),
        "no kind of event 'execution.queud'; did you mean execution.queued",
    ),
    "handles nothing": (
        GOOD.replace('@on("execution.queued")', "").replace('"execution"', '"job"'),
        "marked with on",
    ),
    "handles a kind twice": (
        GOOD + '    @on("execution.queued")\n    def again(self, recorded):\n        return []\n',
        "two of its methods are marked with execution.queued",
    ),
    "needs arguments": (
        GOOD + "    def __init__(self, what):\n        pass\n",
        "cannot be loaded: TypeError",
    ),
}


@pytest.mark.parametrize(("source", "wrong"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named_and_harms_no_reader(plug, tmp_path, source, wrong):
    """The error names the entry point, its package, what is wrong and the remedy; the view is read all the same."""
    view = fold(tmp_path / "view.db", LOG.events, projections=DEFAULTS)
    plug(source, good="own:Good")
    with pytest.raises(ProjectionInvalidError) as caught:
        chosen()
    said = str(caught.value)
    assert "the entry point good = own:Good of own-projections 1.0 cannot be used: " in said
    assert wrong in said
    assert "uninstall own-projections" in said
    with View.open(view) as opened:
        assert opened.executions()


def test_two_that_want_the_same_are_named(plug):
    """The second of one name, or of one table, is told who was first."""
    plug(GOOD)
    plug(GOOD, name="other", module="own_other", better="own_other:Good")
    with pytest.raises(
        ProjectionInvalidError, match=r"good = own:Good of own-projections 1\.0 .*its name 'good' is taken"
    ):
        chosen()


def test_an_instance_may_be_the_entry_point(plug):
    """Who needs arguments makes the object; what is not for the view can be told from what is."""
    plug(GOOD + "\nmade = Good()\n", good="own:made")
    assert [each.name for each in chosen()][-1] == "good"


FOREIGN = {
    "another's table": (
        "Upsert('steps', ('x', 'y'), {'status': 'mine'})",
        "the table 'steps' is none of its own",
    ),
    "no change": ("('good', 'x')", "a change must be an Upsert, an Insert or a Delete, not tuple"),
    "an unknown column": ("Upsert('good', ('x',), {'cuont': 1})", "good has no column 'cuont' to set"),
    "a column of the key": (
        "Upsert('good', ('x',), {'execution': 'y'})",
        "good has no column 'execution' to set",
    ),
    "a key too short": ("Upsert('good', (), {})", "the key of good is execution, and 0 values were given"),
    "a key that is none": ("Upsert('good', (None,), {})", "execution is part of the key of good"),
    "a value of another type": (
        "Upsert('good', ('x',), {'count': 'one'})",
        "good.count is INTEGER and takes no str",
    ),
    "a value that is none": (
        "Upsert('good', ('x',), {'count': {}})",
        "good.count is INTEGER and takes no dict",
    ),
    "a value too large": ("Upsert('good', ('x',), {'count': 1 << 70})", "OverflowError"),
    "an insert where rows change": ("Insert('good', ('x', 1))", "good takes an Upsert"),
    "nothing to delete by": ("Delete('good', 'nothing', 1)", "good has no column 'nothing' to delete by"),
    "an error": ("1 / 0", "ZeroDivisionError"),
}


@pytest.mark.parametrize(("change", "wrong"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("cuts", [[], range(1, LOG.sequence)], ids=["one batch", "one by one"])
def test_a_change_that_does_not_fit_is_poison(plug, tmp_path, change, wrong, cuts):
    """It is recorded with its sequence; what the projection yielded before is dropped, the others are not touched."""
    bad = f"yield Upsert('good', ('first',), {{'count': 1}})\n        yield {change}"
    source = GOOD.replace("Column,", "Column, Delete,").replace(
        'return [Upsert("good", (recorded.event.execution,), {"count": 1})]', bad
    )
    plain = fold(tmp_path / "plain.db", LOG.events, projections=DEFAULTS)
    plug(source)
    view = fold(tmp_path / "view.db", LOG.events, cuts=cuts)
    poison = ask(view, "SELECT * FROM poison ORDER BY sequence")
    erased = {row["execution"] for row in ask(view, "SELECT execution FROM cleared")}
    queued = [
        each.sequence
        for each in LOG.events
        if each.event.kind == "execution.queued" and each.event.execution not in erased
    ]
    assert [row["sequence"] for row in poison] == queued
    assert {row["projection"] for row in poison} == {"good"}
    assert all(wrong in row["error"] for row in poison)
    assert ask(view, "SELECT * FROM good") == []
    steps = "SELECT * FROM steps ORDER BY execution, step"
    assert ask(view, steps) == ask(plain, steps)


def test_a_projection_may_give_the_same_dict_again(plug, tmp_path):
    """What a projection keeps for itself is not changed under its hands by the laying of changes over each other."""
    source = GOOD.replace("class Good", "SAME = {'count': 1}\n\nclass Good").replace(
        '{"count": 1})]', "SAME)]"
    )
    source += '\n    @on("execution.started")\n    def started(self, recorded):\n'
    source += '        return [Upsert("good", (recorded.event.execution,), {"count": recorded.sequence})]\n'
    plug(source)
    view = fold(tmp_path / "view.db", LOG.events[:40])
    apart = fold(tmp_path / "apart.db", LOG.events[:40], cuts=range(1, 40))
    assert canonical.digest(view) == canonical.digest(apart)


def test_rows_are_deleted_by_any_column(plug, tmp_path):
    """Also by one that is no part of the key, and in whatever batches the log is cut."""
    source = GOOD.replace("Column,", "Column, Delete,").replace(
        'return [Upsert("good", (recorded.event.execution,), {"count": 1})]',
        'return [Delete("good", "count", recorded.sequence % 2),'
        ' Upsert("good", (recorded.event.execution,), {"count": recorded.sequence % 2})]',
    )
    plug(source)
    view = fold(tmp_path / "view.db", LOG.events)
    apart = fold(tmp_path / "apart.db", LOG.events, cuts=range(1, LOG.sequence))
    assert canonical.digest(view) == canonical.digest(apart)
    assert 1 <= len(ask(view, "SELECT * FROM good")) <= 2


def test_the_registry_is_the_one_place(plug, tmp_path):
    """Plugged in after the view was made: the view is outdated, and folded anew it has the table."""
    view = fold(tmp_path / "view.db", LOG.events)
    plug(GOOD)
    with pytest.raises(ViewOutdatedError):
        Store.open(view, registry.chosen())
    with closing(sqlite3.connect(fold(tmp_path / "anew.db", LOG.events))) as connection:
        assert connection.execute("SELECT count(*) FROM good").fetchone()[0] > 0
