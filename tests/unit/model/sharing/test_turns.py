"""Executions that share a key: who begins, who waits, who is cancelled for another, who is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.log import catalogue as c
from muster.model.log.envelope import Recorded
from muster.model.proof.recording import record
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import rehearse
from muster.model.proof.replay import replay
from tests.fixtures.constructs import workflows
from tests.fixtures.controlled import go, outcome, played, sound, step
from tests.fixtures.hazards import finish, perform, succeed
from tests.fixtures.pictures import picture
from tests.fixtures.play import Play, fold

__all__ = ["sound"]
often = settings(max_examples=60, deadline=None)


def shared(on_conflict: str = "queue", **fields: Any) -> dict[str, Any]:
    """A workflow of one step that claims the key k."""
    claim = {"key": "k", "on_conflict": on_conflict, **fields}
    return {"name": "w", "steps": [step("a")], "concurrency": claim}


def begun(*definitions: dict[str, Any]) -> Play:
    """One machine, and these workflows submitted as x1, x2, …"""
    play = played(
        *definitions[0]["steps"], **{k: v for k, v in definitions[0].items() if k not in {"name", "steps"}}
    )
    for number, definition in enumerate(definitions[1:], 2):
        play.submit(definition, f"x{number}")
    return play


def started(play: Play) -> list[str]:
    """The executions that had their turn, in order."""
    return [event.execution for event in play.events("execution.started")]


@pytest.mark.usefixtures("sound")
def test_one_at_a_time_in_the_order_of_acceptance():
    """Others wait, are told how many come first, and begin when that has ended."""
    play = begun(*[shared()] * 3)
    assert started(play) == ["x1"]
    deferred = [(e.execution, e.data.ahead, e.data.by) for e in play.events("execution.deferred")]
    assert deferred == [("x2", 1, ["x1"]), ("x3", 2, ["x1", "x2"])]
    go(play)
    assert started(play) == ["x1", "x2", "x3"]
    assert [outcome(play, f"x{n}") for n in (1, 2, 3)] == ["succeeded"] * 3


@pytest.mark.usefixtures("sound")
def test_as_many_as_the_limit_at_once():
    """With a limit of two the third waits."""
    play = begun(*[shared(limit=2)] * 3)
    assert started(play) == ["x1", "x2"]
    assert started(go(play)) == ["x1", "x2", "x3"]


@pytest.mark.usefixtures("sound")
def test_the_key_is_made_of_inputs_and_shared_by_workflows():
    """Where no key is written it is the workflow's name, and another workflow may claim that."""
    claim = {"key": "${{ inputs.n }}"}
    play = Play()
    play.connect("m1", slots=9)
    definition = {"name": "w", "inputs": {"n": {}}, "steps": [step("a")], "concurrency": claim}
    play.submit(definition, "x1", n=1)
    play.submit(definition, "x2", n=2)
    play.submit({"name": "v", "steps": [step("a")], "concurrency": {}}, "x3")
    play.submit({"name": "w", "steps": [step("a")], "concurrency": {"key": "v"}}, "x4")
    keys = [event.data.concurrency.key for event in play.events("execution.queued")]
    assert keys == ["1", "2", "v", "v"]
    assert started(play) == ["x1", "x2", "x3"]


@pytest.mark.usefixtures("sound")
def test_the_oldest_are_cancelled_for_one_more():
    """Also the one that still waited; the newest begins when nothing of them runs any more."""
    play = begun(*[shared("cancel_running")] * 3)
    endings = [(e.execution, e.data.replaced_by) for e in play.events("execution.ending")]
    assert endings == [("x1", "x2"), ("x2", "x3")]
    assert outcome(play, "x2") == "cancelled"
    assert started(play) == ["x1"]
    play.obey()
    play.round()
    assert started(play) == ["x1", "x3"]
    go(play)
    assert [outcome(play, f"x{n}") for n in (1, 3)] == ["cancelled", "succeeded"]
    [cancelled] = [e for e in play.events("execution.cancelled") if e.execution == "x1"]
    assert cancelled.data.reason == "replaced by x2"


@pytest.mark.usefixtures("sound")
def test_only_as_many_are_cancelled_as_there_has_to_be_room_for():
    """With a limit of two the oldest of two goes."""
    play = begun(*[shared("cancel_running", limit=2)] * 3)
    assert [e.execution for e in play.events("execution.ending")] == ["x1"]


@pytest.mark.usefixtures("sound")
def test_one_more_is_refused():
    """The refusal names the key and who has it; when that has ended, the key is free."""
    play = begun(shared("reject"), shared("reject"))
    [refused] = play.events("command.refused")
    assert refused.data.error.code == "concurrency_limit"
    assert "the key k admits 1 at once, and is taken by x1" in refused.data.error.message
    go(play)
    play.submit(shared("reject"), "x3")
    assert started(play) == ["x1", "x3"]


@pytest.mark.usefixtures("sound")
def test_one_that_waits_is_cancelled_at_once_and_nothing_of_it_is_run():
    """Not even what always is, or what is run at the end; who waited behind it goes on."""
    always = shared() | {
        "steps": [step("a"), step("b", always=True)],
        "on_finish": [step("tidy")],
    }
    play = begun(shared(), always, shared())
    play.cancel("x2")
    assert outcome(play, "x2") == "cancelled"
    assert not any(event.execution == "x2" for event in play.events("step.scheduled"))
    assert started(go(play)) == ["x1", "x3"]


