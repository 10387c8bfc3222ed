"""Projections of other distributions: found, looked at, folded, and kept from harming the others."""

import importlib
import sqlite3
import sys
from contextlib import closing

import pytest

import muster_projections
from muster_projections import canonical, registry
from muster_projections.failures import ProjectionInvalidError, ViewOutdatedError
from muster_projections.query import View
from muster_projections.registry import DEFAULTS, chosen
from muster_projections.store import Store
from tests.fixtures.histories import history
from tests.fixtures.plugged import EXAMPLE, GOOD, install_example, use
from tests.fixtures.views import ask, fold

LOG = history(7, executions=10, mishaps=0.5)


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


def test_the_registry_is_the_one_place(plug, tmp_path):
    """Plugged in after the view was made: the view is outdated, and folded anew it has the table."""
    view = fold(tmp_path / "view.db", LOG.events)
    plug(GOOD)
    with pytest.raises(ViewOutdatedError):
        Store.open(view, registry.chosen())
    with closing(sqlite3.connect(fold(tmp_path / "anew.db", LOG.events))) as connection:
        assert connection.execute("SELECT count(*) FROM good").fetchone()[0] > 0


def test_the_page_shows_the_example_as_it_is():
    """What docs/projections.md shows is the package under examples/, to the letter."""
    page = (EXAMPLE.parents[1] / "docs" / "projections.md").read_text(encoding="utf-8")
    for name, kind in (("durations.py", "python"), ("pyproject.toml", "toml")):
        assert f"```{kind}\n{(EXAMPLE / name).read_text(encoding='utf-8').rstrip()}\n```" in page


def test_the_example_can_be_tested_as_the_page_says():
    """``apply`` is asked for one event, without a view or a log."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        made = importlib.import_module("durations").Durations()
    finally:
        sys.path.remove(str(EXAMPLE))
    started = next(each for each in LOG.events if each.event.kind == "step.started")
    [change] = made.apply(started)
    assert change.key == (started.event.execution, started.event.step)
    assert list(made.apply(LOG.events[0])) == []


def test_what_a_projection_needs_is_imported_from_one_place():
    """Every public name is there, sorted; an unknown one is an AttributeError like anywhere else."""
    assert list(muster_projections.__all__) == sorted(muster_projections.__all__)
    for name in muster_projections.__all__:
        assert getattr(muster_projections, name) is not None
    assert not hasattr(muster_projections, "nonsense")
