"""Steps that share a key, in one execution or in several: who begins, who waits, who fails for another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.definition.validation import validate
from muster.model.log.envelope import Recorded
from muster.model.proof.recording import record
from muster.model.proof.redaction import redact
from muster.model.proof.replay import replay
from tests.fixtures.constructs import workflows
from tests.fixtures.controlled import ends, go, outcome, played, sound, step
from tests.fixtures.hazards import OUTCOMES, finish, perform, succeed
from tests.fixtures.pictures import picture
from tests.fixtures.play import Play, fold

__all__ = ["sound"]


def claims(id_: str, on_conflict: str = "queue", **fields: Any) -> dict[str, Any]:
    """A container that claims the key k."""
    return step(id_, concurrency={"key": "k", "on_conflict": on_conflict}, **fields)


def several(*definitions: list[dict[str, Any]], **fields: Any) -> Play:
    """These lists of steps, submitted as x1, x2, …"""
    play = played(*definitions[0], **fields)
    for number, steps in enumerate(definitions[1:], 2):
        play.submit({"name": "w", "steps": steps, **fields}, f"x{number}")
    return play


def admitted(play: Play) -> list[str]:
    """The steps that had their turn, in order."""
    return [f"{event.execution}/{event.step}" for event in play.events("step.admitted")]


@pytest.mark.usefixtures("sound")
def test_one_at_a_time_in_all_executions():
    """Others wait, are told who comes first, and begin when that has its outcome."""
    play = several([claims("a"), claims("b")], [claims("a")])
    assert [ref.step for ref in play.refs()] == ["a"]
    waits = [(e.execution, e.step, e.data.ahead, e.data.by, e.data.said) for e in play.events("step.waiting")]
    assert waits == [
        ("x1", "b", 1, ["x1/a"], "waits for 1 of the key k"),
        ("x2", "a", 2, ["x1/a", "x1/b"], "waits for 2 of the key k"),
    ]
    go(play)
    assert admitted(play) == ["x1/a", "x1/b", "x2/a"]
    assert (outcome(play, "x1"), outcome(play, "x2")) == ("succeeded", "succeeded")


@pytest.mark.usefixtures("sound")
def test_the_key_is_made_of_what_the_step_sees():
    """Items of a loop, and outputs of others, which are needed for it; by default it is the step itself."""
    keyed = step("a", concurrency={"key": "${{ steps.first.outputs.n }}-${{ item }}"})
    loop = {"id": "each", "for_each": {"in": [1, 2, 2], "steps": [keyed]}}
    play = go(played(step("first"), loop))
    assert [e.data.claim.key for e in play.events("step.admitted")] == ["first-1", "first-2", "first-2"]
    assert [e.step for e in play.events("step.waiting")] == ["each/2/a"]
    play = several([step("plain", concurrency={})], [step("plain", concurrency={})])
    assert [e.data.claim.key for e in play.events("step.admitted")] == ["w/plain"]


@pytest.mark.usefixtures("sound")
def test_it_is_held_through_retries_until_the_outcome():
    """Another has its turn only when the last attempt has failed."""
    retried = {"max_attempts": 2, "backoff": {"initial": "5s"}}
    play = several([claims("a", retry=retried)], [claims("a")])
    for _ in range(2):
        play.begin(play.refs()[0])
        play.fail(play.refs()[0])
        assert admitted(play) == ["x1/a"]
        play.round()
        play.later(10)
    assert admitted(play) == ["x1/a", "x2/a"]


@pytest.mark.usefixtures("sound")
def test_one_more_fails_where_it_would_not_wait():
    """The error names the key and who has it."""
    play = go(several([claims("a", "reject")], [claims("a", "reject")]))
    [failed] = play.events("step.failed")
    assert (failed.execution, failed.data.error.code) == ("x2", "concurrency_limit")
    assert "the key k admits 1 at once, and is taken by x1/a" in failed.data.error.message


@pytest.mark.usefixtures("sound")
def test_the_older_one_fails_for_the_newer_and_is_stopped():
    """What runs of it counts no more; one that waits for a person is ended too."""
    ask = {"id": "ask", "wait_for_input": {}, "concurrency": {"key": "k", "on_conflict": "cancel_running"}}
    play = several([claims("a", "cancel_running")], [ask], [claims("c", "cancel_running")])
    assert [ref.step for ref in play.stops] == ["a"]
    errors = {e.execution: e.data.error.message for e in play.events("step.failed")}
    assert errors == {
        "x1": "replaced by x2/ask, which claims the key k too",
        "x2": "replaced by x3/c, which claims the key k too",
    }
    play.obey()
    go(play)
    assert [outcome(play, f"x{n}") for n in (1, 2, 3)] == ["failed", "failed", "succeeded"]


@pytest.mark.usefixtures("sound")
def test_what_is_inside_a_step_that_holds_the_key_runs_under_it():
    """In its block, and in the child that it runs: waiting for it they would wait for ever."""
    inner = {"name": "inner", "steps": [claims("deep")]}
    block = {"id": "both", "chain": [claims("a"), {"id": "call", "workflow": "inner"}], "if": True}
    play = several([block | {"concurrency": {"key": "k"}}], [claims("other")], workflows={"inner": inner})
    go(play)
    assert admitted(play) == ["x1/both", "x2/other"]
    assert outcome(play, "x1") == "succeeded"


@pytest.mark.usefixtures("sound")
def test_one_that_waits_is_skipped_where_its_execution_ends():
    """As any that has not begun; the next has its turn."""
    play = several([claims("a")], [claims("b"), step("wrong")], [claims("c")])
    wrong = next(ref for ref in play.refs() if ref.step == "wrong")
    play.begin(wrong)
    play.fail(wrong)
    play.round()
    assert ends(play, "x2")["b"] == "skipped ending"
    go(play)
    assert admitted(play) == ["x1/a", "x3/c"]


@pytest.mark.usefixtures("sound")
def test_keys_of_steps_and_of_executions_never_meet():
    """An execution may hold the key that its step claims."""
    play = go(played(claims("a"), concurrency={"key": "k"}))
    assert outcome(play) == "succeeded"


def test_what_cannot_claim_a_key_is_refused():
    """A chain without a block of its own, and what cannot be ended for another."""
    chain = {"chain": [step("a")], "concurrency": {"key": "k"}}
    loop = {
        "id": "l",
        "for_each": {"in": [1], "steps": [step("a")]},
        "concurrency": {"on_conflict": "cancel_running"},
    }
    machine = step("m", concurrency={"key": "${{ machine.name }}"})
    for wrong, text in (
        (chain, "Add if: true"),
        (loop, "Write queue or reject"),
        (machine, "There is a machine in"),
    ):
        [problem] = validate({"name": "w", "steps": [wrong]})
        assert text in problem.remedy
    assert validate({"name": "w", "steps": [chain | {"if": True, "id": "c"}]}) == []


@pytest.mark.parametrize("on_conflict", ["queue", "cancel_running", "reject"])
def test_a_recording_of_one_replays_without_the_others(on_conflict: str):
    """What depended on those that it does not hold is taken from it."""
    play = several(*[[claims("a", on_conflict), step("b")]] * 4)
    for _ in range(4):
        play.obey()
        go(play)
    for number in range(1, 5):
        found = record(play.log, f"x{number}")
        assert {r.event.execution for r in found if r.event.kind == "execution.queued"} == {f"x{number}"}
        assert replay(found).differences == [], number


@pytest.mark.parametrize("on_conflict", ["queue", "cancel_running", "reject"])
def test_a_redacted_log_is_decided_as_the_log(on_conflict: str):
    """Keys have stand-ins; who stood in the way of whom is seen."""
    claim = {"key": "the vault", "on_conflict": on_conflict}
    play = several(*[[step("a", concurrency=claim)]] * 3, concurrency={"key": "all of it", "limit": 2})
    for _ in range(4):
        play.obey()
        go(play)
    found = redact(play.log, b"a key").records
    assert "the vault" not in str(found)
    assert "all of it" not in str(found)
    assert replay(found).differences == []


@pytest.mark.parametrize("key", ["${{ item }}", "of ${{ item }}"])
def test_lines_are_looked_at_in_an_order_that_their_keys_do_not_change(key: str):
    """Keys that are made of values have stand-ins, too, and all is decided as before."""
    found = redact(keyed(key, "queue").log, b"a key")
    assert found.remarks == []
    assert replay(found.records).differences == []


def keyed(key: str, on_conflict: str) -> Play:
    """Three executions whose loops claim a key for each item."""
    member = step("a", concurrency={"key": key, "on_conflict": on_conflict})
    loop = {
        "id": "each",
        "for_each": {"in": ["one", "two", "two"], "on_failure": "continue", "steps": [member]},
    }
    play = several(*[[claims("a", on_conflict), loop]] * 3, concurrency={"key": "all of it", "limit": 2})
    for _ in range(4):
        play.obey()
        go(play)
    return play


@pytest.mark.parametrize("on_conflict", ["queue", "cancel_running"])
def test_a_leader_may_die_behind_any_event(on_conflict: str):
    """Whoever waited has its turn under the next, and the limit holds."""
    play = several(*[[claims("a", on_conflict)]] * 3)
    for _ in range(3):
        play.obey()
        go(play)
    accepted = max(r.sequence for r in play.log if r.event.kind == "execution.queued")
    for cut in range(accepted, len(play.log) + 1):
        successor = succeed(play.log[:cut])
        successor.round()
        assert successor.round().events == []
        finish(successor)
        assert not successor.state.executions
        assert at_once(successor.log) == 1
        assert replay(successor.log).differences == []


def at_once(log: list[Recorded]) -> int:
    """How many steps held one key at once, at most."""
    held: dict[str, set[tuple[str, str]]] = {}
    keys: dict[tuple[str, str], str] = {}
    most = 0
    for recorded in log:
        event = recorded.event
        who = event.execution, event.step or ""
        if event.kind == "step.admitted":
            keys[who] = event.data.claim.key
            held.setdefault(keys[who], set()).add(who)
            most = max(most, len(held[keys[who]]))
        elif event.kind in OUTCOMES and who in keys:
            held[keys[who]].discard(who)
    return most


def _claim(steps: list[dict[str, Any]], draw: Any) -> None:
    for each in steps:
        for field in ("then", "else", "chain", "group", "parallel", "on_failure"):
            _claim(each.get(field) or [], draw)
        for loop in ("for_each", "map"):
            _claim((each.get(loop) or {}).get("steps", []), draw)
        if "image" in each and draw(st.booleans()):
            on_conflict = draw(st.sampled_from(["queue", "queue", "cancel_running", "reject"]))
            each["concurrency"] = {"key": draw(st.sampled_from("kl")), "limit": 2, "on_conflict": on_conflict}


@st.composite
def claiming(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some workflows whose containers claim a few keys with one limit, and those of their children too."""
    found = draw(st.lists(workflows(8), min_size=1, max_size=4))
    for definition in found:
        for each in (definition, *definition.get("workflows", {}).values()):
            _claim([*each["steps"], *each.get("on_finish", [])], draw)
    return found


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(claiming(), st.integers(0, 2**32), st.integers(1, 3))
def test_never_more_than_the_limit_and_everybody_ends(
    definitions: list[dict[str, Any]], seed: int, leaders: int
) -> None:
    """Whatever fails and wherever leaders die; and it can all be decided again."""
    play = perform(definitions, seed, leaders=leaders)
    assert at_once(play.log) <= 2
    assert not play.state.executions
    assert not play.state.step_turns.keys()
    assert replay(play.log).differences == []
    assert picture(fold(play.log, play.policy)) == picture(play.state)
