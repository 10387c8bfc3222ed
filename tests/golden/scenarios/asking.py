"""What is asked of the scheduler: cancels at every moment, and commands that are refused."""

from __future__ import annotations

import asyncio
from typing import Any

from muster.model.log.commands import Cancel, Clear, Command, Submit
from tests.golden.scenario import scenario, step
from tests.golden.stage import Stage, fresh

DEAF = "trap '' TERM; while :; do sleep 0.1; done"
LONG = "exec sleep 60"


@scenario
async def cancel_with_submit(stage: Stage) -> None:
    """Submit and cancel come together, in one round: the execution ends before it began."""
    leader = await stage.leader()
    await stage.machine()
    leader.pause()
    workflow = {"name": "both", "steps": [step("it")]}
    await stage.send("submit", Submit(id=fresh(), execution="both-1", workflow=workflow))
    await stage.send("cancel", Cancel(id=fresh(), execution="both-1"))
    leader.unpause()
    assert await stage.log.ended("both-1") == ["cancelled"]
    assert stage.log.of("execution.started") == []


@scenario
async def cancel_while_queued(stage: Stage) -> None:
    """Cancelled before any machine took a step: nothing runs."""
    await stage.leader()
    await stage.submit("queued-1", step("first"), step("second", needs=["first"]))
    await stage.client.cancel("queued-1", "not wanted")
    assert await stage.log.ended("queued-1") == ["cancelled"]
    await stage.machine()
    assert await stage.run("after-1", step("work")) == "succeeded"


@scenario
async def cancel_while_running(stage: Stage) -> None:
    """Cancelled while one step runs and another waits for its slot: the first is stopped, the second never starts."""
    await stage.leader()
    await stage.machine(slots=1)
    await stage.submit("running-1", step("runs", LONG), step("waits", LONG))
    await stage.log.until("attempt.started")
    await stage.client.cancel("running-1", "enough")
    assert await stage.log.ended("running-1") == ["cancelled"]


@scenario
async def cancel_after_long(stage: Stage) -> None:
    """Cancelled longer after its start than a start may go untaken: the attempt is stopped, and not lost."""
    await stage.leader(policy={"accept_timeout_s": 0.5})
    await stage.machine()
    await stage.submit("long-1", step("it", LONG))
    await stage.log.until("attempt.started")
    await asyncio.sleep(1.0)  # beyond the timeout
    await stage.client.cancel("long-1")
    assert await stage.log.ended("long-1") == ["cancelled"]


@scenario
async def cancel_deaf(stage: Stage) -> None:
    """What does not listen to SIGTERM is killed after its grace period."""
    await stage.leader()
    await stage.machine()
    await stage.submit("deaf-1", step("it", DEAF, stop_grace_period="500ms"))
    await stage.log.until("attempt.started")
    await stage.client.cancel("deaf-1")
    assert await stage.log.ended("deaf-1") == ["cancelled"]


@scenario
async def cancel_twice(stage: Stage) -> None:
    """A second cancel, and one of an execution that has ended, change nothing."""
    await stage.leader()
    await stage.machine()
    await stage.submit("twice-1", step("it", DEAF, stop_grace_period="500ms"))
    await stage.log.until("attempt.started")
    for _ in range(2):
        await stage.send("cancel", Cancel(id=fresh(), execution="twice-1", reason="enough"))
    assert await stage.log.ended("twice-1") == ["cancelled"]
    await stage.send("cancel", Cancel(id=fresh(), execution="twice-1", reason="late"))
    assert await stage.run("after-1", step("work")) == "succeeded"


@scenario
async def cancel_between_attempts(stage: Stage) -> None:
    """Cancelled while a step waits for its next attempt: there is none."""
    await stage.leader()
    await stage.machine()
    waits = {"max_attempts": 3, "backoff": {"initial": "30s"}}
    await stage.submit("between-1", step("it", "exit 3", retry=waits))
    await stage.log.until("step.retrying")
    await stage.client.cancel("between-1")
    assert await stage.log.ended("between-1") == ["cancelled"]


@scenario
async def cancel_while_failing(stage: Stage) -> None:
    """Cancelled while a failed execution lets its other step end: cancelled it is."""
    await stage.leader()
    await stage.machine()
    await stage.submit("failing-1", step("bad", "exit 3"), step("slow", LONG))
    await stage.log.until("execution.ending")
    # The client would say that it is ending already.
    await stage.send("cancel", Cancel(id=fresh(), execution="failing-1", reason="do not wait"))
    assert await stage.log.ended("failing-1") == ["cancelled"]


@scenario
async def cancel_unanswered(stage: Stage) -> None:
    """A machine that does not stop its attempt in time is not waited for, and what it says later changes nothing."""
    await stage.leader(policy={"ending_timeout_s": 0.5})
    agent = await stage.machine(interval_s=30.0)
    await stage.submit("unanswered-1", step("it", LONG, stop_grace_period="500ms"))
    await stage.log.until("attempt.started")
    agent.pause()
    await stage.client.cancel("unanswered-1")
    assert await stage.log.ended("unanswered-1") == ["cancelled"]
    agent.unpause()
    await stage.log.until("attempt.stopped")
    assert await stage.run("after-1", step("work")) == "succeeded"


@scenario
async def refused(stage: Stage) -> None:
    """Every error with which a command is refused, and one execution among them that nothing happens to."""
    await stage.leader(policy={"steps_max": 2})
    await stage.machine()
    good = {"name": "good", "steps": [step("it")]}
    text = good | {"inputs": {"text": {"type": "string"}}}
    unknown = {"name": "unknown", "steps": [step("it", "echo ${{ steps.other.outputs.text }}")]}
    submits: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "missing-input": (text, {}),
        "unknown-input": (good, {"x": 1}),
        "wrong-type": (text, {"text": 3}),
        "invalid": (unknown, {}),
        "twins": ({"name": "twins", "steps": [step("a"), step("a")]}, {}),
        "no-cel": ({"name": "no-cel", "steps": [step("a", "echo ${{ 1 + }}")]}, {}),
        "long": ({"name": "long", "steps": [step(f"s{number}") for number in range(3)]}, {}),
        "no.id": (good, {}),
    }
    for execution, (workflow, inputs) in submits.items():
        submit = Submit(id=fresh(), execution=execution, workflow=workflow, inputs=inputs)
        await stage.send("submit", submit)
    await stage.submit("accepted-1", step("it", "sleep 1"))
    commands: list[Command] = [
        Submit(id=fresh(), execution="accepted-1", workflow=good),
        Clear(id=fresh(), execution="accepted-1"),
        Cancel(id=fresh(), execution="nobody"),
        Clear(id=fresh(), execution="nobody"),
        Cancel(id="x" * 200, execution="accepted-1"),
    ]
    for command in commands:
        await stage.send(type(command).__name__.lower(), command)
    assert await stage.log.ended("accepted-1") == ["succeeded"]
    await stage.log.until("command.refused", count=len(submits) + 5)


@scenario
async def submitted_twice(stage: Stage) -> None:
    """The same submit again, while it runs and after it ended, changes nothing."""
    await stage.leader()
    await stage.machine()
    workflow = {"name": "same", "steps": [step("it", "sleep 0.3")]}
    for _ in range(2):
        await stage.send("submit", Submit(id=fresh(), execution="same-1", workflow=workflow))
    assert await stage.log.ended("same-1") == ["succeeded"]
    await stage.send("submit", Submit(id=fresh(), execution="same-1", workflow=workflow))
    assert await stage.run("after-1", step("work")) == "succeeded"
