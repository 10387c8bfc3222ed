"""The engine for tests: it is the real one, and its time is the test's to spend."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muster.client.follower import ExecutionView
from muster.model.errors import (
    ExecutionNotFoundError,
    ExecutionTimeoutError,
    InputMissingError,
    InvalidArgumentError,
    WorkflowInvalidError,
)
from muster.model.proof.replay import replay
from muster.testing.engine import Engine
from muster.testing.replayed import replayed

pytestmark = pytest.mark.blocking("the engine has a loop of its own, and these tests wait for it")
HELLO: dict[str, Any] = {
    "name": "hello",
    "inputs": {"name": {"type": "string"}},
    "steps": [
        {
            "id": "greet",
            "image": "busybox:1",
            "command": "echo hello $NAME",
            "environment": {"NAME": "${{ inputs.name }}"},
            "outputs": {"text": {"type": "string", "source": "stdout"}},
        }
    ],
    "outputs": {"text": "${{ steps.greet.outputs.text }}"},
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """One with one machine and the process runtime."""
    with Engine(tmp_path) as made:
        yield made


@pytest.fixture
def noop(tmp_path: Path) -> Iterator[Engine]:
    """One in which nothing is run."""
    with Engine(tmp_path, runtime="noop") as made:
        yield made


def step(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A workflow of one step."""
    return {"name": "one", "steps": [{"id": name, "image": "busybox:1", "command": "true"} | fields]}


def flaky(flag: Path, wait: str, attempts: int = 2) -> dict[str, Any]:
    """A step that fails the first time."""
    command = f"test -e {flag} || {{ touch {flag}; exit 3; }}"
    retry = {"max_attempts": attempts, "backoff": {"initial": wait, "max": wait, "jitter": False}}
    return step(command=command, retry=retry)


def took(run: ExecutionView) -> timedelta:
    """How long it took by the engine's clock."""
    assert run.queued_at is not None
    assert run.ended_at is not None
    return run.ended_at - run.queued_at


def test_a_workflow_is_really_run(engine: Engine):
    """The steps are processes of this machine, their outputs are the workflow's, and what they print is kept."""
    run = engine.run(HELLO, {"name": "you"}).result()
    assert (run.status, run.outputs) == ("succeeded", {"text": "hello you"})
    assert [row.type for row in run.transitions] == ["init", "start", "step", "finish"]
    assert run.steps["greet"].machine == "m1"
    assert engine.lines(run.id).result() == ["hello you"]


async def test_it_can_be_awaited(engine: Engine):
    """In an async test everything can be awaited, and several runs at once."""
    first, second = engine.run(HELLO, {"name": "a"}), engine.run(HELLO, {"name": "b"})
    assert [(await run).outputs["text"] for run in (first, second)] == ["hello a", "hello b"]


def test_run_skips_what_is_only_waiting(engine: Engine, tmp_path: Path):
    """A backoff of days costs a moment, and is there in the times of the events."""
    began = time.monotonic()
    run = engine.run(flaky(tmp_path / "flag", "48h")).result()
    assert run.status == "succeeded"
    assert took(run) > timedelta(hours=48)
    assert time.monotonic() - began < 60


def test_the_clock_can_be_put_forward(engine: Engine, tmp_path: Path):
    """Nothing comes before its time: a retry that is due in two hours starts after two and not after one."""
    execution = engine.submit(flaky(tmp_path / "flag", "2h")).result()
    waiting = engine.until(execution, "step.retrying").result()
    assert waiting.steps["a"].status == "waiting"
    before = engine.clock.now()
    engine.clock.advance("1h").result()
    assert timedelta(hours=1) <= engine.clock.now() - before < timedelta(hours=1, minutes=1)
    assert engine.state(execution).result().steps["a"].status == "waiting"
    engine.clock.advance(timedelta(hours=1)).result()
    assert engine.wait(execution, skip_waits=False).result().status == "succeeded"


def test_a_timeout_of_a_step_that_runs_comes_with_the_clock(engine: Engine):
    """A step that runs too long is stopped after its own timeout, by the engine's clock."""
    execution = engine.submit(step(command="sleep 600", timeouts={"run": "30m"})).result()
    engine.until(execution, "attempt.started").result()
    engine.clock.advance("29m").result()
    assert engine.state(execution).result().steps["a"].status == "running"
    engine.clock.advance("2m").result()
    run = engine.wait(execution).result()
    assert run.steps["a"].error.code == "step_timeout"
    assert run.steps["a"].machine == "m1"


def test_time_that_passes_is_no_reason_to_blame_a_machine(noop: Engine):
    """After a year put forward at once the machine is there and works."""
    noop.clock.advance("8000h").result()
    kinds = {recorded.event.kind for recorded in noop.events().result()}
    assert "machine.offline" not in kinds
    assert noop.run(step()).result().status == "succeeded"


