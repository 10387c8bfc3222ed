"""How the cluster stands, as people are told."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from muster.cli.cluster import _print
from muster.cli.moment import Point
from muster.cli.standing import Cluster, Leader, Place, Standing
from muster.cli.terminal import Terminal
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.facts import AGENT_ENDS
from tests.fixtures.histories import START as BEGIN
from tests.fixtures.histories import TICK, History
from tests.fixtures.play import START, Play, workflow
from tests.unit.cli.test_narrow import Tty


def standing(play: Play) -> Standing:
    cluster = Cluster()
    cluster.apply_all(play.log)
    return cluster.standing()


def place(play: Play, name: str) -> Place:
    return next(machine for machine in standing(play).machines if machine.name == name)


def steps(count: int, **more: Any) -> dict[str, Any]:
    return workflow(*({"id": f"s{number}", **more} for number in range(count)))


def test_who_holds_which_slot_and_what_waits_in_order():
    """Each attempt that holds room is told with its state, and what found none waits in the order of placement."""
    play = Play()
    play.connect("m1", slots=2)
    play.submit(steps(3, resources={"cpus": 1}))
    play.later(1)
    play.submit(steps(1), "x2")
    play.begin(AttemptRef("x1", "s0", 1))
    found = standing(play)
    (machine,) = found.machines
    assert [(held.execution, held.step, held.attempt, held.state) for held in machine.held] == [
        ("x1", "s0", 1, "started"),
        ("x1", "s1", 1, "scheduled"),
    ]
    assert machine.held[0].since == START
    assert (machine.slots.used, machine.slots.free, machine.cpus.used, machine.cpus.free) == (2, 0, 2, 2)
    assert [(waiting.execution, waiting.step) for waiting in found.queue] == [("x1", "s2"), ("x2", "s0")]
    assert {waiting.why for waiting in found.queue} == {"no room: m1 2/2 slots"}
    assert [execution.steps for execution in found.executions] == [
        {"running": 1, "scheduled": 1, "pending": 1},
        {"pending": 1},
    ]


def test_a_lost_machine_keeps_what_it_has_not_answered_for():
    """An attempt that was given up holds its slot, and says that it is superseded, until its machine answers."""
    play = Play()
    play.connect("m1")
    play.submit(steps(1))
    ref = AttemptRef("x1", "s0", 1)
    play.begin(ref)
    play.verdict("m1")
    lost = place(play, "m1")
    assert (lost.status, lost.open, lost.slots.used) == ("offline", False, 1)
    assert [(held.state, held.superseded) for held in lost.held] == [("started", True)]
    play.connect("m1", attempts=[])
    assert (place(play, "m1").status, place(play, "m1").held) == ("online", [])


def test_a_machine_that_leaves_takes_nothing_new():
    """An agent that ends stops what it runs first: until its goodbye it is online and not open."""
    play = Play()
    play.connect("m1")
    play.submit(steps(2))
    play.begin(AttemptRef("x1", "s0", 1))
    play.stopped(AttemptRef("x1", "s0", 1), AGENT_ENDS)
    assert (place(play, "m1").status, place(play, "m1").open) == ("online", False)
    play.fact("m1", c.MachineDisconnected())
    assert place(play, "m1").status == "disconnected"


def test_what_nobody_knows_of_is_a_stray():
    """An attempt that an agent answers for and nobody gave to it is told, and holds no room."""
    play = Play()
    play.connect("m1", attempts=[AttemptRef("gone", "s", 1)])
    found = place(play, "m1")
    assert found.strays == [AttemptRef("gone", "s", 1)]
    assert found.slots.used == 0


def test_who_leads_is_who_was_elected_last():
    """Nobody leads at first; then it is the scheduler of the newest election."""
    log, cluster = History(), Cluster()
    assert cluster.standing().leader is None
    for number, name in enumerate(("first", "second"), 1):
        cluster.apply_all([log.decide(c.LeaderElected(scheduler=name, term=number))])
    assert cluster.standing().leader == Leader("second", 2, 2, BEGIN + TICK)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_narrow_terminal_shows_everything(width: int, monkeypatch: pytest.MonkeyPatch):
    """However narrow the terminal, no line is wider; machines, the ends of ids, steps and reasons are there."""
    play = Play()
    play.connect("gpu-1", slots=1)
    play.submit(steps(2), "01a1fe7a-07b7-75ce-ac82-de297e4318ae")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "40")
    monkeypatch.setenv("TERM", "dumb")
    screen = Tty()
    monkeypatch.setattr(sys, "stdout", screen)
    _print(Terminal(), standing(play), Point(9, START))
    said = screen.getvalue()
    assert all(len(line.rstrip()) <= width for line in said.splitlines())
    assert said.count("de297e4318ae") == 3
    assert said.count("gpu-1") == 3
    for part in ("s0", "s1", "starting", "1/1", "no room"):
        assert part in said


def test_what_is_loaded_where(capsys: pytest.CaptureFixture[str]):
    """The cluster shows each container in which a function is loaded, how many calls it takes, and for whom."""
    play = Play()
    play.connect("m1", functions=[])
    play.submit(workflow({"id": "a", "image": "fn:1", "function": "g", "isolation": "execution"}))
    loaded = c.FunctionLoaded(
        function="g", image="fn:1", container="0123456789abcdef", concurrency=3, isolation="execution"
    )
    play.fact("m1", loaded, AttemptRef("x1", "a", 1))
    (kept,) = place(play, "m1").functions
    assert (kept.container, kept.concurrency, kept.execution) == ("0123456789abcdef", 3, "x1")
    _print(Terminal(), standing(play), Point(sequence=len(play.log), time=play.now))
    said = capsys.readouterr().out
    assert "What is loaded" in said
    assert ["m1", "g", "fn:1", "0123456789ab", "3", "x1"] in [line.split() for line in said.splitlines()]
