"""Where ready steps go, and what becomes of those that find no place."""

from __future__ import annotations

import pytest

from muster.model.log.catalogue import AttemptRef
from muster.model.policy import Policy
from tests.fixtures.play import Play, workflow


@pytest.fixture
def play() -> Play:
    """One machine is connected."""
    play = Play()
    play.connect("m1")
    return play


def ref(step: str, attempt: int = 1) -> AttemptRef:
    return AttemptRef("x1", step, attempt)


def test_steps_wait_for_room_and_take_it(play: Play) -> None:
    """No more attempts are given to a machine than it has slots; the next follows when one is free."""
    play.submit(workflow(*({"id": f"s{n}"} for n in range(10))))
    assert len(play.refs()) == 4
    first = play.refs()[0]
    play.begin(first)
    play.finish(first)
    play.round()
    assert len(play.refs()) == 4
    play.run_all()
    assert play.kinds()[-1] == "execution.succeeded"
    assert play.state.machines["m1"].slots_used == 0


def test_both_machines_are_used(play: Play) -> None:
    """Steps are spread over the machines that have room."""
    play.connect("m2")
    play.submit(workflow(*({"id": f"s{n}"} for n in range(4))))
    assert sorted(machine for machine, _ in play.orders.values()) == ["m1", "m1", "m2", "m2"]


def test_labels_are_honoured(play: Play) -> None:
    """A step that asks for labels runs where they are."""
    play.connect("m2", labels={"gpu": "true"})
    play.submit(workflow({"id": "a", "machine": {"labels": {"gpu": "true"}}}))
    assert play.orders[ref("a")][0] == "m2"


def test_a_named_machine_that_never_connected(play: Play) -> None:
    """A step that names an unknown machine waits the placement timeout and fails with NotConnectedError."""
    play.submit(workflow({"id": "a", "machine": "gpu-9"}))
    play.later(29.9)
    assert "step.failed" not in play.kinds()
    play.later(0.2)
    assert play.events("step.failed")[0].data.error.code == "not_connected"
    assert play.kinds()[-1] == "execution.failed"


def test_a_named_machine_that_went_offline(play: Play) -> None:
    """A step that names a machine found offline fails with MachineOfflineError after the placement timeout."""
    play.verdict("m1")
    play.submit(workflow({"id": "a", "machine": "m1"}))
    play.later(30.1)
    assert play.events("step.failed")[0].data.error.code == "machine_offline"


def test_a_named_machine_that_comes_in_time(play: Play) -> None:
    """A step that names a machine runs there if it connects within the timeout."""
    play.submit(workflow({"id": "a", "machine": "gpu-9"}))
    play.later(20)
    play.connect("gpu-9")
    play.round()
    assert play.orders[ref("a")][0] == "gpu-9"


def test_what_no_machine_could_ever_hold_fails_at_once(play: Play) -> None:
    """A step that asks for more than any known machine has fails with the reason."""
    play.submit(workflow({"id": "a", "resources": {"cpus": 64}}))
    (failed,) = play.events("step.failed")
    assert failed.data.error.code == "placement"
    assert "64 cpus" in failed.data.error.message


def test_all_machines_away_for_long(play: Play) -> None:
    """When every machine that could hold a step stays away, the step fails rather than wait for ever."""
    play.verdict("m1")
    play.submit(workflow({"id": "a"}))
    play.later(Policy().offline_timeout_s - 1)
    assert "step.failed" not in play.kinds()
    play.later(2)
    assert play.events("step.failed")[0].data.error.code == "machine_offline"


def test_no_machine_yet() -> None:
    """A step waits for the first machine to connect."""
    play = Play()
    play.submit(workflow({"id": "a"}))
    play.later(3600)
    play.connect("m1")
    play.round()
    assert play.refs() == [ref("a")]
