"""What would have become of a recorded history under other rules."""

from __future__ import annotations

import msgspec
import pytest

from muster.model.errors import FixtureInvalidError, InvalidArgumentError
from muster.model.log.body import AttemptRef
from muster.model.log.catalogue import MachineFacts
from muster.model.policy import Policy
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import Rehearsal, Rehearsed, rehearse
from tests.fixtures.clocked import ClockedPlay
from tests.fixtures.play import diamond, workflow

A1, A2 = AttemptRef("x1", "a", 1), AttemptRef("x1", "a", 2)


def only(found: Rehearsal) -> Rehearsed:
    """The one execution, which the player gets right when nothing is changed."""
    (execution,) = found.executions
    assert execution.deviations == []
    assert found.drift_s == 0.0
    return execution


def texts(found: Rehearsal) -> str:
    """All assumptions, a line each."""
    return "\n".join(map(str, found.assumed))


def flaky(attempts: int = 3) -> ClockedPlay:
    """Step ``a`` fails twice after 10 s, then succeeds after 5 s; ``b`` takes its output and 2 s."""
    play = ClockedPlay()
    play.connect("m1")
    retry = {"max_attempts": attempts, "backoff": {"initial": "4s", "factor": 1, "jitter": False}}
    play.submit(
        workflow(
            {"id": "a", "retry": retry, "outputs": {"y": {"type": "integer"}}},
            {"id": "b", "inputs": {"y": "${{ steps.a.outputs.y }}"}},
        )
    )
    for number in (1, 2):
        play.begin(AttemptRef("x1", "a", number))
        play.later(10)
        play.fail(AttemptRef("x1", "a", number))
        play.later(4.1)
    if attempts > 2:
        play.begin(AttemptRef("x1", "a", 3))
        play.later(5)
        play.finish(AttemptRef("x1", "a", 3), y=7)
        play.begin(AttemptRef("x1", "b", 1))
        play.later(2)
        play.finish(AttemptRef("x1", "b", 1))
    assert not play.state.executions
    return play


def test_fewer_attempts_fail_earlier() -> None:
    """With one retry less the step fails where it was tried once more, and what needed it is skipped."""
    found = rehearse(flaky().log, Changes(steps={"a": {"retry": {"max_attempts": 2}}}))
    execution = only(found)
    assert (execution.unchanged.outcome, execution.changed.outcome) == ("succeeded", "failed")
    assert execution.changed.error == "RetriableError (ExecutionError)"
    assert execution.changed.retries == {"run": 1}
    assert execution.changed.steps["b"].outcome == "skipped"
    assert execution.unchanged.makespan_s == pytest.approx(35, abs=0.3)
    assert execution.changed.makespan_s == pytest.approx(24, abs=0.3)
    assert "assumed" not in texts(found)


def test_another_backoff_shifts_what_follows() -> None:
    """A longer backoff is waited for, and everything behind it comes later by as much."""
    rules = Changes(steps={"*": {"retry": {"backoff": {"initial": "9s", "max": "9s"}}}})
    execution = only(rehearse(flaky().log, rules))
    assert execution.unchanged.makespan_s is not None
    assert execution.changed.makespan_s == pytest.approx(execution.unchanged.makespan_s + 10, abs=0.01)
    assert execution.changed.outcome == "succeeded"


def test_more_attempts_than_were_recorded_go_like_the_last() -> None:
    """An attempt that never was fails as the last one did, for each of them, and that is said."""
    found = rehearse(flaky(2).log, Changes(steps={"a": {"retry": {"max_attempts": 4}}}))
    execution = only(found)
    assert execution.changed.outcome == "failed"
    assert execution.changed.attempts == 4
    said = [one for one in found.assumed if "never was in the record" in one.text]
    assert [one.attempts for one in said] == [["x1/a#3", "x1/a#4"]]
    assert "goes like attempt 2 (failed with ExecutionError after 10.1 s)" in said[0].text


