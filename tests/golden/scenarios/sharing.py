"""Executions that share a key: one waits for the other, one is replaced, one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.errors import ConcurrencyLimitError, ForbiddenFunctionError
from tests.golden.scenario import scenario, step
from tests.golden.stage import Stage


def sharing(on_conflict: str) -> dict[str, Any]:
    """What a workflow claims."""
    return {"concurrency": {"key": "k", "on_conflict": on_conflict}}


@scenario
async def turn_taken(stage: Stage) -> None:
    """One waits for its turn until the other has ended; a third is refused."""
    await stage.leader()
    await stage.machine()
    await stage.submit("first-1", step("a", "sleep 0.3"), **sharing("queue"))
    await stage.log.until("attempt.started")
    await stage.submit("second-1", step("a"), **sharing("queue"))
    with pytest.raises(ConcurrencyLimitError):
        await stage.submit("third-1", step("a"), **sharing("reject"))
    assert await stage.log.ended("first-1", "second-1") == ["succeeded", "succeeded"]


@scenario
async def replaced(stage: Stage) -> None:
    """The newer one has the older cancelled, and begins when its step was stopped."""
    await stage.leader()
    await stage.machine()
    await stage.submit("old-1", step("a", "exec sleep 60"), **sharing("cancel_running"))
    await stage.log.until("attempt.started")
    await stage.submit("new-1", step("a"), **sharing("cancel_running"))
    assert await stage.log.ended("old-1", "new-1") == ["cancelled", "succeeded"]


@scenario
async def too_late(stage: Stage) -> None:
    """The time of an execution is over: its step is stopped, and what is run at the end is run."""
    await stage.leader()
    await stage.machine()
    slow = step("a", "exec sleep 60", stop_grace_period="1s")
    assert await stage.run("late-1", slow, timeout="500ms", on_finish=[step("tidy")]) == "failed"


@scenario
async def tag_not_held(stage: Stage) -> None:
    """A step requires a tag that the execution does not hold; with it, and with a higher priority, it is accepted."""
    await stage.leader()
    await stage.machine()
    with pytest.raises(ForbiddenFunctionError):
        await stage.submit("tagged-1", step("a", tags=["gpu"]))
    assert await stage.run("tagged-2", step("a", tags=["gpu"]), tags=["gpu"], priority=7) == "succeeded"


@scenario
async def limits_reached(stage: Stage) -> None:
    """A loop may begin two of its three members, and one container of an image; the others fail."""
    await stage.leader()
    await stage.machine()
    three = {"default": [1, 2, 3]}
    each = {"id": "each", "for_each": {"in": "${{ inputs.l }}", "max_parallel": 1, "steps": [step("a")]}}
    assert await stage.run("steps-1", each, inputs={"l": three}, limits={"steps": 3}) == "failed"
    again = step("b", needs=["a"], **{"if": "inputs.on"})
    more = {"inputs": {"on": {"default": True}}, "limits": {"functions": {"none": 1}}}
    assert await stage.run("functions-1", step("a"), again, **more) == "failed"


@scenario
async def steps_take_turns(stage: Stage) -> None:
    """Two steps claim a key, one waits for the other; a third would not wait, and fails."""
    await stage.leader()
    await stage.machine()
    claim = {"key": "k"}
    first, second = step("a", "sleep 0.3", concurrency=claim), step("b", concurrency=claim)
    impatient = step("c", concurrency=claim | {"on_conflict": "reject"})
    assert await stage.run("turns-1", first, second, impatient, on_failure="continue") == "failed"


@scenario
async def step_replaced(stage: Stage) -> None:
    """A step of a newer execution replaces that of an older one, which is stopped."""
    await stage.leader()
    await stage.machine()
    claim = {"key": "k", "on_conflict": "cancel_running"}
    await stage.submit("older-1", step("a", "exec sleep 60", concurrency=claim))
    await stage.log.until("attempt.started")
    await stage.submit("newer-1", step("a", concurrency=claim))
    assert await stage.log.ended("older-1", "newer-1") == ["failed", "succeeded"]
