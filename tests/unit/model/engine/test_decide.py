"""What the decider decides."""

from __future__ import annotations

from itertools import pairwise

import pytest

from muster.model.errors import ContainerStartingError, ImagePullError, OutOfMemoryError
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from tests.fixtures.play import Play, diamond, fold, workflow


@pytest.fixture
def play() -> Play:
    """One machine is connected."""
    play = Play()
    play.connect("m1")
    return play


def ref(step: str, attempt: int = 1) -> AttemptRef:
    return AttemptRef("x1", step, attempt)


def test_a_diamond_runs_in_order_and_succeeds(play: Play) -> None:
    """A step starts when all it needs has succeeded, and the execution succeeds when all have."""
    play.submit(diamond())
    assert play.refs() == [ref("a")]
    play.begin(ref("a"))
    play.finish(ref("a"))
    play.round()
    assert play.refs() == [ref("b"), ref("c")]
    play.run_all()
    assert play.kinds()[-1] == "execution.succeeded"
    assert play.state.executions == {}


def test_transitions_are_numbered_and_legal(play: Play) -> None:
    """The transitions of an execution count from one and each begins where the last ended."""
    play.submit(diamond())
    play.run_all()
    transitions = [r.event.data.transition for r in play.log if hasattr(r.event.data, "transition")]
    assert [t.number for t in transitions] == list(range(1, len(transitions) + 1))
    assert [t.type for t in transitions] == ["init", "start", "step", "step", "step", "step", "finish"]
    assert all(a.after == b.before for a, b in pairwise(transitions))


def test_outputs_flow_between_steps_and_out(play: Play) -> None:
    """A reference makes the dependency and carries the value; the workflow's outputs are evaluated at the end."""
    play.submit(
        workflow(
            {"id": "a", "outputs": {"count": {"type": "integer"}}},
            {"id": "b", "command": ["echo", "${{ steps.a.outputs.count }}"]},
            outputs={"count": "${{ steps.a.outputs.count }}"},
        )
    )
    play.begin(ref("a"))
    play.finish(ref("a"), count=3)
    play.round()
    assert play.orders[ref("b")][1].container.command == ["echo", "3"]
    play.run_all()
    (done,) = play.events("execution.succeeded")
    assert done.data.outputs == {"count": 3}


def test_every_decision_names_its_cause_and_basis(play: Play) -> None:
    """Every event of the scheduler says what caused it and what it rests on."""
    play.submit(diamond())
    play.run_all()
    ids = {recorded.event.id for recorded in play.log} | {"command-1"}
    decisions = [r.event for r in play.log if r.event.writer == "scheduler"]
    assert all(event.cause in ids for event in decisions)
    assert all(event.basis for event in decisions)


def test_a_second_round_decides_nothing(play: Play) -> None:
    """Deciding again right after deciding gives nothing."""
    play.submit(diamond())
    assert play.round().events == []


def test_a_failure_without_retries_fails_the_execution_and_skips_the_rest(play: Play) -> None:
    """A failed step lets running siblings end, skips what has not begun, and is the execution's error."""
    play.submit(diamond())
    play.begin(ref("a"))
    play.finish(ref("a"))
    play.round()
    play.begin(ref("b"))
    play.begin(ref("c"))
    play.fail(ref("b"))
    play.round()
    assert play.kinds(step="d")[-1] == "step.skipped"
    assert "execution.failed" not in play.kinds()
    play.finish(ref("c"))
    play.round()
    assert play.kinds(step="c")[-1] == "step.succeeded"
    (failed,) = play.events("execution.failed")
    assert (failed.data.error.code, failed.data.error.step) == ("execution", "b")


def test_max_attempts_counts_every_try(play: Play) -> None:
    """max_attempts 3 means three attempts, then a RetriableError with the last error as its cause."""
    play.submit(workflow({"id": "a", "retry": {"max_attempts": 3, "backoff": {"initial": "1s"}}}))
    for attempt in (1, 2, 3):
        play.begin(ref("a", attempt))
        play.fail(ref("a", attempt))
        play.round()
        if attempt < 3:
            assert play.kinds(step="a")[-1] == "step.retrying"
            assert not play.refs()
            play.until_due()
    (failed,) = play.events("step.failed")
    assert (failed.data.error.code, failed.data.error.cause.code) == ("retriable", "execution")
    assert len(play.events("step.scheduled")) == 3


def test_one_attempt_gives_the_plain_error(play: Play) -> None:
    """Without retries the error is that of the attempt."""
    play.submit(workflow({"id": "a"}))
    play.fail(ref("a"), OutOfMemoryError())
    play.round()
    assert play.events("step.failed")[0].data.error.code == "out_of_memory"