def test_more_attempts_may_be_assumed_to_succeed() -> None:
    """With succeed, the first attempt that never was ends well, with outputs that stand in for unknown ones."""
    rules = Changes(steps={"a": {"retry": {"max_attempts": 4}}})
    found = rehearse(flaky(2).log, rules, "succeed")
    execution = only(found)
    assert execution.changed.outcome == "succeeded"
    assert execution.changed.steps["a"].attempts == 3
    assert "succeeds after 10.1 s" in texts(found)
    assert "empty values as outputs" in texts(found)


def crowded() -> ClockedPlay:
    """Four steps of 10 s each on a machine with one slot."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow(*({"id": name} for name in "abcd")))
    while play.refs():
        (ref,) = play.refs()
        play.begin(ref)
        play.later(10)
        play.finish(ref)
    assert not play.state.executions
    return play


def test_more_slots_shorten_the_makespan() -> None:
    """With two slots, two steps run at a time."""
    found = rehearse(crowded().log, Changes(machines={"m1": {"slots": 2}}))
    execution = only(found)
    assert execution.unchanged.makespan_s == pytest.approx(40, abs=0.1)
    assert execution.changed.makespan_s == pytest.approx(20, abs=0.1)
    assert "m1 take as long beside more others" in texts(found)
    assert (found.then_s, found.now_s) == (execution.unchanged.makespan_s, execution.changed.makespan_s)


def test_a_machine_more_takes_its_share() -> None:
    """A machine like a recorded one is there from when that one is, and runs what it can hold."""
    found = rehearse(crowded().log, Changes(machines={"m2": {"like": "m1", "slots": 3}}))
    execution = only(found)
    assert execution.changed.makespan_s == pytest.approx(10, abs=0.1)
    assert {machine for step in execution.changed.steps.values() for machine in step.machines} == {"m1", "m2"}
    assert "on another machine than recorded take as long there (3 times)" in texts(found)


def test_without_its_machine_nothing_runs() -> None:
    """Where the only machine never connects, the execution does not end."""
    execution = only(rehearse(crowded().log, Changes(machines={"*": {"absent": True}})))
    assert (execution.changed.outcome, execution.changed.attempts) == (None, 0)


def test_a_step_that_asks_for_a_machine_waits_as_long_as_it_may() -> None:
    """A step pinned to a machine that never comes fails when the placement timeout of the file is over."""
    rules = Changes(policy={"placement_timeout_s": "7s"}, steps={"c": {"machine": "m9"}})
    execution = only(rehearse(crowded().log, rules))
    assert execution.changed.outcome == "failed"
    assert execution.changed.steps["c"].error == "NotConnectedError"
    assert execution.changed.steps["c"].ends_s == pytest.approx(7, abs=0.1)


def silent(*, judged: bool, back: bool = True) -> ClockedPlay:
    """``a`` takes 60 s on m1, which falls silent after 10 s and is back after 40 s; m2 is there as well.

    The verdict falls only where ``judged``: under the patience of 10.5 s, or of 100 s.
    """
    play = ClockedPlay(Policy() if judged else Policy(beats_missed_max=33))
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}))
    play.begin(A1)
    play.connect("m2", slots=1)
    play.later(10)
    if judged:
        play.later(10.5)
        play.verdict("m1")
        play.begin(A2)
        play.later(19.5)
        if back:
            play.verdict("m1", online=True)
            play.later(0.5)
            play.stopped(A1)
    else:
        play.later(30)
    if not judged:
        play.later(20)
        play.finish(A1)
    else:
        play.later(40)
        play.finish(A2)
    assert not play.state.executions
    return play


def test_more_patience_keeps_an_attempt() -> None:
    """Where the machine is back before the patience ends, no verdict falls; how the attempt went on is assumed."""
    found = rehearse(silent(judged=True).log, Changes(policy={"beats_missed_max": 20}))
    execution = only(found)
    assert execution.unchanged.retries == {"lost": 1}
    assert execution.changed.retries == {}
    assert execution.changed.steps["a"].machines == ["m1"]
    assert "the end is not recorded (it was given up: machine_offline) goes like attempt 2" in texts(found)


def test_less_patience_loses_it_earlier() -> None:
    """A stricter policy gives the same verdict sooner, so that the next attempt ends sooner."""
    found = rehearse(silent(judged=True).log, Changes(policy={"beats_missed_max": 1}))
    execution = only(found)
    assert execution.unchanged.makespan_s is not None
    assert execution.changed.makespan_s == pytest.approx(execution.unchanged.makespan_s - 6, abs=0.01)
    assert "silences shorter than 10.5 s left no trace" in texts(found)


def test_more_patience_with_a_machine_that_never_returns_only_waits_longer() -> None:
    """The verdict falls when the new patience ends, and the step goes on elsewhere from then."""
    found = rehearse(silent(judged=True, back=False).log, Changes(policy={"beats_missed_max": 6}))
    execution = only(found)
    assert "m1 is silent when the record ends, and stays so" in texts(found)
    assert "beyond the end of the record nobody asks for anything" in texts(found)
    assert execution.unchanged.makespan_s is not None
    assert execution.changed.retries == {"lost": 1}
    assert execution.changed.makespan_s == pytest.approx(execution.unchanged.makespan_s + 9, abs=0.01)


def test_a_silence_without_a_verdict_left_no_trace() -> None:
    """What the record does not show cannot be judged by a stricter policy; that is said, with the time."""
    found = rehearse(silent(judged=False).log, Changes(policy={"beats_missed_max": 3}))
    assert not only(found).differences
    assert "m1 was silent for longer than 10.5 s only where the record says so" in texts(found)


def test_slower_beats_need_more_patience() -> None:
    """A machine that beats less often is given up later under the same policy."""
    found = rehearse(silent(judged=True, back=False).log, Changes(machines={"m1": {"interval": "5s"}}))
    execution = only(found)
    assert execution.unchanged.makespan_s is not None
    assert execution.changed.makespan_s == pytest.approx(execution.unchanged.makespan_s + 6, abs=0.01)


@pytest.mark.parametrize(
    ("boots", "machines"), [(("1", "1"), ["m1", "m2"]), (("1", "2"), ["m1", "m2", "m2"])]
)
def test_an_agent_that_connects_anew_keeps_what_it_runs(boots: tuple[str, str], machines: list[str]) -> None:
    """An attempt that was not there then goes on where the machine was not started anew, and is lost where it was."""
    play = ClockedPlay()
    play.connect("m1")
    play.submit(workflow({"id": "a"}))
    play.begin(A1)
    play.connect("m2", boot_id=boots[0])
    play.later(14)
    play.connect("m2", boot_id=boots[1])
    play.later(3)
    play.verdict("m1")
    play.begin(A2)
    play.later(10)
    play.finish(A2)
    found = rehearse(play.log, Changes(policy={"beats_missed_max": 1}))
    assert only(found).unchanged.steps["a"].machines == ["m1", "m2"]
    assert only(found).changed.steps["a"].machines == machines
    assert f"and did not then, {'goes on' if boots[0] == boots[1] else 'is lost'}" in texts(found)


def test_fewer_losses_allowed_end_the_step() -> None:
    """With no loss allowed, the step fails with the machine."""
    execution = only(rehearse(silent(judged=True).log, Changes(policy={"lost_max": 0})))
    assert execution.changed.steps["a"].error == "MachineOfflineError"


def test_a_cancel_comes_when_it_came() -> None:
    """What was cancelled in time then may have ended before now; the cancel is then too late, and that is said."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}, {"id": "b"}))
    play.begin(A1)
    play.later(10)
    play.finish(A1)
    play.begin(AttemptRef("x1", "b", 1))
    play.later(5)
    play.cancel()
    play.later(0.2)
    play.stopped(AttemptRef("x1", "b", 1))
    assert not play.state.executions
    execution = only(rehearse(play.log, Changes(policy={"ending_timeout_s": 1})))
    assert execution.changed.outcome == "cancelled"
    found = rehearse(play.log, Changes(machines={"m1": {"slots": 2}}))
    assert only(found).changed.outcome == "succeeded"
    assert "the cancel of x1 came too late" in texts(found)


