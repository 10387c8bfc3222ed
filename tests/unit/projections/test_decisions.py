"""What the real decider writes: the view says the same as the scheduler's own state."""

from typing import Any

import pytest

from muster.model.errors import ImagePullError
from muster.model.log import catalogue as c
from muster_projections.query import View
from tests.fixtures.play import Play
from tests.fixtures.views import fold, rows

WORKFLOW: dict[str, Any] = {
    "name": "letters",
    "steps": [
        {"id": "a", "image": "busybox:1", "retry": {"max_attempts": 2}},
        {"id": "b", "image": "busybox:1", "needs": ["a"]},
    ],
}


@pytest.fixture
def play() -> Play:
    made = Play()
    made.connect("m1")
    made.submit(WORKFLOW)
    return made


def _same(play: Play, folder) -> View:
    """Fold the log and compare what is still open there with the scheduler's state."""
    path = fold(folder / f"{len(play.log)}.db", play.log)
    assert rows(path, "poison") == []
    assert rows(path, "unknown") == []
    with View.open(path) as view:
        for execution in play.state.executions.values():
            assert view.execution(execution.id).status == execution.status
            shown = {step["step"]: step["status"] for step in rows(path, "steps")}
            assert shown == {step.plan.path: step.status for step in execution.steps.values()}
        assert {each.name: each.status for each in view.machines()} == {
            each.name: each.status for each in play.state.machines.values()
        }
    return View.open(path)


def _only(play: Play):
    (ref,) = play.orders
    return ref


def test_a_retry_and_a_good_end(play, tmp_path):
    """A pull that fails, a second attempt, a second step: after every round the view agrees with the state."""
    play.fail(_only(play), ImagePullError(image="busybox:1"), phase="run")
    play.round()
    _same(play, tmp_path).close()
    play.until_due()
    for _ in ("a", "b"):
        ref = _only(play)
        play.begin(ref)
        play.round()
        _same(play, tmp_path).close()
        play.finish(ref)
        play.round()
    with _same(play, tmp_path) as view:
        found = view.execution("x1")
        assert (found.status, found.steps_ended, found.error) == ("succeeded", 2, None)
        assert [(each.step, each.status) for each in view.attempts("x1")] == [
            ("a", "failed"),
            ("a", "finished"),
            ("b", "finished"),
        ]
        assert [each.type for each in view.transitions("x1")] == ["init", "start", "step", "step", "finish"]


def test_a_lost_machine_and_a_late_fact(play, tmp_path):
    """The attempt of a machine that stopped answering is superseded; what it reports later does not bring it back."""
    play.begin(ref := _only(play))
    play.round()
    play.verdict("m1")
    play.round()
    _same(play, tmp_path).close()
    play.fact("m1", c.AttemptFinished(exit_code=0), ref)
    play.verdict("m1", online=True)
    with _same(play, tmp_path) as view:
        (attempt,) = [each for each in view.attempts("x1") if each.attempt == ref.attempt]
        assert (attempt.status, attempt.reported, attempt.superseded) == ("superseded", "finished", True)


def test_a_cancel(play, tmp_path):
    """A cancelled execution and its steps are shown as cancelled."""
    play.begin(ref := _only(play))
    play.round()
    play.cancel()
    _same(play, tmp_path).close()
    play.stopped(ref)
    play.round()
    with _same(play, tmp_path) as view:
        assert view.execution("x1").status == "cancelled"
        assert {each.status for each in view.steps("x1")} == {"cancelled"}
