"""Functions that stay loaded, when a record is played again under other rules."""

from __future__ import annotations

from typing import Any

from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import Rehearsal, rehearse
from tests.fixtures.clocked import ClockedPlay
from tests.fixtures.play import workflow

CALL: dict[str, Any] = {"image": "fn:1", "command": None, "function": "app:f"}


def calls() -> ClockedPlay:
    """Three calls, one after the other: the first is told to go to m2, where it is loaded; the last finds it gone."""
    play = ClockedPlay()
    play.connect("m1", functions=[])
    play.connect("m2", functions=[])
    steps: list[dict[str, Any]] = [
        {"id": "a", "machine": "m2"},
        {"id": "b", "needs": ["a"]},
        {"id": "c", "needs": ["b"]},
    ]
    play.submit(workflow(*(CALL | step for step in steps)))
    for step in "abc":
        ref = AttemptRef("x1", step, 1)
        machine, _ = play.orders[ref]
        play.fact(machine, c.AttemptAccepted(), ref)
        if step == "a":
            play.later(1)
            play.fact(machine, c.FunctionLoaded(function="app:f", image="fn:1", container="c1"), ref)
        play.fact(machine, c.AttemptStarted(container="c1"), ref)
        play.later(2)
        if step == "b":
            play.fact(machine, c.FunctionUnloaded(function="app:f", image="fn:1", container="c1"))
        play.finish(ref)
        play.later(1)
    assert not play.state.executions
    return play


def machines(found: Rehearsal) -> tuple[list[str], list[str]]:
    """Where the steps ran, played unchanged and changed."""
    (execution,) = found.executions
    assert execution.deviations == []
    played = (execution.unchanged, execution.changed)
    unchanged, changed = ([step.machines[0] for step in one.steps.values()] for one in played)
    return unchanged, changed


def test_calls_go_where_the_function_was_loaded_then() -> None:
    """Unchanged they go where they went; nothing has to be assumed for it."""
    found = rehearse(calls().log, Changes())
    assert machines(found) == (["m2", "m2", "m1"], ["m2", "m2", "m1"])
    assert not [one for one in found.assumed if "loaded" in one.text]


def test_a_load_stays_where_it_was() -> None:
    """The call that loaded it goes to another machine now: what is loaded is that of the record, and that is said."""
    found = rehearse(calls().log, Changes(steps={"a": {"machine": {"labels": {}, "name": "m1"}}}))
    assert machines(found)[1] == ["m1", "m2", "m1"]
    assert [one.count for one in found.assumed if one.text.startswith("functions are loaded where")] == [1]


def test_without_the_machine_nothing_is_loaded() -> None:
    """A machine that is absent loads nothing, and the calls go elsewhere."""
    steps = {"a": {"machine": {"name": "m1"}}}
    found = rehearse(calls().log, Changes(steps=steps, machines={"m2": {"absent": True}}))
    assert machines(found)[1] == ["m1", "m1", "m1"]
