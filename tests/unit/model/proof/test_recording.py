"""Recordings: all that decisions about one execution rest on, and no more of others than that."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.engine.decide import decide
from muster.model.engine.evolve import IMAGES_KEPT
from muster.model.engine.round import Round
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Recorded
from muster.model.log.facts import AGENT_ENDS
from muster.model.proof.recording import record
from muster.model.proof.replay import replay
from tests.fixtures.hazards import elect
from tests.fixtures.play import Play, diamond, workflow
from tests.unit.model.engine.test_cuts import DEFINITIONS, played


def kinds(found: list[Recorded], execution: str) -> list[str]:
    """The kinds of what is kept of an execution."""
    return [recorded.event.kind for recorded in found if recorded.event.execution == execution]


def one(step: str = "a", **fields: Any) -> dict[str, Any]:
    """A workflow of one step."""
    return workflow({"id": step, **fields})


def test_an_unknown_execution_has_no_recording():
    """Where nothing was queued under the id, a refused command included, there is nothing to record."""
    play = Play()
    play.connect("m1")
    play.cancel("x9")
    assert kinds(play.log, "x9") == ["command.refused"]
    assert record(play.log, "x9") == []


def test_one_that_still_goes_on_is_recorded_so_far():
    """The recording ends with the last event there is."""
    play = Play()
    play.connect("m1")
    play.submit(diamond())
    assert record(play.log, "x1") == play.log


def test_attempts_that_ended_before_are_left_out():
    """What another execution held before the first one was queued took no room from it."""
    play = Play()
    play.connect("m1")
    play.submit(one(), "x0")
    play.run_all()
    play.submit(one(), "x1")
    play.run_all()
    assert {recorded.event.execution for recorded in record(play.log, "x1")} == {"-", "x1"}


def test_an_attempt_that_holds_room_is_told_from_its_beginning_to_its_end():
    """Of another execution there are the events that take room and give it back, and no definition."""
    play = Play()
    play.connect("m1", slots=1)
    play.submit(one(), "x0")
    play.submit(one(), "x1")
    play.run_all()
    found = record(play.log, "x1")
    assert kinds(found, "x0") == ["step.scheduled", "attempt.accepted", "attempt.finished"]
    assert replay(found).differences == []


def test_what_begins_and_ends_meanwhile_is_there():
    """An attempt that came after the execution was queued is told as well, though it needed no wait."""
    play = Play()
    play.connect("m1")
    play.submit(one(machine="m9"), "x1")
    play.submit(one(), "x0")
    play.run_all()
    play.until_due()
    found = record(play.log, "x1")
    assert kinds(found, "x0") == ["step.scheduled", "attempt.accepted", "attempt.finished"]
    assert found[-1].event.kind == "execution.failed"


def test_machines_begin_with_the_connection_that_counts():
    """Of a machine that came and went, what stood before its last connection is left out."""
    play = Play()
    play.connect("m1")
    play.fact("m1", c.MachineDisconnected())
    play.connect("m2")
    play.connect("m1")
    play.submit(one())
    play.run_all()
    found = record(play.log, "x1")
    assert [(r.event.kind, r.event.writer) for r in found[:2]] == [
        ("machine.connected", "m2"),
        ("machine.connected", "m1"),
    ]


def test_an_attempt_of_an_earlier_connection_brings_that_connection():
    """An attempt that outlived its machine's reconnection is held under the connection it was given under."""
    play = Play()
    play.connect("m1", slots=1)
    play.submit(one(), "x0")
    (ref,) = play.refs()
    play.begin(ref)
    play.connect("m1", slots=1, attempts=[ref])
    play.submit(one(), "x1")
    play.finish(ref)
    play.round()
    play.run_all()
    found = record(play.log, "x1")
    assert [r.event.kind for r in found[:4]] == [
        "machine.connected", "step.scheduled", "attempt.accepted", "machine.connected",
    ]  # fmt: skip
    assert replay(found).differences == []


