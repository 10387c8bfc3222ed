"""Recorded executions as a test sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.model.errors import ExecutionNotFoundError, FixtureInvalidError
from muster.model.log.envelope import Recorded
from muster.model.proof import fixture
from muster.model.proof.recording import record
from muster.testing.replayed import replayed
from tests.fixtures.play import Play, workflow
from tests.fixtures.tampered import changed, ended_diamond


def written(path: Path, records: list[Recorded]) -> Path:
    """The fixture in a file."""
    path.write_bytes(b"\n".join(map(fixture.line, records)) + b"\n")
    return path


def test_everything_is_there_to_assert_on(tmp_path: Path):
    """Status, inputs, outputs, steps, transitions, kinds and errors are those of the recording."""
    play = Play()
    play.connect("m1")
    play.submit(workflow({"id": "a"}, {"id": "b", "needs": ["a"]}, inputs={"x": {"type": "integer"}}), x=3)
    (ref,) = play.refs()
    play.begin(ref)
    play.fail(ref, retriable=False)
    play.round()
    run = replayed(written(tmp_path / "run.jsonl", record(play.log, "x1")))
    assert (run.id, run.status, run.inputs) == ("x1", "failed", {"x": 3})
    assert {path: step.status for path, step in run.steps.items()} == {"a": "failed", "b": "skipped"}
    assert run.errors["a"].code == run.error.code == "execution"
    assert list(run.errors) == ["a"]
    assert [row.after for row in run.transitions] == ["queued", "starting", "running", "failed"]
    assert run.kinds[0] == "execution.queued"
    assert [event.kind for event in run.events] == run.kinds
    assert len(run.records) == len(run.kinds) + 1
    run.check()


def test_a_decision_that_comes_out_otherwise_fails_the_check(tmp_path: Path):
    """`check` shows what was decided, what would be, and what both rest on."""
    records = changed(ended_diamond().log, "step.scheduled", machine="m2")
    run = replayed(written(tmp_path / "run.jsonl", records))
    assert run.status == "succeeded"
    (difference,) = run.differences
    with pytest.raises(AssertionError, match="decides otherwise at sequence") as caught:
        run.check()
    text = str(caught.value)
    for part in (str(difference.sequence), "then: {", '"machine":"m2"', '"machine":"m1"', "machines"):
        assert part in text


def test_of_several_executions_one_is_asked_for(tmp_path: Path):
    """A log of several executions gives each by its id, and says which there are where none is named."""
    play = Play()
    play.connect("m1")
    for name in ("x1", "x2"):
        play.submit(workflow({"id": name}), name)
    play.run_all()
    path = written(tmp_path / "run.jsonl", play.log)
    assert list(replayed(path, "x2").steps) == ["x2"]
    with pytest.raises(ExecutionNotFoundError, match=r"2 executions.*x1, x2"):
        replayed(path)
    with pytest.raises(ExecutionNotFoundError, match=r"no execution x3.*x1, x2"):
        replayed(path, "x3")


def test_a_log_without_executions_holds_none(tmp_path: Path):
    """What holds only machines has nothing to look at."""
    play = Play()
    play.connect("m1")
    with pytest.raises(ExecutionNotFoundError, match="no execution at all"):
        replayed(written(tmp_path / "run.jsonl", play.log))


def test_a_file_that_is_no_fixture_is_an_error(tmp_path: Path):
    """A file that is not there is named."""
    with pytest.raises(FixtureInvalidError, match="no such file"):
        replayed(tmp_path / "none.jsonl")
