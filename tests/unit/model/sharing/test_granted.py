"""What an execution is accepted with: labels, tags, priority, timeout, and an id that is made of a key."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.engine.admission import digest
from muster.model.errors import InvalidArgumentError
from muster.model.log import catalogue as c
from muster.model.log.commands import Submit
from muster.model.log.names import check_execution
from muster.model.policy import Policy
from muster.model.proof.replay import replay
from muster.model.sharing.granted import keyed
from tests.fixtures.controlled import ends, go, outcome, played, sound, step
from tests.fixtures.hazards import elect, finish, succeed
from tests.fixtures.play import Play, workflow

__all__ = ["sound"]


def submitted(definition: dict[str, Any], policy: Policy | None = None, **wishes: Any) -> Play:
    """One machine with one slot, and this submitted."""
    play = Play(policy)
    elect(play, "s1")
    play.connect("m1", slots=1)
    play.round(Submit(id="command-1", execution="x1", workflow=definition, **wishes))
    return play


def queued(play: Play) -> c.ExecutionQueued:
    """What was accepted first."""
    data = play.events("execution.queued")[0].data
    assert isinstance(data, c.ExecutionQueued)
    return data


def test_what_the_submit_says_goes_before_the_workflow():
    """Priority and timeout replace, labels, metadata and tags come on top."""
    definition = workflow(
        {"id": "a"}, labels={"a": "1", "b": "1"}, metadata={"m": 1}, tags=["t"], priority=5, timeout="1h"
    )
    plain = queued(submitted(definition))
    assert (plain.labels, plain.metadata, plain.tags, plain.priority, plain.timeout_s) == (
        {"a": "1", "b": "1"},
        {"m": 1},
        ["t"],
        5,
        3600.0,
    )
    wishes: dict[str, Any] = {
        "labels": {"b": "2"},
        "metadata": {"n": 2},
        "tags": ["s"],
        "priority": -5,
        "timeout": 7,
    }
    found = queued(submitted(definition, **wishes))
    assert (found.labels, found.metadata, found.tags, found.priority, found.timeout_s) == (
        {"a": "1", "b": "2"},
        {"m": 1, "n": 2},
        ["s", "t"],
        -5,
        7.0,
    )


@pytest.mark.parametrize(
    "wishes", [{"priority": 101}, {"timeout": "soon"}, {"timeout": 0}, {"tags": [""]}, {"tags": ["x" * 101]}]
)
def test_a_wish_that_cannot_be_fulfilled_refuses_the_submit(wishes: dict[str, Any]):
    """Clients check it too; the scheduler asks nobody."""
    [refused] = submitted(workflow({"id": "a"}), **wishes).events("command.refused")
    assert refused.data.error.code == "invalid_argument"


def test_the_digest_is_what_it_was_where_nothing_more_is_said():
    """Submits of an older client, and executions that it submitted, are recognised."""
    plain = Submit(id="1", execution="x1", workflow={"name": "w"}, labels={"a": "b"})
    assert digest(plain) == "a82ff255e55701763198470ac4883ef4"
    assert digest(plain) != digest(
        Submit(id="1", execution="x1", workflow={"name": "w"}, labels={"a": "b"}, tags=["t"])
    )


def test_a_key_gives_one_id_and_it_can_be_one():
    """Of another workflow or key it is another."""
    assert keyed("w", "k") == keyed("w", "k") == check_execution(keyed("w", "k"))
    assert len({keyed("w", "k"), keyed("wk", "x"), keyed("w", "l"), keyed("v", "k")}) == 4
    for wrong in ("", "x" * 201):
        with pytest.raises(InvalidArgumentError):
            keyed("w", wrong)


# ---- tags


def test_what_is_not_held_is_refused_before_anything_starts():
    """Every step is named with what it lacks: in branches, handlers and child executions too."""
    inner = {"name": "inner", "tags": ["c"], "steps": [step("deep", tags=["c", "d"])]}
    definition = {
        "name": "w",
        "tags": ["a"],
        "steps": [
            step("held", tags=["a"]),
            {"id": "if", "if": False, "then": [step("never", tags=["a", "b"])]},
            {"id": "call", "workflow": "inner"},
        ],
        "on_finish": [step("tidy", tags=["e"])],
        "workflows": {"inner": inner},
    }
    play = submitted(definition)
    [refused] = play.events("command.refused")
    assert refused.data.error.code == "forbidden_function"
    for text in ("never requires b", "inner/deep requires d", "tidy requires e"):
        assert text in refused.data.error.message
    assert "held" not in refused.data.error.message.replace("not hold", "")
    assert "--tag b --tag d --tag e" in refused.data.error.remedy
    assert queued(submitted(definition, tags=["b", "d", "e"])).tags == ["a", "b", "d", "e"]


def test_a_child_holds_what_its_parent_holds():
    """And what its own workflow says."""
    inner = {"name": "inner", "tags": ["own"], "steps": [step("a", tags=["given", "own"])]}
    play = submitted(
        {"name": "w", "steps": [{"id": "call", "workflow": "inner"}], "workflows": {"inner": inner}},
        tags=["given"],
    )
    go(play)
    assert [event.data.tags for event in play.events("execution.queued")] == [["given"], ["given", "own"]]
    assert outcome(play) == "succeeded"


# ---- priority


def test_the_higher_priority_is_placed_first_and_equal_ones_as_they_came():
    """With one slot there is an order; a step's own priority comes on top of its execution's."""
    play = Play()
    elect(play, "s1")
    play.submit(workflow({"id": "a"}, {"id": "b", "priority": 20}), "x1")
    play.submit(workflow({"id": "c"}, {"id": "d"}, priority=10), "x2")
    play.submit(workflow({"id": "e"}, priority=-1), "x3")
    play.connect("m1", slots=1)
    play.round()
    play.run_all()
    assert [event.step for event in play.events("step.scheduled")] == ["b", "c", "d", "a", "e"]
    assert replay(play.log).differences == []


def test_a_higher_priority_has_its_turn_first():
    """Under a key of concurrency."""
    play = Play()
    elect(play, "s1")
    play.connect("m1")
    for number, priority in enumerate((0, 0, 5, 5), 1):
        play.submit(workflow({"id": "a"}, priority=priority, concurrency={}), f"x{number}")
    play.run_all()
    assert [event.execution for event in play.events("execution.started")] == ["x1", "x3", "x4", "x2"]
    assert replay(play.log).differences == []


def test_an_older_step_of_lower_priority_still_fails_in_time():
    """It waits for a machine that never comes, and others with more priority came later."""
    play = Play()
    elect(play, "s1")
    play.submit(workflow({"id": "a", "machine": "m9"}), "x1")
    play.later(20)
    play.submit(workflow({"id": "a", "machine": "m9"}, priority=50), "x2")
    play.until_due()
    assert outcome(play, "x1") == "failed"
    assert outcome(play, "x2") != "failed"


def test_a_child_has_the_priority_of_the_step_that_runs_it():
    """And its own workflow's on top."""
    inner = {"name": "inner", "priority": 3, "steps": [step("a")]}
    call = {"id": "call", "workflow": "inner", "priority": 20}
    play = submitted({"name": "w", "priority": 100, "steps": [call], "workflows": {"inner": inner}})
    assert [event.data.priority for event in play.events("execution.queued")] == [100, 123]


