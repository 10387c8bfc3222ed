"""Where a call goes when its function is loaded somewhere, and how what is loaded is known."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.engine.cluster import FUNCTIONS_KEPT, Machine
from muster.model.engine.placement import Requirement, choose
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import AttemptResources
from tests.fixtures.play import Play, fold, workflow

IMAGE = "fn:1"
KEY = f"{IMAGE} app:f"


def calls(count: int = 1, **more: Any) -> dict[str, Any]:
    """A workflow of so many steps that call the function."""
    step = {"image": IMAGE, "command": None, "function": "app:f", **more}
    return workflow(*({"id": f"s{number}", **step} for number in range(count)))


def cluster(*names: str, slots: int = 4) -> Play:
    """A play with these machines, whose agents keep functions loaded."""
    play = Play()
    for name in names:
        play.connect(name, slots=slots, functions=[])
    return play


def load(play: Play, machine: str, container: str = "c1", ref: AttemptRef | None = None, **more: Any) -> None:
    """The function is loaded in a container of the machine."""
    body = c.FunctionLoaded(**{"function": "app:f", "image": IMAGE, "container": container, **more})
    play.fact(machine, body, ref)


def where(play: Play) -> list[str]:
    """The machines that the calls went to, in their order."""
    return [event.data.machine for event in play.events("step.scheduled")]


def test_a_call_goes_where_its_function_is_loaded():
    """Before any other machine, though another is empty and has the image, too."""
    play = cluster("m1", "m2", "m3")
    play.fact("m1", c.ImagePulled(image=IMAGE))
    load(play, "m3")
    play.submit(workflow({"id": "a", "machine": "m3"}), "x0")
    play.submit(calls())
    assert where(play) == ["m3", "m3"]
    assert play.events("step.scheduled")[-1].data.function == KEY
    assert play.events("step.scheduled")[0].data.function == ""


def test_then_where_the_image_is():
    """Nowhere is it loaded: one that has the image goes before an emptier one."""
    play = cluster("m1", "m2")
    play.fact("m2", c.ImagePulled(image=IMAGE))
    play.submit(workflow({"id": "a", "machine": "m2"}), "x0")
    play.submit(calls())
    assert where(play) == ["m2", "m2"]


def test_only_so_many_as_are_idle_go_to_the_warm_machine():
    """The rest goes as if nothing were warm: to the image, and where that is everywhere, to the most room."""
    play = cluster("m1", "m2", "m3", slots=6)
    for name in ("m1", "m2", "m3"):
        play.fact(name, c.ImagePulled(image=IMAGE))
    load(play, "m2", concurrency=2)
    play.submit(calls(6))
    assert where(play) == ["m2", "m2", "m1", "m3", "m1", "m3"]


def test_a_fan_out_over_a_cold_cluster_is_spread():
    """Each machine loads it, and serves the calls after that."""
    play = cluster("m1", "m2", "m3", slots=2)
    play.submit(calls(6))
    assert sorted(where(play)) == ["m1", "m1", "m2", "m2", "m3", "m3"]


def test_what_is_idle_counts_the_calls_that_are_under_way():
    """A call holds its place from when it is given to the machine until that has answered for it."""
    play = cluster("m1", "m2")
    load(play, "m2")
    play.submit(calls(), "x1")
    play.submit(calls(), "x2")
    ref = AttemptRef("x1", "s0", 1)
    assert where(play) == ["m2", "m1"]
    play.begin(ref)
    play.finish(ref)
    play.submit(calls(), "x3")
    assert where(play)[-1] == "m2"


def test_a_full_machine_is_not_waited_for():
    """The function is loaded once more elsewhere."""
    play = cluster("m1", "m2", slots=1)
    load(play, "m1", concurrency=8)
    play.submit(workflow({"id": "a", "machine": "m1"}), "x0")
    play.submit(calls())
    assert where(play) == ["m1", "m2"]


@pytest.mark.parametrize(
    "gone",
    [
        lambda play: play.fact("m2", c.FunctionUnloaded(function="app:f", image=IMAGE, container="c1")),
        lambda play: play.connect("m2", functions=[]),
        lambda play: play.connect("m2"),
        lambda play: (play.fact("m2", c.MachineDisconnected()), play.connect("m2", functions=[])),
        lambda play: load(play, "m2", function="app:other"),
    ],
    ids=["unloaded", "connected-anew", "older-agent", "goodbye", "another-in-its-container"],
)
def test_what_is_not_loaded_any_more(gone: Any):
    """It was unloaded, or the agent that connects anew does not have it any more."""
    play = cluster("m1", "m2")
    load(play, "m2")
    gone(play)
    assert play.state.machines["m2"].idle(KEY) == 0
    play.submit(calls())
    assert where(play) == ["m1"]


def test_what_an_agent_still_has_when_it_connects():
    """It says so, and the calls go there."""
    play = cluster("m1")
    known = c.LoadedFunction(function="app:f", image=IMAGE, container="c1", concurrency=2)
    play.connect("m2", functions=[known])
    assert play.state.machines["m2"].idle(KEY) == 2
    play.submit(calls())
    assert where(play) == ["m2"]


def test_a_machine_that_was_silent_still_has_it():
    """A verdict says nothing about what is loaded."""
    play = cluster("m1", "m2")
    load(play, "m2")
    play.verdict("m2")
    play.submit(calls(), "x1")
    play.verdict("m2", online=True)
    play.submit(calls(), "x2")
    assert where(play) == ["m1", "m2"]


def test_a_container_of_one_execution_is_nobody_elses():
    """Its own steps go there, and those of another execution do not."""
    play = cluster("m1", "m2")
    mine = {"isolation": "execution"}
    second = {"id": "b", "image": IMAGE, "command": None, "function": "app:f", "needs": ["s0"], **mine}
    first = calls(1, machine="m2", **mine)
    play.submit(first | {"steps": [*first["steps"], second]})
    ref = AttemptRef("x1", "s0", 1)
    load(play, "m2", ref=ref, isolation="execution")
    play.submit(calls(1, **mine), "x2")
    play.begin(ref)
    play.finish(ref)
    play.round()
    assert where(play) == ["m2", "m1", "m2"]
    assert [event.data.function for event in play.events("step.scheduled")] == [
        f"{KEY} x1", f"{KEY} x2", f"{KEY} x1",
    ]  # fmt: skip


def test_a_call_that_shares_with_nobody():
    """Nothing of it stays, so it goes where any container would, and is counted nowhere."""
    play = cluster("m1", "m2")
    load(play, "m2")
    load(play, "m2", "c2", isolation="call")
    assert play.state.machines["m2"].idle(KEY) == 1
    play.submit(calls(isolation="call"))
    assert where(play) == ["m1"]
    assert play.events("step.scheduled")[0].data.function == ""


def test_an_image_that_is_worked_out():
    """What is called is known by the image that comes of it; one that speaks of its machine is known by none."""
    play = cluster("m1", "m2")
    load(play, "m2")
    play.submit(calls(image="${{ 'fn:' + string(inputs.n) }}") | {"inputs": {"n": {}}}, n=1)
    play.submit(calls(image="${{ machine.name }}"), "x2")
    assert where(play) == ["m2", "m1"]
    assert [event.data.function for event in play.events("step.scheduled")] == [KEY, "m1 app:f"]


def test_agents_that_keep_nothing():
    """As in a log of an older release: the function is a container like any other, and nothing is said of it."""
    play = Play()
    play.connect("m1")
    play.connect("m2")
    play.fact("m2", c.ImagePulled(image=IMAGE))
    play.submit(workflow({"id": "a", "machine": "m2"}), "x0")
    play.submit(calls())
    assert where(play) == ["m2", "m1"]
    assert play.events("step.scheduled")[-1].data.function == ""


def test_an_agent_that_talks_nonsense_fills_no_memory():
    """The oldest containers are forgotten, and what makes no sense is not taken in."""
    play = cluster("m1")
    for number in range(FUNCTIONS_KEPT + 5):
        load(play, "m1", f"c{number}")
    load(play, "m1", "", concurrency=3)
    load(play, "m1", "x", concurrency=-3)
    machine = play.state.machines["m1"]
    assert len(machine.loaded) == machine.idle(KEY) == FUNCTIONS_KEPT
    assert "c4" not in machine.loaded
    play.connect("m1", functions=[])
    assert (machine.loaded, machine.warm, machine.idle(KEY)) == ({}, {}, 0)


# ---- whatever stands where


@st.composite
def machines(draw: st.DrawFn) -> list[Machine]:
    """Machines with something loaded, pulled and running, that answer or do not."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        machine = Machine(
            name=f"m{number}", session=1, keeps=True, draining=draw(st.booleans()) and draw(st.booleans())
        )
        machine.facts = c.MachineFacts(slots=draw(st.integers(1, 4)), cpus=4.0, memory=1 << 30)
        machine.slots_used = draw(st.integers(0, machine.facts.slots))
        machine.warm[KEY] = draw(st.integers(0, 2))
        machine.calling[KEY] = draw(st.integers(0, 2))
        if draw(st.booleans()):
            machine.images[IMAGE] = None
        found.append(machine)
    return found


