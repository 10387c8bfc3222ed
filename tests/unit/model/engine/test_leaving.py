"""An agent that ends stops its attempts one after the other, and says goodbye when the last one has ended."""

from __future__ import annotations

import pytest

from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.facts import AGENT_ENDS
from tests.fixtures.play import Play, workflow


def ref(step: str, attempt: int = 1) -> AttemptRef:
    return AttemptRef("x1", step, attempt)


@pytest.fixture
def play() -> Play:
    """One machine that runs two steps and begins to end."""
    play = Play()
    play.connect("m1")
    play.submit(workflow({"id": "a"}, {"id": "b"}))
    play.begin(ref("a"))
    play.begin(ref("b"))
    play.round()
    return play


def test_a_machine_that_leaves_gets_nothing_back(play: Play) -> None:
    """What it stopped is not given to it again, and costs one try of the budget, not two."""
    play.stopped(ref("a"), AGENT_ENDS)
    play.round()
    play.round()
    assert play.refs() == [ref("b")]
    play.stopped(ref("b"), AGENT_ENDS)
    play.fact("m1", c.MachineDisconnected(reason=AGENT_ENDS))
    play.round()
    assert [event.data.used for event in play.events("step.retrying")] == [1, 1]
    assert play.events("attempt.superseded") == []
    play.connect("m1")
    play.round()
    assert play.refs() == [ref("a", 2), ref("b", 2)]


def test_what_a_leaving_machine_stopped_goes_elsewhere_at_once(play: Play) -> None:
    """Another machine takes it while the rest of the grace periods is still waited for."""
    play.connect("m2")
    play.stopped(ref("a"), AGENT_ENDS)
    play.round()
    play.round()
    assert play.orders[ref("a", 2)][0] == "m2"


def test_a_late_word_of_an_agent_before_says_nothing_about_this_one(play: Play) -> None:
    """A stop that the next agent sends, because the last one had no time to, does not close the machine."""
    play.connect("m1", attempts=[ref("a"), ref("b")])
    play.stopped(ref("a"), AGENT_ENDS)
    play.round()
    play.round()
    assert play.orders[ref("a", 2)][0] == "m1"
    assert not play.state.machines["m1"].leaving


def test_who_said_goodbye_is_lost_by_that_and_not_by_an_old_verdict():
    """A machine that was once offline, came back and said goodbye: the goodbye is why its attempts are lost."""
    play = Play()
    play.connect("m1")
    play.verdict("m1")
    play.connect("m1")
    play.submit(workflow({"id": "a"}))
    play.begin(play.refs()[0])
    play.fact("m1", c.MachineDisconnected())
    goodbye = play.log[-1].event
    play.round()
    assert [event.cause for event in play.events("attempt.superseded")] == [goodbye.id]
