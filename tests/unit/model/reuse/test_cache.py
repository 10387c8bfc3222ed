"""The result cache: what a step gave is given again, within its age and size, whoever leads."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from muster.model.engine.round import Round
from muster.model.log import catalogue as c
from muster.model.log.commands import Submit
from muster.model.log.envelope import Recorded
from muster.model.plan.artifacts import Artifact
from muster.model.policy import Policy
from muster.model.proof.recording import record
from muster.model.proof.redaction import redact
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import rehearse
from muster.model.proof.replay import replay
from tests.fixtures.controlled import CHILD, ends, go, outcome, outputs, played, sound, step
from tests.fixtures.hazards import elect, succeed
from tests.fixtures.play import Play, fold

__all__ = ["sound"]
pytestmark = pytest.mark.usefixtures("sound")


def begun(play: Play, execution: str) -> list[str]:
    """The steps that were given to a machine."""
    return [event.step or "" for event in play.events("step.scheduled") if event.execution == execution]


def again(play: Play, *steps: dict[str, Any], execution: str = "x2", name: str = "w", **fields: Any) -> Play:
    """A workflow of these steps, of the same name where nothing else is said, to its end."""
    play.commands += 1
    given = fields.pop("given", {})
    no_cache = fields.pop("no_cache", False)
    workflow = {"name": name, "steps": list(steps), **fields}
    command = Submit(
        id=f"command-{play.commands}", execution=execution, workflow=workflow, inputs=given, no_cache=no_cache
    )
    play.round(command)
    return go(play)


def cached(id_: str = "a", **cache: Any) -> dict[str, Any]:
    """A step whose result is cached."""
    return step(id_, cache=cache)


def test_what_a_step_gave_is_given_again():
    """It starts nothing, and says where, when and by which attempt it was made, and under which key."""
    play = again(go(played(cached())), cached())
    assert begun(play, "x2") == []
    assert ends(play, "x2") == {"a": "succeeded cached"}
    first, second = play.events("step.succeeded")
    assert (first.data.outputs, second.data.outputs) == ({"n": "a"}, {"n": "a"})
    assert first.data.cache_key == second.data.cache_key != ""
    source = second.data.source
    assert (source.execution, source.step, source.attempt, source.at) == ("x1", "a", 1, first.time)
    assert second.attempt is None


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "busybox:2"},
        {"command": ["false"]},
        {"environment": {"A": "1"}},
        {"inputs": {"x": 1}},
        {"user": "1000"},
        {"function": "f"},
        {"function": "f", "params": {"x": 1}},
        {"outputs": {"n": {}, "m": {"required": False}}},
        {"id": "other"},
    ],
)
def test_whatever_decides_what_is_run_is_part_of_the_key(changed: dict[str, Any]):
    """A step that would run something else is run."""
    play = again(go(played(cached())), {**cached(), **changed})
    assert len(begun(play, "x2")) == 1


def test_what_does_not_decide_what_is_run_is_not_part_of_the_key():
    """Timeouts, resources, retries and what is said about it may be others."""
    aside = {
        "timeouts": {"run": "5m"},
        "resources": {"slots": 2},
        "retry": {"max_attempts": 2},
        "description": "x",
    }
    play = again(go(played(cached())), {**cached(), **aside})
    assert begun(play, "x2") == []


def test_what_a_function_is_loaded_with_is_part_of_the_key():
    """Other params are another key; who shares the container is not part of it."""
    called = {**cached(), "function": "f", "params": {"x": 1}}
    play = again(go(played(called)), {**called, "params": {"x": 2}})
    again(play, {**called, "isolation": "call"}, execution="x3")
    assert len(begun(play, "x2")) == 1
    assert begun(play, "x3") == []


def test_the_key_has_values_and_not_expressions():
    """Other inputs are another key; the same value by another expression is the same."""
    first = {**cached(), "inputs": {"x": "${{ inputs.n }}"}}
    declared: dict[str, Any] = {"inputs": {"n": {}}}
    play = go(played(first, given={"n": 1}, **declared))
    again(play, first, given={"n": 2}, **declared)
    again(play, {**first, "inputs": {"x": "${{ inputs.n - 1 }}"}}, given={"n": 2}, execution="x3", **declared)
    assert begun(play, "x2") == ["a"]
    assert begun(play, "x3") == []


def test_a_key_that_is_written_replaces_what_is_run():
    """What the container runs may then differ; what the key says may not."""
    keyed = {**cached(key=["v1", "${{ inputs.n }}"]), "environment": {"WHEN": "${{ execution.id }}"}}
    declared: dict[str, Any] = {"inputs": {"n": {}}}
    play = go(played(keyed, given={"n": 1}, **declared))
    again(play, keyed, given={"n": 1}, **declared)
    again(play, keyed, given={"n": 2}, execution="x3", **declared)
    assert (begun(play, "x2"), begun(play, "x3")) == ([], ["a"])


def test_another_workflow_shares_only_what_is_global():
    """The name of the workflow and the place of the step count, unless the scope is global."""
    play = go(played(cached(), cached("b", key="k", scope="global")))
    again(play, cached(), cached("c", key="k", scope="global"), name="another")
    assert begun(play, "x2") == ["a"]
    assert outputs(play, "c", "x2") == {"n": "b"}


def test_what_is_too_old_is_made_anew():
    """Age is counted between the two times in the log; what is made anew is then kept."""
    play = go(played(cached(max_age="1h")))
    play.later(3600)
    again(play, cached(max_age="1h"), execution="x2")
    play.later(1)
    again(play, cached(max_age="1h"), execution="x3")
    again(play, cached(max_age="1h"), execution="x4")
    assert [begun(play, name) for name in ("x2", "x3", "x4")] == [[], ["a"], []]
    assert play.events("step.succeeded")[-1].data.source.execution == "x3"


def test_only_success_is_kept():
    """A step that failed, or asked to be skipped, is run again."""
    play = go(played(cached()), failing=("a",))
    again(play, cached())
    assert begun(play, "x2") == ["a"]


def test_two_of_one_key_at_once_are_both_run():
    """Nobody waits for the other; what comes after them finds what they gave."""
    same = {"cache": {"key": "k", "scope": "global"}}
    play = go(played(step("a", **same), step("b", **same), step("c", needs=["a", "b"], **same)))
    assert begun(play, "x1") == ["a", "b"]


def test_what_is_kept_while_a_step_waits_for_room_is_not_seen():
    """A step looks into the cache as it was when it was ready: with one slot, so that the second has to wait."""
    play = Play()
    play.connect("m1", slots=1)
    same = {"cache": {"key": "k", "scope": "global"}}
    play.submit({"name": "w", "steps": [step("a", **same), step("b", **same)]})
    go(play)
    assert begun(play, "x1") == ["a", "b"]
    assert replay(play.log).differences == []


def test_members_of_a_loop_share_what_is_the_same():
    """Their place in the definition counts, and not their number."""
    work = step("work", inputs={"x": "${{ item }}"}, cache={})
    loop = {"id": "each", "for_each": {"in": ["a", "b", "a"], "max_parallel": 1, "steps": [work]}}
    play = go(played(loop))
    assert begun(play, "x1") == ["each/0/work", "each/1/work"]
    assert outputs(play, "each/2/work") == {"n": "each/0/work"}


def test_a_workflow_step_is_cached_too():
    """By the definition that it runs and its inputs: no child is begun."""
    call = {"id": "call", "workflow": "inner", "inputs": {"x": "${{ inputs.n }}"}, "cache": {}}
    fields: dict[str, Any] = {"workflows": {"inner": CHILD}, "inputs": {"n": {}}}
    play = go(played(call, given={"n": 1}, **fields))
    again(play, call, given={"n": 1}, **fields)
    again(play, call, given={"n": 2}, execution="x3", **fields)
    parents = [e.data.parent.execution for e in play.events("execution.queued") if e.data.parent]
    assert parents == ["x1", "x3"]
    assert outputs(play, "call", "x2") == {"y": 1}


def test_nothing_is_taken_where_that_was_asked():
    """Steps are run, also in children, and what they give is kept for others."""
    inner = {**CHILD, "steps": [cached()]}
    call = {"id": "call", "workflow": "inner", "inputs": {"x": 1}}
    play = go(played(cached(), call, workflows={"inner": inner}))
    again(play, cached(), call, workflows={"inner": inner}, no_cache=True)
    again(play, cached(), call, workflows={"inner": inner}, execution="x3")
    assert len(play.events("step.scheduled")) == 4
    assert play.events("step.succeeded")[-1].data.reason in {"", "cached"}
    assert {
        e.data.source.execution.partition("-")[0] for e in play.events("step.succeeded") if e.data.source
    } == {"x2"}


def test_a_rerun_may_look_into_the_cache_or_not():
    """As a whole it is answered by the cache, unless that is refused."""
    play = go(played(cached()))
    play.rerun()
    go(play)
    play.rerun(execution="x3", no_cache=True)
    go(play)
    assert (begun(play, "x2"), begun(play, "x3")) == ([], ["a"])


def test_what_was_cached_is_taken_over_with_its_source():
    """A rerun of what failed takes over what came from the cache, from where it was really made."""
    play = go(played(cached("b", key="k", scope="global")))
    again(play, cached("a", key="k", scope="global"), step("bad"))
    play.rerun("x2", "x3", from_step="bad")
    go(play)
    (last,) = (e for e in play.events("step.succeeded") if (e.execution, e.step) == ("x3", "a"))
    assert (last.data.reason, last.data.source.execution, last.data.source.step) == ("reused", "x1", "b")


def test_what_is_erased_is_not_given_again():
    """The promise of an erasure: nothing of the execution is left, also not in the cache."""
    play = go(played(cached()))
    round_ = Round(play.state, play.now)
    round_.write(c.ExecutionCleared(events=1), "command-9", execution="x1", event_id="x1:cleared")
    play.settle(round_)
    again(play, cached())
    assert begun(play, "x2") == ["a"]


def test_what_speaks_of_an_erased_file_is_not_given_again():
    """Also where it was made in another execution, which was handed the file."""
    play = played(cached())
    content = Artifact(address="sha256:" + "0" * 64, size=1, execution="x0").value()
    (ref,) = play.refs()
    play.begin(ref)
    play.finish(ref, n=content)
    play.round()
    round_ = Round(play.state, play.now)
    round_.write(c.ExecutionCleared(events=1), "command-9", execution="x0", event_id="x0:cleared")
    play.settle(round_)
    again(play, cached())
    assert begun(play, "x2") == ["a"]


def test_a_file_is_the_same_by_its_content():
    """Not by where it lies, nor by what made it."""
    keyed = cached(key="${{ inputs.file }}")
    first, other = (
        Artifact(address="sha256:" + "0" * 64, size=1, execution=name, name=name).value()
        for name in ("y1", "y2")
    )
    declared: dict[str, Any] = {"inputs": {"file": {}}}
    play = go(played(keyed, given={"file": first}, **declared))
    again(play, keyed, given={"file": other}, **declared)
    again(
        play, keyed, given={"file": other | {"$artifact": "sha256:" + "1" * 64}}, execution="x3", **declared
    )
    assert (begun(play, "x2"), begun(play, "x3")) == ([], ["a"])


def test_what_was_not_used_for_longest_is_let_go():
    """By number, and by size; what is found counts as used."""
    play = Play(Policy(cache_kept=2))
    elect(play, "s1")
    play.connect("m1", slots=9)
    for number, key in enumerate(["a", "b", "a", "c", "a", "b"]):
        again(play, cached(key=key), execution=f"x{number}")
    assert [len(begun(play, f"x{number}")) for number in range(6)] == [1, 1, 0, 1, 0, 1]
    play = Play(Policy(cache_bytes=10))
    elect(play, "s1")
    play.connect("m1", slots=9)
    again(play, cached("long-name"), execution="x1")
    again(play, cached("long-name"), execution="x2")
    assert begun(play, "x2") == ["long-name"]
    assert play.state.cache.bytes == 0


def test_a_new_leader_knows_what_the_old_one_knew():
    """The cache is a fold of the log: at any cut it is the same, and so is the end."""
    play = go(played(cached()))
    first = len(play.log)
    again(play, cached(), step("b", needs=["a"]))
    assert vars(fold(play.log, play.policy).cache).keys() == vars(play.state.cache).keys()
    assert fold(play.log, play.policy).cache.entries == play.state.cache.entries
    for cut in range(first + 1, len(play.log) + 1):
        successor = succeed(play.log[:cut])
        go(successor)
        if any(e.event.execution == "x2" for e in play.log[:cut]):
            assert ends(successor, "x2") == {"a": "succeeded cached", "b": "succeeded"}, cut


def test_a_copy_does_not_change_with_the_original():
    """What tries out a decision has a cache of its own."""
    play = go(played(cached()))
    copy = deepcopy(play.state.cache)
    again(play, cached("b"))
    assert (len(copy.entries), len(play.state.cache.entries)) == (1, 2)


def test_a_key_that_cannot_be_worked_out_fails_the_step():
    """As any expression of a step."""
    keyed = cached(key="${{ inputs.list[5] }}")
    play = go(played(keyed, inputs={"list": {"default": [1]}}))
    assert outcome(play) == "failed"
    assert "cache.key" in play.events("step.failed")[0].data.error.message


def test_a_recording_has_what_was_found():
    """The recording of one execution replays, with the success in another one that it was given; redacted as well."""
    play = go(played(cached(), inputs={"n": {"default": "secret"}}))
    again(play, cached(), step("b", needs=["a"]), inputs={"n": {"default": "secret"}})
    records = record(play.log, "x2")
    assert {r.event.kind for r in records if r.event.execution == "x1"} >= {"step.succeeded"}
    assert "execution.queued" not in {r.event.kind for r in records if r.event.execution == "x1"}
    assert replay(records).differences == []
    made = redact(play.log, b"key").records
    assert replay(made).differences == []
    assert not _keys(made) & _keys(play.log), "whoever can guess the values could tell by the key"


def _keys(records: list[Recorded]) -> set[str]:
    return {r.event.data.cache_key for r in records if isinstance(r.event.data, c.StepSucceeded)} - {""}


def test_a_redacted_recording_says_that_what_was_found_is_missing():
    """Its key is of values that are not known any more: then there is a remark, and no guessable key."""
    secret = {**cached(), "inputs": {"x": "secret"}}
    play = again(go(played(secret)), secret)
    made = redact(record(play.log, "x2"), b"key")
    assert [remark.then for remark in made.remarks] == ["step.succeeded"]
    assert not _keys(made.records) & _keys(play.log)


def test_what_if_looks_into_the_cache_as_well():
    """Played again unchanged, the whole log and the recording of one execution come out as they are."""
    play = go(played(cached()))
    play.later(60)
    again(play, cached(), step("b", needs=["a"]))
    for records in (play.log, record(play.log, "x2")):
        found = rehearse(records, Changes())
        assert [execution.deviations for execution in found.executions if execution.deviations] == []


def test_a_recording_holds_no_more_than_the_cache_does():
    """What the scheduler had let go is not looked for; what it had not is there."""
    play = Play(Policy(cache_bytes=12))
    elect(play, "s1")
    play.connect("m1", slots=9)
    again(play, cached("a"), execution="x1")
    again(play, cached("much-longer-than-that"), execution="x2")
    again(play, cached("b"), execution="x3")
    again(play, cached("b"), execution="x4")
    records = record(play.log, "x4")
    assert [r.event.execution for r in records if r.event.kind == "step.succeeded"] == ["x3", "x4"]
    assert replay(records).differences == []
