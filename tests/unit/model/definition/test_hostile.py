"""Histories that nobody should write and somebody will: wrong clocks, ids used twice, attempts nobody knows of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from muster.model.engine.decide import decide
from muster.model.engine.evolve import evolve
from muster.model.engine.implied import implied
from muster.model.engine.round import Round
from muster.model.engine.watch import Watch, judge
from muster.model.errors import ExecutionError
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Heartbeat
from muster.model.policy import Policy
from tests.fixtures.play import START, Play, fold, workflow

IMPATIENT = Policy(ending_timeout_s=1.0)
A_DAY = timedelta(days=1)


def ref(step: str = "a", attempt: int = 1, execution: str = "x1") -> AttemptRef:
    """An attempt of the play's execution."""
    return AttemptRef(execution, step, attempt)


def cancelled_and_cleared() -> Play:
    """x1 was cancelled, its container was not heard of any more, and x1 was cleared."""
    play = Play(IMPATIENT)
    play.connect("m1")
    play.submit(workflow({"id": "a"}))
    play.begin(ref())
    play.round()
    play.cancel()
    play.later(100)
    assert play.kinds()[-1] == "execution.cancelled"
    round_ = Round(play.state, play.now)
    round_.write(c.ExecutionCleared(), "command", execution="x1", event_id="x1:cleared")
    play.settle(round_)
    return play


def of_what_is_left(play: Play) -> Play:
    """A scheduler that folds only what clearing x1 left in the log."""
    successor = Play(play.policy)
    left = [r for r in play.log if r.event.execution != "x1" or r.event.kind == "execution.cleared"]
    successor.log, successor.read_to, successor.state = left, len(left), fold(left, play.policy)
    successor.n, successor.now = dict(play.n), play.now
    return successor


# ---- clocks


@pytest.mark.parametrize("ahead", [A_DAY, -A_DAY])
@pytest.mark.parametrize("goodbye", [False, True])
def test_a_machine_whose_clock_is_wrong_is_waited_for_no_longer(ahead: timedelta, goodbye: bool):
    """How long a step waits for a machine that is away is the scheduler's time, whatever the machine's clock says."""
    play = Play()
    play.now += ahead
    play.connect("m1")
    if goodbye:
        play.fact("m1", c.MachineDisconnected(reason="stopped"))
    play.now -= ahead
    if not goodbye:
        play.verdict("m1")
    play.submit(workflow({"id": "a", "machine": "m1"}))
    play.later(1)
    assert "step.failed" not in play.kinds()
    play.later(play.policy.offline_timeout_s + play.policy.placement_timeout_s)
    assert "step.failed" in play.kinds()


def test_a_named_machine_whose_clock_is_ahead_is_given_up_in_time():
    """The placement timeout begins when the machine was found offline, not at its own time of connecting."""
    play = Play()
    play.now += A_DAY
    play.connect("m1")
    play.now -= A_DAY
    play.verdict("m1")
    play.submit(workflow({"id": "a", "machine": "m1"}))
    play.later(play.policy.placement_timeout_s + 1)
    assert "step.failed" in play.kinds()


def test_a_beat_of_an_older_connection_takes_nothing_from_the_present_one():
    """An agent that was replaced and has not noticed yet does not get its successor blamed."""
    play = Play()
    play.connect("m1")
    old = play.state.machines["m1"].session
    play.connect("m1")
    new = play.state.machines["m1"].session
    watch = Watch(0.0)
    for second in range(60):
        beats = [new] if second % 3 == 0 else []
        if second == 31:
            beats.append(old)
        for session in beats:
            beat = Heartbeat(name="m1", sequence=second, session=session, interval_s=3.0, time=START)
            watch.hear(beat, float(second))
        round_ = Round(play.state, play.now)
        judge(round_, watch, float(second))
        assert round_.events == []


@pytest.mark.parametrize(("hears", "verdict"), [(True, ["machine.offline"]), (False, [])])
def test_who_hears_nobody_blames_nobody(hears: bool, verdict: list[str]):
    """A connection that is mute and not broken brings nothing, not even the leader's own beats."""
    play = Play()
    play.connect("m1")
    watch = Watch(0.0)
    beat = Heartbeat(
        name="m1", sequence=1, session=play.state.machines["m1"].session, interval_s=3.0, time=START
    )
    watch.hear(beat, 0.0)
    found: list[str] = []
    for second in range(1, 30):
        if hears:
            watch.sound(float(second))
        round_ = Round(play.state, play.now)
        judge(round_, watch, float(second))
        found += [event.kind for event in round_.events]
    assert found == verdict


# ---- ids that were cleared


def test_an_id_that_was_cleared_stays_taken():
    """Event ids and attempts of a cleared execution were used: the same id does not run again."""
    play = cancelled_and_cleared()
    play.submit(workflow({"id": "a"}))
    [refused] = play.events("command.refused")
    assert refused.data.error.code == "execution_conflict"
    assert play.state.executions == {}