def test_a_lost_machine_is_noticed_and_its_work_goes_elsewhere(tmp_path: Path):
    """A machine that is gone without a word is found missing by its beats, and another takes the step."""
    with Engine(tmp_path, machines={"m1": {"labels": {"at": "first"}}}) as engine:
        execution = engine.submit(step(command="test -e $HOME/none || sleep 600")).result()
        engine.until(execution, "attempt.started").result()
        engine.lose_machine("m1").result()
        engine.start_machine("m2", runtime="noop").result()
        run = engine.wait(execution).result()
        assert (run.status, run.steps["a"].machine, run.steps["a"].attempt) == ("succeeded", "m2", 2)
        assert [e.event.kind for e in engine.events().result()].count("machine.offline") == 1
        engine.start_machine("m1").result()
        engine.clock.advance("1m").result()
        assert engine.run(step(machine="m1")).result().status == "succeeded"


def test_a_machine_that_never_comes_is_waited_for_without_waiting(noop: Engine):
    """The timeout of a placement is skipped too, and the step fails as it would."""
    began = time.monotonic()
    run = noop.run(step(machine="m9")).result()
    assert run.steps["a"].error.code == "not_connected"
    assert time.monotonic() - began < 60


def test_a_stopped_machine_says_goodbye(noop: Engine):
    """A machine that is stopped says so at once; one that is not there cannot be stopped."""
    noop.stop_machine("m1").result()
    assert noop.events().result()[-1].event.kind == "machine.disconnected"
    with pytest.raises(InvalidArgumentError, match="no machine m1"):
        noop.stop_machine("m1").result()


def test_noop_runs_nothing(noop: Engine, tmp_path: Path):
    """With the noop runtime no process is started, and each step succeeds."""
    flag = tmp_path / "flag"
    assert noop.run(step(command=f"touch {flag}")).result().status == "succeeded"
    assert not flag.exists()


def test_cancel(engine: Engine):
    """A cancelled execution ends as cancelled, and its process with it."""
    execution = engine.submit(step(command="sleep 600")).result()
    engine.until(execution, "attempt.started").result()
    assert engine.cancel(execution, "enough").result() == "cancelled"
    run = engine.wait(execution).result()
    assert (run.status, run.reason) == ("cancelled", "enough")


def test_what_it_recorded_replays(engine: Engine, tmp_path: Path):
    """The recording of a run, put forward and all, is a fixture that replays to zero differences."""
    run = engine.run(flaky(tmp_path / "flag", "2h")).result()
    engine.save(run.id, tmp_path / "run.jsonl")
    again = replayed(tmp_path / "run.jsonl")
    assert again.steps["a"].attempt == 2
    assert again.differences == []
    assert [r.event.id for r in engine.recording(run.id).result()] == [r.event.id for r in again.records]
    assert replay(engine.events().result()).differences == []


def test_the_policy_is_the_tests(tmp_path: Path):
    """A limit that the test sets is the one decisions rest on."""
    with Engine(tmp_path, runtime="noop", policy={"placement_timeout_s": 7200.0}) as engine:
        run = engine.run(step(machine="m9")).result()
        assert took(run) >= timedelta(hours=2)


def test_a_workflow_in_a_file_is_named(tmp_path: Path):
    """A path, or a string that can only be one, is read from where the test says."""
    (tmp_path / "w.yaml").write_text("name: w\nsteps:\n  - {id: a, image: b}\n")
    with Engine(tmp_path / "e", runtime="noop", resolve=tmp_path.joinpath) as engine:
        for named in (
            "w.yaml",
            Path("w.yaml"),
            tmp_path / "w.yaml",
            "name: w\nsteps:\n  - {id: a, image: b}\n",
        ):
            assert engine.run(named).result().status == "succeeded"


def test_mistakes_are_told_as_the_client_tells_them(noop: Engine):
    """A workflow that is none, an input that is missing, an id nobody has: each raises its own error."""
    with pytest.raises(WorkflowInvalidError):
        noop.run({"name": "w", "steps": []}).result()
    with pytest.raises(InputMissingError):
        noop.run(HELLO).result()
    with pytest.raises(ExecutionNotFoundError):
        noop.state("nobody").result()
    with pytest.raises(ExecutionNotFoundError):
        noop.recording("nobody").result()


def test_a_run_that_is_stuck_says_what_it_waits_for(noop: Engine):
    """After the time given, in real seconds, the error names the steps that are not done."""
    noop.stop_machine("m1").result()
    execution = noop.submit(step(machine={"labels": {"gpu": "true"}})).result()
    noop.wait(execution).result()  # no machine has it: it fails at once
    with pytest.raises(ExecutionTimeoutError, match="a is pending"):
        noop.run(step(), timeout=0.2, skip_waits=False).result()
    with pytest.raises(ExecutionTimeoutError, match=r"0 of 1 step\.retrying"):
        noop.until(execution, "step.retrying", timeout=0.1).result()


@pytest.mark.parametrize("runtime", ["docker", "auto", "nope"])
def test_only_runtimes_that_need_nothing_else(tmp_path: Path, runtime: str):
    """A runtime that is not for tests is refused by name."""
    with pytest.raises(InvalidArgumentError, match=runtime):
        Engine(tmp_path, runtime=runtime)


def test_an_option_no_agent_has_is_an_error_and_nothing_is_left(tmp_path: Path):
    """Where a machine cannot start, entering raises, and the thread ends."""
    with pytest.raises(TypeError), Engine(tmp_path, machines={"m1": {"colour": "red"}}):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "muster-testing"]