def test_what_cannot_help_is_not_retried(play: Play) -> None:
    """An attempt that failed for good is not tried again, whatever the budget."""
    play.submit(workflow({"id": "a", "retry": {"max_attempts": 5}}))
    play.fail(ref("a"), ImagePullError(image="no:1"), phase="pull", retriable=False)
    play.round()
    assert play.events("step.failed")[0].data.error.code == "image_pull"


def test_each_phase_has_a_budget_of_its_own(play: Play) -> None:
    """Retries of the start phase do not spend those of the run phase."""
    play.submit(workflow({"id": "a", "retry": {"max_attempts": 2, "backoff": {"initial": "1s"}}}))
    play.fail(ref("a", 1), ContainerStartingError(), phase="start")
    play.round()
    play.until_due()
    play.begin(ref("a", 2))
    play.fail(ref("a", 2))
    play.round()
    play.until_due()
    play.begin(ref("a", 3))
    play.finish(ref("a", 3))
    play.round()
    assert play.kinds()[-1] == "execution.succeeded"


def test_a_lost_machine_supersedes_its_attempts_and_the_step_goes_on_elsewhere(play: Play) -> None:
    """When a machine is found offline its attempt never counts again and the next one runs on another machine."""
    play.submit(workflow({"id": "a"}))
    play.begin(ref("a", 1))
    play.round()
    play.connect("m2")
    play.verdict("m1")
    assert play.kinds(step="a")[-3:] == ["attempt.superseded", "step.retrying", "step.scheduled"]
    assert play.orders[ref("a", 2)][0] == "m2"
    play.finish(ref("a", 1))
    play.round()
    assert "step.succeeded" not in play.kinds()
    play.begin(ref("a", 2))
    play.finish(ref("a", 2))
    play.round()
    assert play.kinds().count("step.succeeded") == 1
    assert play.kinds().count("step.started") == 1


def test_losses_do_not_go_on_for_ever(play: Play) -> None:
    """A step whose machines are lost more often than its budget fails with MachineOfflineError."""
    play.submit(workflow({"id": "a"}))
    for attempt in range(1, 5):
        play.begin(ref("a", attempt))
        play.round()
        play.connect(f"m{attempt + 1}")
        play.verdict(f"m{attempt}")
    assert play.events("step.failed")[0].data.error.code == "machine_offline"


def test_an_attempt_that_a_restarted_agent_does_not_list_is_lost(play: Play) -> None:
    """An accepted attempt that is not among those of the new connection is superseded and tried again."""
    play.submit(workflow({"id": "a"}))
    play.begin(ref("a", 1))
    play.round()
    play.connect("m1", attempts=[])
    play.round()
    assert play.kinds(step="a")[-1] == "step.scheduled"
    assert play.events("attempt.superseded")[0].data.reason == "attempt_lost"


def test_an_attempt_that_a_restarted_agent_lists_goes_on(play: Play) -> None:
    """An accepted attempt that the new connection lists keeps counting."""
    play.submit(workflow({"id": "a"}))
    play.begin(ref("a", 1))
    play.round()
    play.connect("m1", attempts=[ref("a", 1)])
    assert play.round().events == []
    play.finish(ref("a", 1))
    play.round()
    assert play.kinds()[-1] == "execution.succeeded"


def test_cancel_stops_what_is_live_and_ends_when_it_is_gone(play: Play) -> None:
    """A cancelled execution asks for its attempts to be stopped and ends when they have."""
    play.submit(diamond())
    play.begin(ref("a"))
    play.round()
    play.cancel()
    assert play.stops == [ref("a")]
    assert play.kinds(step="d")[-1] == "step.cancelled"
    assert "execution.cancelled" not in play.kinds()
    play.stopped(ref("a"))
    play.round()
    assert play.kinds(step="a")[-1] == "step.cancelled"
    assert play.kinds()[-1] == "execution.cancelled"


def test_cancel_is_idempotent_and_final(play: Play) -> None:
    """A second cancel, or one after the end, changes nothing."""
    play.submit(workflow({"id": "a"}))
    play.cancel()
    assert play.cancel().events == []
    play.stopped(ref("a"))
    play.round()
    assert play.cancel().events == []
    assert play.kinds()[-1] == "execution.cancelled"


def test_a_cancel_that_no_agent_obeys_ends_all_the_same(play: Play) -> None:
    """After the ending timeout the attempts are superseded and the execution ends."""
    play.submit(workflow({"id": "a"}))
    play.begin(ref("a"))
    play.cancel()
    play.until_due()
    assert play.kinds()[-2:] == ["step.cancelled", "execution.cancelled"]