@pytest.mark.usefixtures("sound")
def test_a_child_runs_under_its_parent_where_they_share_a_key():
    """Waiting for its parent it would wait for ever."""
    inner = {"name": "inner", "steps": [step("a")], "concurrency": {"key": "k"}}
    definition = shared() | {"steps": [{"id": "call", "workflow": "inner"}], "workflows": {"inner": inner}}
    play = begun(definition, shared())
    [child] = [e for e in play.events("execution.queued") if e.data.parent is not None]
    assert child.data.concurrency is None
    go(play)
    assert [outcome(play, f"x{n}") for n in (1, 2)] == ["succeeded"] * 2


@pytest.mark.usefixtures("sound")
def test_children_wait_for_each_other_and_one_that_is_refused_fails_its_step():
    """Two members of a loop call a workflow that is run once at a time."""
    for on_conflict, expected in (("queue", "succeeded"), ("reject", "failed")):
        inner = {"name": "inner", "steps": [step("a")], "concurrency": {"on_conflict": on_conflict}}
        loop = {"id": "each", "for_each": {"in": [1, 2], "steps": [{"id": "call", "workflow": "inner"}]}}
        play = played(loop, workflows={"inner": inner})
        assert len(started(play)) == 2
        go(play)
        assert outcome(play) == expected
        if expected == "failed":
            assert play.events("execution.failed")[-1].data.error.code == "concurrency_limit"


def test_a_key_that_cannot_be_worked_out_refuses_the_submit():
    """It is empty, or too long."""
    play = Play()
    play.submit(
        {"name": "w", "inputs": {"n": {}}, "steps": [step("a")], "concurrency": {"key": "${{ inputs.n }}"}},
        n="",
    )
    play.submit(
        {"name": "w", "inputs": {"n": {}}, "steps": [step("a")], "concurrency": {"key": "${{ inputs.n }}"}},
        n="x" * 300,
    )
    assert [e.data.error.code for e in play.events("command.refused")] == ["invalid_argument"] * 2


@pytest.mark.parametrize("on_conflict", ["queue", "cancel_running"])
def test_a_recording_of_one_replays_without_the_others(on_conflict: str):
    """What depended on those that it does not hold is taken from it."""
    play = begun(*[shared(on_conflict)] * 4)
    for _ in range(3):
        play.obey()
        go(play)
    for number in range(1, 5):
        found = record(play.log, f"x{number}")
        assert {r.event.execution for r in found if r.event.kind == "execution.queued"} == {f"x{number}"}
        assert replay(found).differences == [], number


def test_what_if_says_for_whom_it_does_not_wait():
    """Of a record of one nobody knows when the others would have ended under other rules."""
    play = begun(*[shared()] * 2)
    go(play)
    found = rehearse(record(play.log, "x2"), Changes())
    assert any("others that came first under a key" in each.text for each in found.assumed)
    whole = rehearse(play.log, Changes())
    assert not any("under a key" in each.text for each in whole.assumed)
    assert [execution.deviations for execution in whole.executions if execution.deviations] == []


def test_a_leader_may_die_behind_any_event():
    """Whoever waited has its turn under the next, and the limit holds."""
    for on_conflict in ("queue", "cancel_running"):
        play = begun(*[shared(on_conflict)] * 3)
        go(play)
        play.obey()
        go(play)
        accepted = max(event.sequence for event in play.log if event.event.kind == "execution.queued")
        for cut in range(accepted, len(play.log) + 1):
            successor = succeed(play.log[:cut])
            successor.round()
            assert successor.round().events == []
            finish(successor)
            assert not successor.state.executions
            assert at_once(successor.log) == {"k": 1}
            assert replay(successor.log).differences == []


def at_once(log: list[Recorded]) -> dict[str, int]:
    """How many executions with each key were under way at once, at most."""
    keys: dict[str, str] = {}
    running: dict[str, set[str]] = {}
    most: dict[str, int] = {}
    for recorded in log:
        event = recorded.event
        if isinstance(event.data, c.ExecutionQueued) and event.data.concurrency is not None:
            keys[event.execution] = event.data.concurrency.key
        key = keys.get(event.execution)
        if key is None:
            continue
        if event.kind == "execution.started":
            running.setdefault(key, set()).add(event.execution)
            most[key] = max(most.get(key, 0), len(running[key]))
        elif event.kind in {"execution.succeeded", "execution.failed", "execution.cancelled"}:
            running.get(key, set()).discard(event.execution)
    return most


@st.composite
def claiming(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some workflows that claim a few keys with one limit, and their children too."""
    found = draw(st.lists(workflows(8), min_size=2, max_size=5))
    for definition in found:
        for each in (definition, *definition.get("workflows", {}).values()):
            each["concurrency"] = {
                "key": draw(st.sampled_from("kl")),
                "limit": 2,
                "on_conflict": draw(st.sampled_from(["queue", "queue", "cancel_running", "reject"])),
            }
    return found


@pytest.mark.slow
@often
@given(claiming(), st.integers(0, 2**32), st.integers(1, 3))
def test_never_more_than_the_limit_and_everybody_ends(
    definitions: list[dict[str, Any]], seed: int, leaders: int
) -> None:
    """Whatever fails and wherever leaders die; and it can all be decided again."""
    play = perform(definitions, seed, leaders=leaders)
    assert all(count <= 2 for count in at_once(play.log).values())
    accepted = {event.execution for event in play.events("execution.queued")}
    assert not play.state.executions
    assert not play.state.turns.keys()
    ends = ("execution.succeeded", "execution.failed", "execution.cancelled")
    assert sorted(e.execution for kind in ends for e in play.events(kind)) == sorted(accepted)
    assert replay(play.log).differences == []
    assert picture(fold(play.log, play.policy)) == picture(play.state)