def test_others_hold_their_room() -> None:
    """In the record of one execution the attempts of others keep the room they had."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    play.submit(workflow({"id": "a"}), "x0")
    play.submit(workflow({"id": "a"}), "x1")
    play.begin(AttemptRef("x0", "a", 1))
    play.later(30)
    play.finish(AttemptRef("x0", "a", 1))
    play.begin(A1)
    play.later(5)
    play.finish(A1)
    kept = ("step.scheduled", "attempt.accepted", "attempt.finished")
    log = [one for one in play.log if one.event.execution != "x0" or one.event.kind in kept]
    found = rehearse(log, Changes(policy={"lost_max": 1}))
    assert only(found).changed.steps["a"].begins_s == pytest.approx(30, abs=0.1)
    assert "attempts of executions that the record does not hold (1)" in texts(found)
    roomier = only(rehearse(log, Changes(machines={"m1": {"slots": 2}})))
    assert roomier.changed.steps["a"].begins_s == pytest.approx(0, abs=0.1)


def test_a_record_that_ends_early_is_played_to_the_end() -> None:
    """What had not ended goes on as assumed, and is not called a deviation."""
    log = flaky().log
    cut = next(place for place, one in enumerate(log) if one.event.kind == "step.retrying") + 1
    found = rehearse(log[:cut], Changes(policy={"lost_max": 1}))
    (execution,) = found.executions
    assert execution.recorded.outcome is None
    assert execution.unchanged.outcome == "failed"
    assert found.faithful
    assert "had not ended when the record ends (1)" in texts(found)


def test_a_clock_that_goes_wrong_is_put_right() -> None:
    """Facts under a clock an hour ahead come out at the scheduler's times, and the error is told."""
    log = [
        msgspec.structs.replace(
            one, event=msgspec.structs.replace(one.event, time=one.event.time.replace(hour=13), line=None)
        )
        if one.event.writer == "m1"
        else one
        for one in crowded().log
    ]
    found = rehearse(log, Changes(machines={"m1": {"slots": 2}}))
    assert only(found).changed.makespan_s == pytest.approx(20, abs=0.1)
    assert "the clock of m1 was ahead by 3600.0 s" in texts(found)


