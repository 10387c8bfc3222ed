"""What somebody else's projection must keep to: broken definitions are named, changes that do not fit are poison."""

import pytest

from muster_projections import canonical
from muster_projections.failures import ProjectionInvalidError
from muster_projections.query import View
from muster_projections.registry import DEFAULTS, chosen
from tests.fixtures.histories import history
from tests.fixtures.plugged import GOOD
from tests.fixtures.views import ask, fold

LOG = history(7, executions=10, mishaps=0.5)

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
