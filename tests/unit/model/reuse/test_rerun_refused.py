"""What cannot be run again, and that the same rerun twice is one."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.engine.round import Round
from muster.model.log.retention import ExecutionCleared
from tests.fixtures.controlled import go, played, sound, step
from tests.fixtures.play import Play

__all__ = ["sound"]
pytestmark = pytest.mark.usefixtures("sound")


def refused(play: Play) -> Any:
    """The error of the last command that was refused."""
    return play.events("command.refused")[-1].data.error


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"from_step": "nowhere"}, "no step nowhere"),
        ({"from_step": "on_finish/bye"}, "no step to begin from"),
        ({"from_step": "b/on_failure/tell"}, "no step to begin from"),
        ({"from_step": "each/3/one"}, "was not run"),
        ({"from_step": "each/x/one"}, "no step each/x/one"),
        ({"from_step": "b", "only_failed": True}, "not both"),
        ({"only_failed": True, "inputs": {"who": 1}}, "whole rerun"),
        ({"inputs": {"what": 1}}, "no input what"),
        ({"of": "nobody"}, "no execution nobody"),
    ],
)
def test_what_cannot_be_run_again_is_refused(how: dict[str, Any], says: str):
    """Each with what is wrong; nothing is queued."""
    told = [{"id": "tell", "log": "no"}]
    fields: dict[str, Any] = {"on_finish": [{"id": "bye", "log": "bye"}], "inputs": {"who": {"default": 0}}}
    each = {"id": "each", "for_each": {"in": [1, 2, 3], "steps": [step("one")]}}
    play = go(played(step("a"), each, step("b", on_failure=told), **fields), failing=("b",))
    play.rerun(**how)
    assert says in refused(play).message
    assert len(play.events("execution.queued")) == 1


def test_new_inputs_replace_those_of_the_same_name():
    """The others stay as they were."""
    fields = {"inputs": {"who": {"default": 0}, "what": {"default": 1}}}
    play = go(played(step("a"), **fields))
    play.rerun(inputs={"who": 5})
    assert play.events("execution.queued")[-1].data.inputs == {"who": 5, "what": 1}


def test_what_succeeded_has_nothing_that_failed():
    """There is nothing to run again, and the refusal says what can be done."""
    play = go(played(step("a")))
    play.rerun(only_failed=True)
    assert "nothing to run again" in refused(play).message.lower()


def test_what_goes_on_and_what_was_cleared_is_refused():
    """One has to end first; of the other nothing is left."""
    play = played(step("a"))
    play.rerun()
    assert refused(play).code == "execution_not_ended"
    go(play)
    round_ = Round(play.state, play.now)
    round_.write(ExecutionCleared(events=1), "command-9", execution="x1", event_id="x1:cleared")
    play.settle(round_)
    play.rerun(execution="x3")
    assert refused(play).code == "execution_not_found"
    assert "cleared" in refused(play).message


def test_the_same_rerun_again_changes_nothing():
    """A command may come twice; another under the same id is refused."""
    play = go(played(step("a"), step("b", needs=["a"])), failing=("b",))
    play.rerun(only_failed=True)
    play.rerun(only_failed=True)
    assert len(play.events("execution.queued")) == 2
    play.rerun()
    assert refused(play).code == "execution_conflict"