def test_a_machine_that_has_the_image_is_known_to_have_it():
    """The pull by which a machine came to know the image is kept, however long ago and for whomever it was."""
    play = Play()
    for name in ("m1", "m2"):
        play.connect(name)
    play.submit(one(image="tool:1", machine="m2"), "x0")
    (ref,) = play.refs()
    play.begin(ref)
    play.fact("m2", c.ImagePulled(image="tool:1"), ref)
    play.finish(ref)
    play.round()
    play.fact("m2", c.MachineDisconnected())
    play.connect("m2")
    play.submit(one(image="tool:1"), "x1")
    play.run_all()
    found = record(play.log, "x1")
    assert kinds(found, "x0") == ["image.pulled"]
    assert [r.event.data.machine for r in found if r.event.kind == "step.scheduled"] == ["m2"]
    assert replay(found).differences == []
    without = [recorded for recorded in found if recorded.event.kind != "image.pulled"]
    assert replay(without).differences != []


@pytest.mark.parametrize("anew", [False, True])
def test_a_machine_that_has_the_function_loaded_is_known_to_have_it(anew: bool):
    """Its load is kept, for whomever that was, or the connection says it; what is gone again is not kept."""
    play, known = Play(), c.LoadedFunction(function="g", image="fn:1", container="c1")
    play.connect("m1", functions=[])
    play.connect("m2", functions=[c.LoadedFunction(function="g", image="fn:1", container="old")])
    calls = {"image": "fn:1", "function": "g"}
    play.submit(one(**calls, machine="m2"), "x0")
    (ref,) = play.refs()
    for container in ("c0", "c1"):
        play.fact("m2", c.FunctionLoaded(function="g", image="fn:1", container=container), ref)
    for container in ("c0", "old"):
        play.fact("m2", c.FunctionUnloaded(function="g", image="fn:1", container=container))
    play.run_all()
    if anew:
        play.connect("m2", functions=[known])
    play.submit(one(**calls), "x1")
    play.run_all()
    found = record(play.log, "x1")
    told = [r.event.data.container for r in found if r.event.kind.startswith("function.")]
    assert told == ([] if anew else ["c1", "old"])
    assert [r.event.data.machine for r in found if r.event.kind == "step.scheduled"][-1] == "m2"
    assert replay(found).differences == []
    if not anew:
        assert replay([r for r in found if r.event.kind != "function.loaded"]).differences != []


def test_what_is_loaded_is_left_out_where_nothing_is_called():
    """A workflow that calls no function does not care."""
    play = Play()
    play.connect("m1", functions=[])
    play.submit(one(), "x1")
    play.fact("m1", c.FunctionLoaded(function="g", image="fn:1", container="c1"))
    play.run_all()
    assert "function.loaded" not in [recorded.event.kind for recorded in record(play.log, "x1")]


def test_pulls_of_other_images_are_left_out():
    """What placement does not look at for this execution is not recorded."""
    play = Play()
    play.connect("m1")
    play.fact("m1", c.ImagePulled(image="other:1"))
    play.submit(one(), "x1")
    play.fact("m1", c.ImagePulled(image="third:1"))
    play.run_all()
    assert "image.pulled" not in [recorded.event.kind for recorded in record(play.log, "x1")]


def test_an_image_that_was_forgotten_meanwhile_is_forgotten_in_the_recording():
    """Where a machine came to know so many images that a wanted one fell out, all its pulls are kept."""
    play = Play()
    play.connect("m1")
    play.connect("m2")
    play.fact("m2", c.ImagePulled(image="tool:1"))
    play.submit(workflow({"id": "a", "machine": "m1"}, {"id": "b", "image": "tool:1", "needs": ["a"]}))
    for number in range(IMAGES_KEPT):
        play.fact("m2", c.ImagePulled(image=f"filler:{number}"))
    play.run_all()
    found = record(play.log, "x1")
    assert [r.event.data.machine for r in found if r.event.kind == "step.scheduled"] == ["m1", "m1"]
    assert replay(found).differences == []


def test_a_machine_that_is_leaving_is_left_alone():
    """An agent that stopped an attempt because it ends gets nothing new; the recording knows why."""
    play = Play()
    play.connect("m1")
    play.connect("m2")
    play.submit(one(), "x0")
    (ref,) = play.refs()
    play.begin(ref)
    play.stopped(ref, AGENT_ENDS)
    play.round()
    play.submit(one(), "x1")
    play.run_all()
    found = record(play.log, "x1")
    assert kinds(found, "x0")[:3] == ["step.scheduled", "attempt.accepted", "attempt.stopped"]
    scheduled = [r.event for r in found if r.event.kind == "step.scheduled"]
    assert [(event.execution, event.machine) for event in scheduled] == [
        ("x0", "m1"),
        ("x0", "m2"),
        ("x1", "m2"),
    ]
    assert replay(found).differences == []


