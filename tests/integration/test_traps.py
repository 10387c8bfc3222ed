"""The trap of time: what runs for weeks. The others are in tests/acceptance/test_traps.py."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from muster.testing.engine import Engine
from muster_projections.query import View
from tests.fixtures.views import fold


@pytest.mark.blocking("the engine in a thread of its own looks for its parts on disk")
def test_trap_19_what_runs_for_weeks_is_listed_once(muster_engine: Engine, tmp_path: Path):
    """Over a day and over two weeks it is one execution with all its transitions, while it runs and afterwards."""
    steps = [{"id": "nap", "sleep": "20d"}, {"id": "say", "needs": ["nap"], "log": "good morning"}]
    execution = muster_engine.submit({"name": "long", "steps": steps}).result()
    muster_engine.until(execution, "step.waiting").result()
    seen: list[list[tuple[str, str, int]]] = []
    for days in (0, 2, 13, 4):
        muster_engine.clock.advance(timedelta(days=days)).result()
        seen.append(listed(muster_engine, tmp_path / f"{len(seen)}.db"))
    assert seen == [[(execution, "running", 3)]] * 4
    view = muster_engine.wait(execution).result()
    assert view.status == "succeeded"
    began, ended = view.transitions[0].time, view.transitions[-1].time
    assert timedelta(days=20) <= ended - began < timedelta(days=21)
    assert [row.number for row in view.transitions] == [1, 2, 3, 4, 5]
    assert listed(muster_engine, tmp_path / "end.db") == [(execution, "succeeded", 5)]


def listed(engine: Engine, path: Path) -> list[tuple[str, str, int]]:
    """Every execution of a view of the log, with its status and how many transitions it has."""
    fold(path, engine.events().result())
    with View.open(path) as view:
        return [(row.id, row.status, len(view.transitions(row.id))) for row in view.executions()]