@settings(max_examples=300, deadline=None)
@given(machines(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_warm_then_pulled_then_room(found: list[Machine], slots: int, chance: random.Random):
    """Never one that does not fit; of those that do one that is warm, or else one with the image; in whatever order."""
    wanted = Requirement(None, (), AttemptResources(slots=slots))
    chosen = choose(wanted, found, IMAGE, KEY)
    fitting = [machine for machine in found if machine.open and machine.fits(wanted.resources)]
    assert (chosen is None) == (not fitting)
    if chosen is None:
        return
    assert chosen in fitting
    warm = [machine for machine in fitting if machine.idle(KEY) > 0]
    pulled = [machine for machine in warm or fitting if IMAGE in machine.images]
    best = pulled or warm or fitting
    assert chosen in best
    assert all(chosen.slots_used / chosen.facts.slots <= each.slots_used / each.facts.slots for each in best)
    shuffled = chance.sample(found, len(found))
    assert choose(wanted, shuffled, IMAGE, KEY) is chosen
    assert (choose(wanted, found, IMAGE) is None) == (chosen is None)


def test_folding_the_log_gives_the_same():
    """What is loaded, and how many calls are under way, stand in the log."""
    play = cluster("m1", "m2")
    load(play, "m2", concurrency=3)
    play.submit(calls(2))
    found = fold(play.log).machines["m2"]
    assert (found.loaded, found.warm, found.calling) == (
        play.state.machines["m2"].loaded, {KEY: 3}, {KEY: 2},
    )  # fmt: skip
    assert found.idle(KEY) == 1
