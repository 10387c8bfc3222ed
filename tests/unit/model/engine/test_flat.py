"""What an execution takes does not grow with how long its lists are, and nothing of it is left when it has ended."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from muster.model.engine.execution import Frame, StepState
from tests.fixtures.play import Play

PARALLEL = 50


def loop(members: int, *steps: dict[str, Any]) -> dict[str, Any]:
    each = {
        "id": "each",
        "for_each": {"in": list(range(members)), "max_parallel": PARALLEL, "steps": list(steps)},
    }
    return {"name": "w", "steps": [each]}


def live(kind: type) -> int:
    """How many of these are in memory."""
    gc.collect()
    return sum(isinstance(found, kind) for found in gc.get_objects())


def run(play: Play) -> int:
    """Run to the end; the most steps that were held at once."""
    most = 0
    while play.orders:
        for ref in play.refs():
            play.begin(ref)
            play.finish(ref, n=1)
        play.log.clear()
        play.read_to = 0
        play.round()
        most = max([most, *(len(execution.steps) for execution in play.state.executions.values())])
    return most


@pytest.mark.slow
def test_ten_thousand_members_take_the_room_of_those_that_run_at_once():
    """The steps of a member are let go when it is done."""
    play = Play()
    play.connect("m1", slots=2 * PARALLEL)
    play.submit(
        loop(10_000, {"id": "a", "image": "noop"}, {"id": "b", "set": {"v": "${{ item }}"}, "needs": ["a"]})
    )
    assert run(play) <= 1 + 2 * PARALLEL
    assert not play.state.executions


def test_nothing_is_left_of_an_execution_that_has_ended():
    """Neither its steps and frames, nor places in the queue; its timers go with the next sweep."""
    steps, frames = live(StepState), live(Frame)
    play = Play()
    play.connect("m1", slots=2 * PARALLEL)
    inner = {
        "id": "in",
        "if": "item >= 0",
        "then": [{"id": "a", "image": "noop", "on_failure": [{"id": "h", "log": "x"}]}],
    }
    play.submit(loop(60, inner, {"id": "nap", "sleep": "1s"}))
    run(play)
    play.later(1.0)
    run(play)
    play.later(1.0)
    run(play)
    assert not play.state.executions
    assert len(play.state.queue) == 0
    assert not play.state.touched
    assert (live(StepState), live(Frame)) == (steps, frames)


@pytest.mark.slow
def test_a_step_that_waits_for_input_does_not_slow_the_others():
    """Whether anything moves is counted, not looked for among all steps each time."""
    play = Play()
    play.connect("m1", slots=4)
    asks = {"id": "ask", "wait_for_input": {}}
    play.submit({"name": "w", "steps": [asks, *({"id": f"s{n}", "image": "noop"} for n in range(2_000))]})
    (execution,) = play.state.executions.values()
    looked = 0

    class Counted(dict):
        def values(self) -> Any:
            nonlocal looked
            looked += 1
            return super().values()

    execution.steps = Counted(execution.steps)
    run(play)
    assert execution.status == "awaiting_input"
    assert looked <= 5