def test_a_late_fact_of_a_cleared_execution_only_frees_its_slot():
    """What a container of a cleared execution reports counts for nothing, and its room is given back."""
    play = cancelled_and_cleared()
    play.submit(workflow({"id": "a", "image": "other:2"}))
    play.fact("m1", c.AttemptFinished(outputs={"n": "of the cancelled run"}, exit_code=0), ref())
    play.round()
    assert "execution.succeeded" not in play.kinds()
    machine = play.state.machines["m1"]
    assert (machine.slots_used, machine.held) == (0, {})


def test_a_standby_knows_that_an_id_was_cleared():
    """Whoever folds only what clearing left refuses the id all the same."""
    successor = of_what_is_left(cancelled_and_cleared())
    successor.submit(workflow({"id": "a"}))
    assert len(successor.events("command.refused")) == 1
    assert successor.state.executions == {}


# ---- attempts nobody knows of


def test_a_stray_is_stopped():
    """An attempt that a machine lists and the log does not know any more is stopped, until its agent answers."""
    successor = of_what_is_left(cancelled_and_cleared())
    successor.connect("m1", attempts=[ref()])
    assert successor.stops == [ref()]
    machine = successor.state.machines["m1"]
    assert implied(successor.state, machine).stops == [ref()]
    successor.fact("m1", c.AttemptStopped(reason="asked"), ref())
    assert implied(successor.state, machine).stops == []
    assert machine.slots_used == 0


def test_a_standby_keeps_nothing_of_what_has_ended():
    """Facts about executions that have ended leave no trace in a state that is only folded."""
    play = Play(IMPATIENT)
    play.connect("m1", slots=64)
    for number in range(20):
        execution = f"x{number}"
        attempt = ref(execution=execution)
        play.submit(workflow({"id": "a"}), execution)
        play.begin(attempt)
        play.round()
        play.cancel(execution)
        play.later(100)
        play.fact("m1", c.AttemptStopped(reason="asked"), attempt)
        play.round()
    standby = fold(play.log, play.policy)
    assert standby.touched == {}
    assert standby.executions == {}
    assert standby.machines["m1"].held == {}


# ---- rounds


def test_nothing_starts_after_a_failure_in_the_same_round():
    """A step that cannot be started fails its execution before its siblings are given machines."""
    play = Play()
    play.connect("m1", slots=8)
    play.submit(
        workflow(
            {"id": "z", "outputs": {"v": {"type": "string", "required": False}}},
            {"id": "a", "needs": ["z"], "command": ["echo", "${{ steps.z.outputs.v }}"]},
            *({"id": f"b{number}", "needs": ["z"]} for number in range(5)),
        )
    )
    play.begin(ref("z"))
    play.finish(ref("z"))
    play.round()
    kinds = play.kinds()
    assert "step.scheduled" not in kinds[kinds.index("step.failed") :]
    assert kinds[-1] == "execution.failed"


def test_a_successor_places_in_the_same_order():
    """The order of those who wait comes from the log: a scheduler that only read it places as the leader does."""
    play = Play()
    play.connect("m1", slots=1)
    retry = {"max_attempts": 2, "backoff": {"initial": "10s", "jitter": False}}
    play.submit(workflow({"id": "a", "retry": retry}), "x1")
    play.begin(ref())
    play.fail(ref())
    play.round()
    play.submit(workflow({"id": "h"}), "hold")
    play.begin(ref("h", execution="hold"))
    play.round()
    play.later(11)  # the retry of a is due, and there is no room
    play.later(5)
    play.submit(workflow({"id": "b"}), "x2")
    successor = fold(play.log, play.policy)
    play.finish(ref("h", execution="hold"))
    for recorded in play.log[successor.sequence :]:
        evolve(successor, recorded.event, recorded.sequence)
    placed = [
        [event.execution for event in decide(state, play.now).events if event.kind == "step.scheduled"]
        for state in (play.state, successor)
    ]
    assert placed == [["x1"], ["x1"]]


# ---- sizes


def test_outputs_larger_than_an_event_may_hold_fail_the_step():
    """An agent that reports more than it should fails its own step, and no event becomes too large to be written."""
    play = Play()
    play.connect("m1")
    play.submit(workflow({"id": "a", "outputs": {"n": {}}}))
    play.begin(ref())
    play.finish(ref(), n="x" * VALUES_BYTES_MAX)
    play.round()
    [failed] = play.events("step.failed")
    assert failed.data.error.code == "output"
    assert failed.data.error.step == "a"


def test_a_long_error_is_clipped():
    """What an agent reports of a failure is told again in a size that several events can carry."""
    play = Play()
    play.connect("m1")
    play.submit(workflow({"id": "a"}))
    play.begin(ref())
    cause = ExecutionError("y" * (1 << 20)).info()
    play.fail(ref(), ExecutionError("x" * (1 << 20), cause=cause, dump="z" * (1 << 20)))
    play.round()
    [failed] = play.events("step.failed")
    assert failed.data.error.message.startswith("xxx")
    assert failed.data.error.message.endswith("…")
    assert failed.data.error.details == {"clipped": True}
    assert len(failed.line or b"") < 64 << 10