# ---- timeout


def overdue(play: Play) -> None:
    """Its time is over."""
    execution = play.state.executions["x1"]
    assert execution.overdue_at is not None
    play.later((execution.overdue_at - play.now).total_seconds())


@pytest.mark.usefixtures("sound")
def test_what_runs_is_stopped_when_the_time_is_over_and_handlers_run():
    """What had not begun is skipped, what waited is cancelled."""
    definition = {
        "name": "w",
        "timeout": "10s",
        "steps": [step("a"), step("b", needs=["a"]), {"id": "nap", "sleep": "1h"}],
        "on_finish": [step("tidy")],
    }
    play = submitted(definition)
    play.begin(play.refs()[0])
    overdue(play)
    assert play.stops
    assert play.state.executions["x1"].ending == "failed"
    play.obey()
    go(play)
    assert ends(play) == {
        "a": "cancelled longer than its timeout of 10 s",
        "b": "skipped ending",
        "nap": "cancelled longer than its timeout of 10 s",
        "on_finish/tidy": "succeeded",
    }
    [failed] = play.events("execution.failed")
    assert failed.data.error.code == "execution_overdue"


@pytest.mark.usefixtures("sound")
def test_the_time_counts_from_the_start_and_a_child_has_its_own():
    """One that waits for its turn is not late; one that is cancelled with its parent ends."""
    inner = {"name": "inner", "timeout": "1h", "steps": [step("a")]}
    definition = {
        "name": "w",
        "timeout": "10s",
        "concurrency": {},
        "steps": [{"id": "call", "workflow": "inner"}],
        "workflows": {"inner": inner},
    }
    play = submitted(definition)
    play.submit(definition, "x2")
    play.later(9)
    overdue(play)
    play.obey()
    play.round()
    assert outcome(play, "x1") == "failed"
    assert [e.execution for e in play.events("execution.started")][-2:-1] == ["x2"]
    go(play)
    assert outcome(play, "x2") == "succeeded"


@pytest.mark.usefixtures("sound")
def test_an_end_that_was_decided_stays_and_what_runs_is_stopped():
    """A step has failed, and its sibling is let end, until the time is over."""
    play = played(step("a"), step("b"), timeout="10s")
    for ref in play.refs():
        play.begin(ref)
    play.fail(next(ref for ref in play.refs() if ref.step == "a"))
    play.round()
    assert not play.stops
    overdue(play)
    assert [ref.step for ref in play.stops] == ["b"]
    play.obey()
    play.round()
    [failed] = play.events("execution.failed")
    assert failed.data.error.code == "execution"


def test_a_leader_may_die_behind_any_event_of_one_that_is_late():
    """The next one keeps the time."""
    play = submitted({"name": "w", "timeout": "10s", "steps": [step("a")], "on_finish": [step("tidy")]})
    play.begin(play.refs()[0])
    overdue(play)
    play.obey()
    go(play)
    for cut in range(3, len(play.log) + 1):
        successor = succeed(play.log[:cut])
        successor.round()
        assert successor.round().events == []
        for _ in range(2):
            if "x1" in successor.state.executions:
                successor.later(10)
                successor.obey()
        finish(successor)
        assert outcome(successor) == "failed", cut
        assert replay(successor.log).differences == []


def test_what_the_operator_lays_down_for_a_function_is_required():
    """By patterns of its name; each that fits adds its tags. Containers that call none are not meant."""
    policy = Policy(function_tags={"app:*": ["a"], "*:secret": ["b"], "*": ["c"]})
    steps = [
        {"id": "open", "image": "x:1", "function": "app:open"},
        {"id": "secret", "image": "x:1", "function": "app:secret"},
        {"id": "plain", "image": "x:1"},
    ]
    [refused] = submitted({"name": "w", "steps": steps}, policy).events("command.refused")
    assert refused.data.error.details["steps"] == {"open": ["a", "c"], "secret": ["a", "b", "c"]}
    held = queued(submitted({"name": "w", "steps": steps, "tags": ["a", "b", "c"]}, policy)).tags
    assert held == ["a", "b", "c"]