def test_a_machine_that_drains_drains_after_its_reconnection():
    """The verdict that a machine drains outlives its connections, and so it is kept."""
    play = Play()
    play.connect("m1")
    play.connect("m2")
    drain(play, "m1")
    play.connect("m1")
    play.submit(one(), "x1")
    play.run_all()
    found = record(play.log, "x1")
    assert [r.event.kind for r in found[:3]] == ["machine.connected", "machine.connected", "machine.draining"]
    assert [r.event.data.machine for r in found if r.event.kind == "step.scheduled"] == ["m2"]
    assert replay(found).differences == []


def drain(play: Play, machine: str) -> None:
    """The scheduler says that the machine gets nothing new."""
    round_ = Round(play.state, play.now)
    round_.write(c.MachineDraining(), "somebody", machine=machine)
    play.settle(decide(play.state, play.now, round_))


def test_the_leaders_of_its_time_are_named():
    """The election before the execution was queued is kept and those after it, older ones and later ones are not."""
    play = Play()
    for name in ("s1", "s2"):
        elect(play, name)
    play.connect("m1")
    play.submit(one(), "x1")
    elect(play, "s3")
    play.run_all()
    elect(play, "s4")
    found = record(play.log, "x1")
    assert [r.event.data.scheduler for r in found if r.event.kind == "leader.elected"] == ["s2", "s3"]


def test_a_fact_told_twice_counts_once():
    """A goodbye that an outbox sent again after the machine was back does not end it in the recording either."""
    play = Play()
    play.connect("m1")
    play.submit(one(), "x1")
    play.fact("m1", c.MachineDisconnected())
    goodbye = play.log[-1].event
    play.connect("m1")
    play._record(goodbye)
    play.read()
    play.run_all()
    found = record(play.log, "x1")
    assert [r.event.kind for r in found].count("machine.disconnected") == 1
    assert found[-1].event.kind == "execution.succeeded"
    assert replay(found).differences == []


def test_late_facts_belong_to_it():
    """What an agent says of an attempt after the execution's end is its last event, and ends the recording."""
    play = Play()
    play.connect("m1")
    play.submit(one(), "x1")
    play.run_all()
    play.fact("m1", c.ImagePulled(image="other:1"))
    play.fact("m1", c.AttemptFinished(), AttemptRef("x1", "a", 1))
    play.connect("m2")
    assert record(play.log, "x1")[-1] is play.log[-2]


def test_what_an_agent_may_not_write_is_no_decision():
    """An agent that writes what only a scheduler may takes no room by it."""
    play = Play()
    play.connect("m1", slots=1)
    play.connect("m2", slots=1)
    play.fact("m1", c.StepScheduled(machine="m1", session=1), AttemptRef("x0", "a", 1))
    play.submit(one(), "x1")
    play.run_all()
    assert kinds(record(play.log, "x1"), "x0") == []


def test_a_family_is_recorded_together():
    """Parent and child are decided about in the same rounds: whichever is asked for, both are there, and replay."""
    play = played(DEFINITIONS["succeeds"])
    family = {recorded.event.execution for recorded in play.log} - {"-"}
    assert len(family) > 1
    found = {execution: record(play.log, execution) for execution in family}
    assert all(each == found["x1"] for each in found.values())
    assert {recorded.event.execution for recorded in found["x1"]} == family | {"-"}
    assert replay(found["x1"]).differences == []


def test_a_child_whose_parent_is_not_there_is_recorded_alone():
    """Its parent was cleared: what is left of it is told as if it had been submitted."""
    play = played(DEFINITIONS["succeeds"])
    (child,) = {recorded.event.execution for recorded in play.log} - {"-", "x1"}
    left = [recorded for recorded in play.log if recorded.event.execution != "x1"]
    assert kinds(record(left, child), child)[0] == "execution.queued"
