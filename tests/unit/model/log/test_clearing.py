"""What clearing an execution leaves of it in the state: its id."""

from __future__ import annotations

from muster.model.engine.admission import admit
from muster.model.engine.decide import decide
from muster.model.engine.implied import implied
from muster.model.engine.round import Round
from muster.model.log.commands import Clear
from muster.model.policy import Policy
from tests.fixtures.play import Play, fold, workflow


def clear(play: Play) -> None:
    """Clear the execution."""
    round_ = Round(play.state, play.now)
    admit(round_, "clear", Clear(id="c9", execution="x1"), None)
    play.settle(round_)


def test_what_was_cleared_holds_no_room_and_is_stopped_where_it_may_run():
    """A leader that saw it all and one that folds what is left of the log agree."""
    play = Play(Policy(ending_timeout_s=1.0))
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a", "stop_grace_period": "1s"}))
    (ref,) = play.refs()
    play.begin(ref)
    play.cancel()
    play.later(5.0)
    assert play.kinds()[-1] == "execution.cancelled"
    assert play.state.machines["m1"].slots_used == 1
    clear(play)
    assert play.state.machines["m1"].slots_used == 0
    assert ref in implied(play.state, play.state.machines["m1"]).stops
    left = [r for r in play.log if r.event.execution != "x1" or r.event.kind == "execution.cleared"]
    assert fold(left).machines["m1"].slots_used == 0


def test_an_execution_whose_end_was_erased_before_it_was_read_is_not_taken_up():
    """The marker ends it for whoever has read only the beginning."""
    play = Play()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}, {"id": "b"}))
    play.run_all()
    clear(play)
    state = fold([r for r in play.log if r.sequence < 5 or r.event.kind == "execution.cleared"])
    assert state.executions == {}
    assert len(state.queue) == 0
    assert state.machines["m1"].slots_used == 0
    assert decide(state, play.now).events == []
