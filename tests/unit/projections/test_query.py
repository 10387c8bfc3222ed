"""The read side: typed rows, prefixes of ids, and errors that say what to do."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from muster.model.errors import ErrorInfo, ExecutionError, ExecutionNotFoundError
from muster.model.log import catalogue as c
from muster_projections.failures import (
    ExecutionAmbiguousError,
    ViewMissingError,
    ViewOutdatedError,
    ViewUnreadableError,
)
from muster_projections.query import View
from tests.fixtures.histories import START, History, history
from tests.fixtures.views import fold


@pytest.fixture
def log() -> History:
    made = History()
    made.connect("gpu-1")
    for execution in ("01a1", "01a2", "01b1"):
        made.queue(execution, ["b", "a"], workflow="w" + execution[2])
        made.move(c.ExecutionStarted, execution, "start")
    made.move(c.ExecutionSucceeded, "01b1", "finish", outputs={"y": [1, None]})
    return made


def _open(tmp_path, log: History) -> View:
    return View.open(fold(tmp_path / "view.db", log.events))


def test_the_newest_executions_come_first(tmp_path, log):
    """The list is by age, and may be cut, continued, and narrowed to statuses or a workflow."""
    with _open(tmp_path, log) as view:
        assert [each.id for each in view.executions()] == ["01b1", "01a2", "01a1"]
        assert [each.id for each in view.executions(2)] == ["01b1", "01a2"]
        assert [each.id for each in view.executions(2, before="01a2")] == ["01a1"]
        assert [each.id for each in view.executions(status="succeeded")] == ["01b1"]
        assert [each.id for each in view.executions(status=["starting", "failed"])] == ["01a2", "01a1"]
        assert [each.id for each in view.executions(workflow="wa")] == ["01a2", "01a1"]


def test_rows_are_typed(tmp_path, log):
    """Times are times, JSON is read, counts are there."""
    log.decide(c.StepSkipped(reason="condition"), "01b1", step="a")
    with _open(tmp_path, log) as view:
        found = view.execution("01b1")
        assert found.outputs == {"y": [1, None]}
        assert found.created_at.tzinfo is UTC
        assert isinstance(found.ended_at, datetime)
        assert (found.steps, found.steps_ended, found.steps_failed) == (2, 1, 0)
        assert view.sequence == log.sequence


def test_an_id_may_be_shortened(tmp_path, log):
    """A prefix that only one execution has is enough; a whole id wins over longer ones."""
    log.queue("01b12")
    with _open(tmp_path, log) as view:
        assert view.resolve("01a1") == "01a1"
        assert view.execution("01b1").id == "01b1"
        with pytest.raises(ExecutionAmbiguousError, match="01a1, 01a2"):
            view.execution("01a")
        for name in ("", "02", "%", "01_1"):
            with pytest.raises(ExecutionNotFoundError, match="See muster list"):
                view.execution(name)


def test_steps_show_what_their_attempt_does(tmp_path):
    """In the order of the definition; a scheduled step is preparing, then running, as its attempt is."""
    log = History()
    log.connect("gpu-1")
    log.queue("x1", ["b", "a"])
    log.schedule("x1", "b", 1, "gpu-1")
    seen = []
    for number, _ in enumerate([None, *log.prepare("x1", "b", 1, "gpu-1")]):
        with View.open(fold(tmp_path / "view.db", log.events[: 3 + number])) as view:
            first, second = view.steps("x1")
            assert (first.step, second.step, second.status) == ("b", "a", "pending")
            seen.append((first.status, first.phase))
    assert seen == [
        ("scheduled", None),
        ("preparing", None),
        ("preparing", "pull"),
        ("preparing", "pull"),
        ("preparing", "start"),
        ("preparing", "start"),
        ("running", "run"),
    ]


def test_the_parts_of_an_execution(tmp_path):
    """Transitions, attempts, facts and errors of one execution, or of one of its steps or attempts."""
    log = History()
    log.connect("gpu-1")
    log.queue("x1", ["a", "b"])
    for step, attempt in (("a", 1), ("a", 2), ("b", 1)):
        log.schedule("x1", step, attempt, "gpu-1")
        list(log.prepare("x1", step, attempt, "gpu-1"))
    error = ExecutionError(exit_code=1).info(step="b")
    log.report("gpu-1", c.AttemptFailed(error=error, phase="run"), "x1", step="b", attempt=1)
    log.queue("x2")
    with _open(tmp_path, log) as view:
        assert [each.type for each in view.transitions("x1")] == ["init"]
        assert [(each.step, each.attempt) for each in view.attempts("x1")] == [("a", 1), ("a", 2), ("b", 1)]
        assert [each.attempt for each in view.attempts("x1", "a")] == [1, 2]
        assert view.attempts("x1", "a")[0].cached is False
        assert len(view.lifecycle("x1")) == 19
        assert len(view.lifecycle("x1", "a")) == 12
        assert {each.attempt for each in view.lifecycle("x1", "a", 2)} == {2}
        (found,) = view.errors("x1")
        assert (found.code, found.step, found.details) == ("execution", "b", {"exit_code": 1})
        assert isinstance(view.attempts("x1", "b")[0].error, ErrorInfo)
        assert view.errors("x2") == []
        assert len(view.errors()) == 1


def test_the_machines(tmp_path, log):
    """Every machine by name, with its facts."""
    log.connect("a-1", cpus=2.0)
    log.decide(c.MachineDraining(), machine="a-1")
    with _open(tmp_path, log) as view:
        assert [(each.name, each.status) for each in view.machines()] == [
            ("a-1", "draining"),
            ("gpu-1", "connected"),
        ]
        assert view.machines()[0].facts == {"cpus": 2.0}


def test_every_row_of_a_history_can_be_read(tmp_path):
    """Whatever a history holds, the structs take it."""
    log = history(13, executions=20, mishaps=0.7)
    with _open(tmp_path, log) as view:
        for execution in view.executions(1000):
            assert len(view.transitions(execution.id)) == execution.transitions
            assert len(view.steps(execution.id)) == execution.steps
            assert view.attempts(execution.id)
            assert view.lifecycle(execution.id)
        assert view.errors()
        assert view.machines()


def test_a_snapshot_is_of_one_sequence(tmp_path, log):
    """What is written meanwhile is seen after the block, not within it."""
    with _open(tmp_path, log) as view:
        with view.snapshot():
            before = view.sequence
            log.queue("x9")
            fold(tmp_path / "view.db", log.events)
            assert (view.sequence, len(view.executions())) == (before, 3)
        assert (view.sequence, len(view.executions())) == (before + 1, 4)


def test_a_reader_cannot_write(tmp_path, log):
    """The connection is read-only."""
    with _open(tmp_path, log) as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._connection.execute("DELETE FROM executions")


def test_a_missing_view_says_how_to_make_one(tmp_path):
    """No file, or one in which nothing was made yet: the error names both ways, and no file is left behind."""
    with pytest.raises(ViewMissingError, match="muster projections run") as caught:
        View.open(tmp_path / "none" / "view.db")
    assert "muster projections rebuild" in str(caught.value)
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ViewMissingError, match="no view yet"):
        View.open(tmp_path / "empty.db")


def test_a_view_that_cannot_be_read_says_so(tmp_path, log):
    """A file that is none, and a view of another release, have errors of their own."""
    (tmp_path / "text.db").write_text("dear diary, " * 100)
    with pytest.raises(ViewUnreadableError):
        View.open(tmp_path / "text.db")
    path = fold(tmp_path / "view.db", log.events)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE position SET projections = '{}'")
        connection.commit()
    with pytest.raises(ViewOutdatedError, match="another release"):
        View.open(path)


def test_the_times_of_the_history_come_back(tmp_path, log):
    """A time is read as it was written, to the microsecond."""
    with _open(tmp_path, log) as view:
        (machine,) = view.machines()
        assert machine.connected_at == START
