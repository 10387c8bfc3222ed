from __future__ import annotations

import pytest

from muster.client.difference import Change, difference
from muster.client.follower import ExecutionView
from muster.model.errors import ExecutionError
from muster.model.log import catalogue
from muster.model.log.envelope import Event
from tests.unit.client.story import Story, recorded

WHOLE = Story().whole()


def view_at(count: int, events: list[Event] = WHOLE) -> ExecutionView:
    view = ExecutionView("e1")
    view.apply_all(recorded(events)[:count])
    return view


def test_what_changed_is_named_with_before_and_after():
    """Between two points status, progress, steps and outputs are told as they were and as they are; no more."""
    found = difference(view_at(3), view_at(len(WHOLE)))
    assert found.changes == {
        "status": Change("starting", "succeeded"),
        "progress": Change((0, 2), (2, 2)),
        "outputs": Change({}, {"text": "hi"}),
    }
    assert found.steps["greet"]["status"] == Change("scheduled", "succeeded")
    assert "machine" not in found.steps["greet"]
    assert found.steps["count"]["machine"] == Change(None, "m1")


@pytest.mark.parametrize("cut", range(len(WHOLE) + 1))
def test_what_came_between_is_what_came(cut: int):
    """Wherever the history is cut, its transitions and moments are those before the cut and those that came."""
    before, after = view_at(cut), view_at(len(WHOLE))
    found = difference(before, after)
    assert before.transitions + found.transitions == after.transitions
    assert before.timeline + found.timeline == after.timeline
    assert found.nothing == (cut == len(WHOLE))


def test_before_it_was_there_all_is_new():
    """From a point at which the execution was not there, everything is a change, also steps that only wait."""
    found = difference(view_at(0), view_at(1))
    assert found.changes["status"] == Change("", "queued")
    assert [row.type for row in found.transitions] == ["init"]
    assert found.steps == {}


def test_an_error_is_a_change():
    """A step that failed differs by its error, and so does the execution that ends by it."""
    story = Story()
    events = [story.queued(), story.started()]
    error = ExecutionError("exit code 3").info(step="greet")
    events.append(story.decides(catalogue.StepFailed(error=error), "greet"))
    events.append(story.decides(catalogue.ExecutionEnding(outcome="failed", error=error)))
    found = difference(view_at(2, events), view_at(4, events))
    assert found.steps["greet"]["error"] == Change(None, error)
    assert found.changes["error"] == Change(None, error)
    assert found.changes["ending"] == Change("", "failed")