def test_a_submit_comes_twice(play: Play) -> None:
    """The same content under the same id changes nothing; other content is refused."""
    play.submit(diamond())
    assert play.submit(diamond()).events == []
    (refusal,) = play.submit(workflow({"id": "z"})).events
    assert refusal.data.error.code == "execution_conflict"
    play.run_all()
    assert play.submit(diamond()).events == []


def test_a_submit_without_a_required_input_is_refused(play: Play) -> None:
    """What cannot be accepted becomes command.refused and nothing else."""
    (refusal,) = play.submit(workflow({"id": "a"}, inputs={"video": {"type": "string"}})).events
    assert refusal.kind == "command.refused"
    assert refusal.data.error.code == "input_missing"
    assert play.state.executions == {}


def test_a_reference_without_value_fails_the_step(play: Play) -> None:
    """An output that was not produced is an error of the step that needs it, found before it starts."""
    play.submit(
        workflow(
            {"id": "a", "outputs": {"maybe": {"type": "string", "required": False}}},
            {"id": "b", "command": ["echo", "${{ steps.a.outputs.maybe }}"]},
        )
    )
    play.begin(ref("a"))
    play.finish(ref("a"))
    play.round()
    (failed,) = play.events("step.failed")
    assert (failed.step, failed.data.error.code) == ("b", "value_missing")


def test_a_goodbye_moves_the_work(play: Play) -> None:
    """When an agent says goodbye, what it stopped is run elsewhere without spending the step's retries."""
    play.submit(workflow({"id": "a"}))
    play.begin(ref("a"))
    play.round()
    play.connect("m2")
    play.stopped(ref("a"), "agent ends")
    play.fact("m1", c.MachineDisconnected(reason="agent ends"))
    play.round()
    play.round()
    assert play.orders[ref("a", 2)][0] == "m2"


def test_a_start_that_no_agent_takes_up_is_lost(play: Play) -> None:
    """An attempt that a machine leaves unaccepted is superseded, stopped, and tried again."""
    play.submit(workflow({"id": "a"}))
    play.later(play.policy.accept_timeout_s - 1)
    assert "attempt.superseded" not in play.kinds()
    play.later(1)
    assert play.kinds(step="a")[-3:] == ["attempt.superseded", "step.retrying", "step.scheduled"]
    play.obey()
    play.run_all()
    assert play.kinds()[-1] == "execution.succeeded"
    assert play.state.machines["m1"].slots_used == 0


def test_an_agent_cannot_decide(play: Play) -> None:
    """A decision under an agent's name changes nothing."""
    play.submit(workflow({"id": "a"}))
    play.fact("m1", c.StepSucceeded(outputs={}), ref("a"))
    assert play.round().events == []


def test_a_successor_ends_what_was_half_superseded(play: Play) -> None:
    """A leader that finds an attempt superseded and nothing more retries the step, and the attempt never counts."""
    play.submit(workflow({"id": "a"}))
    play.begin(ref("a"))
    play.round()
    play.verdict("m1")
    cut = next(n for n, r in enumerate(play.log) if r.event.kind == "attempt.superseded") + 1
    successor = Play(play.policy)
    successor.log, successor.read_to, successor.n = play.log[:cut], cut, dict(play.n)
    successor.state, successor.now = fold(successor.log, play.policy), play.now
    successor.orders[ref("a")] = play.orders[ref("a")]
    successor.finish(ref("a"))
    successor.round()
    assert successor.kinds(step="a")[-1] == "step.retrying"


def test_a_fact_that_is_told_again_changes_nothing(play: Play) -> None:
    """A goodbye delivered again after the machine is back does not take it away: its number was seen before."""
    play.fact("m1", c.MachineDisconnected(reason="agent ends"))
    play.connect("m1")
    play.n["m1"] -= 1
    play.fact("m1", c.MachineDisconnected(reason="agent ends"))
    assert play.state.machines["m1"].online


def test_a_start_that_fits_no_message_fails_the_step(play: Play) -> None:
    """What is too large to be sent is an error of the step, not of whoever sends it."""
    text = "${{ inputs.text }}"
    steps = workflow({"id": "a", "command": [text] * 10, "inputs": {"more": text}}, inputs={"text": {}})
    play.submit(steps, text="\x01" * 100_000)
    assert play.events("step.failed")[0].data.error.code == "invalid_argument"
    assert play.kinds()[-1] == "execution.failed"
