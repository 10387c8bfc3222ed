"""What a container runs may speak of the machine that was chosen for it."""

from __future__ import annotations

from typing import Any

from muster.model.definition.validation import validate
from muster.model.proof.replay import replay
from tests.fixtures.hazards import elect, succeed
from tests.fixtures.play import Play


def step(**fields: Any) -> dict[str, Any]:
    return {"name": "w", "steps": [{"id": "a", "image": "noop", **fields}]}


SPEAKS = {"WHERE": "${{ machine.name }}", "ZONE": "${{ machine.labels.zone + '!' }}"}


def played(environment: dict[str, str]) -> Play:
    play = Play()
    elect(play, "s1")
    play.connect("m1", slots=1, labels={"zone": "north"})
    play.submit(step(environment=environment))
    return play


def test_name_and_labels_of_the_machine_are_known():
    """Of the one that placement chose."""
    play = played(SPEAKS)
    ((machine, order),) = play.orders.values()
    assert (machine, order.container.environment) == ("m1", {"WHERE": "m1", "ZONE": "north!"})
    assert replay(play.log).differences == []


def test_a_start_that_is_sent_again_says_the_same():
    """Also by another leader, and where the machine has other labels by then."""
    play = played(SPEAKS)
    ((_, order),) = play.orders.values()
    play.orders.clear()
    play.connect("m1", slots=1, labels={"zone": "south"})
    ((_, again),) = play.orders.values()
    assert again == order
    ((_, later),) = succeed(play.log).orders.values()
    assert later == order


def test_labels_stand_in_the_log_only_where_somebody_asks_for_them():
    """The name is there anyway."""
    (scheduled,) = played({"WHERE": "${{ machine.name }}"}).events("step.scheduled")
    assert scheduled.data.labels == {}
    (scheduled,) = played(SPEAKS).events("step.scheduled")
    assert scheduled.data.labels == {"zone": "north"}


def test_a_label_that_is_missing_fails_the_step():
    """With an error that names it."""
    play = played({"GPU": "${{ machine.labels.gpu }}"})
    (failed,) = play.events("step.failed")
    assert "gpu" in failed.data.error.message


def test_nothing_else_may_speak_of_a_machine():
    """Where a condition is looked at, no machine is chosen yet."""
    (problem,) = validate(step(**{"if": "machine.name == 'm1'"}))
    assert "there is none here" in problem.message