def test_a_play_that_does_not_end_is_ended() -> None:
    """After so many rounds the play is broken off, and that is said."""
    found = rehearse(crowded().log, Changes(machines={"m1": {"slots": 2}}), rounds_max=3)
    assert found.executions[0].changed.outcome is None
    assert "the play was ended after 3 rounds" in texts(found)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Changes(steps={"aa": {}}), "there is no step aa in run.jsonl"),
        (Changes(machines={"m2": {"slots": 2}}), "there is no machine m2 in run.jsonl"),
        (Changes(machines={"m2": {"like": "m3"}}), "there is no machine m3 in run.jsonl"),
        (Changes(machines={"m1": {"like": "m1"}}), "one more needs another name"),
    ],
)
def test_names_that_are_not_there_are_refused(rules: Changes, said: str) -> None:
    """A step or a machine that the record does not hold is named, with what it holds."""
    with pytest.raises(InvalidArgumentError, match=said):
        rehearse(crowded().log, rules, name="run.jsonl")


def test_a_record_without_an_execution_is_refused() -> None:
    """There is nothing to ask of a record that holds no execution from its beginning."""
    play = ClockedPlay()
    play.connect("m1")
    with pytest.raises(FixtureInvalidError, match=r"run\.jsonl: the fixture holds no execution"):
        rehearse(play.log, Changes(), name="run.jsonl")


def test_a_diamond_is_not_changed_by_what_it_does_not_touch() -> None:
    """Rules that concern nothing that happened change nothing."""
    play = ClockedPlay()
    play.connect("m1", labels={"gpu": "true"})
    play.submit(diamond())
    play.run_all()
    rules = Changes(
        policy={"offline_timeout_s": 1, "lost_max": 0}, machines={"m1": {"labels": {"gpu": None}}}
    )
    assert rehearse(play.log, rules).same
    facts = MachineFacts(labels={"gpu": "true", "zone": "a"})
    assert rules.facts("m1", facts).labels == {"zone": "a"}
