"""Steps that fail: every error that the process runtime, the outputs and the expressions can give."""

from __future__ import annotations

from typing import Any

from muster.model.log.commands import Submit
from tests.golden.scenario import prints, retry, scenario, step, writes
from tests.golden.stage import Stage, fresh

NUMBER = {"n": {"type": "integer"}}


async def fails(stage: Stage, execution: str, *steps: dict[str, Any], **more: Any) -> None:
    """Run it on a stage with one machine; it must fail."""
    await stage.leader()
    await stage.machine()
    assert await stage.run(execution, *steps, **more) == "failed"


@scenario
async def exit_code(stage: Stage) -> None:
    """ExecutionError: the command ends with a code that is not 0, and what it printed last goes with the error."""
    await fails(stage, "exit-1", step("it", "echo broken >&2; exit 7"))


@scenario
async def retries_exhausted(stage: Stage) -> None:
    """RetriableError: all attempts failed; the cause is the last error."""
    await fails(stage, "exhausted-1", step("it", "exit 5", retry=retry(3)))


@scenario
async def step_timeout(stage: Stage) -> None:
    """StepTimeoutError: the run phase takes too long, and the process is stopped."""
    await fails(
        stage, "timeout-1", step("it", "exec sleep 60", timeouts={"run": "300ms"}, stop_grace_period="1s")
    )


@scenario
async def start_budget(stage: Stage) -> None:
    """The start phase has a budget of its own: two tries of it, where the run phase would have four."""
    await fails(
        stage, "start-1", step("it", "exit 0", timeouts={"start": 0.0001}, retry=retry(4, start=2, run=4))
    )


@scenario
async def run_budget(stage: Stage) -> None:
    """The run phase has a budget of its own: two tries of it, where the others would have five."""
    await fails(stage, "run-1", step("it", "exit 3", retry=retry(5, run=2)))


@scenario
async def not_retriable(stage: Stage) -> None:
    """ContainerStartingError that no retry can mend: it fails at the first of three attempts."""
    await fails(stage, "hopeless-1", step("it", None, retry=retry(3)))  # type: ignore[arg-type]


@scenario
async def no_such_program(stage: Stage) -> None:
    """ContainerStartingError: the program is not there."""
    await fails(stage, "program-1", step("it", ["/no/such/program"]))


@scenario
async def output_missing(stage: Stage) -> None:
    """ValueMissingError: a declared output was not written."""
    await fails(stage, "missing-1", step("it", "true", outputs=NUMBER))


@scenario
async def output_wrong_type(stage: Stage) -> None:
    """InvalidTypeError: an output has another type than declared."""
    await fails(stage, "type-1", writes("it", '{"n": "three"}', NUMBER))


@scenario
async def output_no_json(stage: Stage) -> None:
    """OutputError: what was written is no JSON."""
    await fails(stage, "json-1", writes("it", "three", NUMBER))


@scenario
async def output_undeclared(stage: Stage) -> None:
    """OutputError: an output was written that is not declared."""
    await fails(stage, "undeclared-1", writes("it", '{"n": 3, "m": 4}', NUMBER))


@scenario
async def output_too_large(stage: Stage) -> None:
    """OutputError: what was printed is more than an event may hold."""
    await fails(stage, "large-1", prints("it", "head -c 1100000 /dev/zero | tr '\\0' x"))


@scenario
async def expression_in_step(stage: Stage) -> None:
    """ExpressionError in a step's command: it is found when the step would start, and what follows is skipped."""
    await fails(
        stage,
        "divided-1",
        prints("first", "echo 0", "integer"),
        step("second", "echo ${{ 1 / steps.first.outputs.said }}"),
        step("third", needs=["second"]),
    )


@scenario
async def expression_among_siblings(stage: Stage) -> None:
    """A step that cannot be started ends its execution before its sibling, ready at the same time, gets a machine."""
    await fails(
        stage,
        "siblings-1",
        prints("first", "echo 0", "integer"),
        step("second", "echo ${{ 1 / steps.first.outputs.said }}"),
        step("third", needs=["first"]),
    )


@scenario
async def expression_beside_others(stage: Stage) -> None:
    """In the round in which a step turns out not to be startable, the next in the queue is given its machine."""
    leader = await stage.leader()
    await stage.machine(slots=1)
    leader.pause()
    numbers = {"inputs": {"n": {"type": "integer"}}}
    bad = {"name": "bad", "steps": [step("it", "echo ${{ 1 / inputs.n }}")]} | numbers
    good = {"name": "good", "steps": [step("it")]}
    await stage.send("submit", Submit(id=fresh(), execution="bad-1", workflow=bad, inputs={"n": 0}))
    await stage.send("submit", Submit(id=fresh(), execution="good-1", workflow=good))
    leader.unpause()
    assert await stage.log.ended("bad-1", "good-1") == ["failed", "succeeded"]


@scenario
async def expression_in_outputs(stage: Stage) -> None:
    """ExpressionError in the workflow's outputs: every step succeeded, and the execution fails all the same."""
    await fails(
        stage,
        "outputs-1",
        prints("first", "echo 0", "integer"),
        outputs={"n": "${{ 1 / steps.first.outputs.said }}"},
    )


@scenario
async def missing_in_expression(stage: Stage) -> None:
    """ValueMissingError: an expression asks for a key that a value turns out not to have."""
    await fails(
        stage,
        "key-1",
        prints("first", """echo '{"a": 1}'""", "object"),
        step("second", "echo ${{ steps.first.outputs.said.b }}"),
    )


@scenario
async def siblings_drain(stage: Stage) -> None:
    """One fails: what runs is let end, what waits for a retry is cancelled, what has not begun is skipped."""
    slow = retry(3) | {"backoff": {"initial": "30s", "jitter": False}}
    await fails(
        stage,
        "drain-1",
        prints("runs", "sleep 1; echo done"),
        step("waits", "exit 4", retry=slow),
        step("bad", "sleep 0.4; exit 3"),
        step("after", needs=["runs"]),
        step("never", needs=["bad"]),
    )


@scenario
async def sibling_fails_while_draining(stage: Stage) -> None:
    """Two fail one after the other: the first error is the execution's, and the second is not tried again."""
    await fails(
        stage,
        "second-1",
        step("bad", "sleep 0.2; exit 3"),
        step("worse", "sleep 0.6; exit 4", retry=retry(3)),
    )


@scenario
async def two_fail_at_once(stage: Stage) -> None:
    """The leader learns of two failures at the same time: the first in the definition is the execution's error."""
    leader = await stage.leader()
    await stage.machine()
    await stage.submit("both-1", step("late", "sleep 0.4; exit 3"), step("early", "sleep 0.3; exit 4"))
    await stage.log.until("step.started", count=2)
    leader.pause()
    await stage.log.until("attempt.failed", count=2)
    leader.unpause()
    assert await stage.log.ended("both-1") == ["failed"]
