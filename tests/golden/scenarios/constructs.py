"""Control steps: what waits, chooses, repeats, calls and is run at the end, and what containers say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.errors import InvalidArgumentError
from muster.model.log.catalogue import StepWaiting
from muster.model.log.envelope import Recorded
from tests.golden.scenario import prints, scenario, step, writes
from tests.golden.stage import Stage

ASK: dict[str, Any] = {
    "id": "ask",
    "wait_for_input": {"prompt": "Publish?", "schema": {"type": "object", "required": ["ok"]}},
}
INNER: dict[str, Any] = {
    "name": "inner",
    "inputs": {"x": {"type": "integer"}},
    "steps": [prints("double", "echo $((2 * ${{ inputs.x }}))", "integer")],
    "outputs": {"y": "${{ steps.double.outputs.said }}"},
}
NUMBER = {"n": {"type": "integer"}}


async def ready(stage: Stage) -> None:
    """A leader and one machine."""
    await stage.leader()
    await stage.machine()


def token(waits: Recorded) -> str:
    """The token of a step that waits."""
    assert isinstance(waits.event.data, StepWaiting)
    return waits.event.data.token


@scenario
async def input_given(stage: Stage) -> None:
    """An execution waits for a person: what does not fit is refused, then it goes on with the answer."""
    await ready(stage)
    after = prints("publish", "echo published", **{"if": "steps.ask.outputs.ok"})
    await stage.submit("input-1", ASK, after)
    await stage.log.until("execution.waiting")
    with pytest.raises(InvalidArgumentError):
        await stage.client.resume("input-1", {"no": 1})
    assert (await stage.client.resume("input-1", {"ok": True})).changed
    assert await stage.log.ended("input-1") == ["succeeded"]
    assert not (await stage.client.resume("input-1", {"ok": False})).changed


@scenario
async def input_by_token(stage: Stage) -> None:
    """Two steps wait, and one of them is answered by its token alone; meanwhile the other still waits."""
    await ready(stage)
    await stage.submit("token-1", ASK, {**ASK, "id": "other"})
    waits = await stage.log.until("step.waiting", step="other")
    await stage.log.until("execution.waiting")
    await stage.client.resume(None, {"ok": 2}, token=token(waits))
    await stage.client.resume("token-1", {"ok": 1}, step="ask")
    assert await stage.log.ended("token-1") == ["succeeded"]


@scenario
async def input_too_late(stage: Stage) -> None:
    """Nobody answers in time: the step fails, and so does the execution."""
    await ready(stage)
    ask = {"id": "ask", "wait_for_input": {"prompt": "Anybody?", "timeout": "200ms"}}
    assert await stage.run("late-1", ask) == "failed"


@scenario
async def cancel_while_waiting(stage: Stage) -> None:
    """Cancelled while a step waits for input: there is nothing to stop."""
    await ready(stage)
    await stage.submit("given-up-1", ASK)
    await stage.log.until("execution.waiting")
    await stage.client.cancel("given-up-1", "nobody cares")
    assert await stage.log.ended("given-up-1") == ["cancelled"]


@scenario
async def asleep(stage: Stage) -> None:
    """A step sleeps for a while, another until a time that has passed."""
    await ready(stage)
    steps: list[dict[str, Any]] = [
        {"id": "nap", "sleep": "150ms"},
        {"id": "until", "sleep_until": "2026-01-01T00:00:00Z", "needs": ["nap"]},
        step("work", needs=["until"]),
    ]
    assert await stage.run("asleep-1", *steps) == "succeeded"


@scenario
async def choices(stage: Stage) -> None:
    """Conditions skip a step, an if takes one of two branches, a switch the first case that holds."""
    await ready(stage)
    steps: list[dict[str, Any]] = [
        step("never", **{"if": "inputs.n > 10"}),
        prints("after", "echo after", needs=["never"]),
        {"id": "branch", "if": "inputs.n > 1", "then": [prints("yes", "echo yes")], "else": [step("no")]},
        {
            "id": "switched",
            "switch": [
                {"case": "inputs.n > 5", "name": "large", "then": [step("a")]},
                {"name": "small", "then": [{"id": "a", "log": "small"}]},
            ],
        },
    ]
    more = {
        "inputs": {"n": {"type": "integer", "default": 3}},
        "outputs": {
            "branch": "${{ steps.branch.outputs.said }}",
            "switched": "${{ steps.switched.outputs.message }}",
        },
    }
    assert await stage.run("choices-1", *steps, **more) == "succeeded"


@scenario
async def items(stage: Stage) -> None:
    """A loop runs two of its items at a time and gives their outputs in order; a map reduces them."""
    await ready(stage)
    double = prints("double", "echo $((2 * ${{ item }}))", "integer")
    each = {"id": "each", "for_each": {"in": [3, 1, 2], "max_parallel": 2, "steps": [double]}}
    total = {
        "id": "total",
        "map": {
            "over": "${{ steps.each.outputs.items }}",
            "steps": [{"id": "same", "log": "${{ item.said }}"}],
            "reduce": "${{ item.result + item.value.message }}",
            "initial": "",
        },
    }
    outputs = {"text": "${{ steps.total.outputs.result }}"}
    assert await stage.run("items-1", each, total, outputs=outputs) == "succeeded"


@scenario
async def item_fails(stage: Stage) -> None:
    """After an item has failed no other begins, and the loop fails with its error."""
    await ready(stage)
    inner = step("one", "test ${{ item }} -ne 2")
    assert (
        await stage.run(
            "item-1", {"id": "each", "for_each": {"in": [1, 2, 3, 4], "max_parallel": 1, "steps": [inner]}}
        )
        == "failed"
    )


@scenario
async def child(stage: Stage) -> None:
    """A step runs another workflow as an execution of its own and has its outputs."""
    await ready(stage)
    call = {"id": "call", "workflow": "inner", "inputs": {"x": 7}}
    outputs = {"y": "${{ steps.call.outputs.y }}"}
    assert await stage.run("child-1", call, outputs=outputs, workflows={"inner": INNER}) == "succeeded"


@scenario
async def child_cancelled(stage: Stage) -> None:
    """A cancel travels down to the child, whose step is stopped."""
    await ready(stage)
    inner = {"name": "inner", "steps": [step("long", "exec sleep 60")]}
    await stage.submit("parent-1", {"id": "call", "workflow": "inner"}, workflows={"inner": inner})
    await stage.log.until("attempt.started")
    await stage.client.cancel("parent-1", "enough")
    assert await stage.log.ended("parent-1") == ["cancelled"]


@scenario
async def handlers(stage: Stage) -> None:
    """A step raises: its handler runs, what is always run runs, and at the end what is run at the end."""
    await ready(stage)
    steps: list[dict[str, Any]] = [
        {"id": "check", "error": "too large", "on_failure": [{"id": "tell", "log": "${{ error.message }}"}]},
        step("after", needs=["check"]),
        step("always", needs=["check"], always=True),
    ]
    assert await stage.run("handlers-1", *steps, on_finish=[step("tidy")]) == "failed"


@scenario
async def variables(stage: Stage) -> None:
    """Variables are set and read; a return ends the execution with its value, and what was to come is skipped."""
    await ready(stage)
    chain = [
        {"id": "put", "set": {"count": 2}},
        {"id": "read", "get": "count"},
        {"id": "leave", "return": {"count": "${{ steps.read.outputs.value + 1 }}"}},
        step("never"),
    ]
    assert await stage.run("variables-1", {"chain": chain}) == "succeeded"


@scenario
async def container_results(stage: Stage) -> None:
    """A container skips its step, one asks to be run again, one to be looked at later, with what it remembers."""
    await ready(stage)
    again = '{"$result": "retry", "wait_min": "20ms", "wait_max": "30ms", "reason": "busy"}'
    later = '{"$result": "check_later", "wait_for": "50ms", "context": {"job": 17}}'
    steps: list[dict[str, Any]] = [
        writes("skips", '{"$result": "skip", "reason": "nothing new"}', {}, gives_result=True),
        _second("again", "test $MUSTER_ATTEMPT = 1", again),
        _second("later", "test ! -s $MUSTER_CONTEXT", later),
    ]
    assert await stage.run("results-1", *steps) == "succeeded"


@scenario
async def asked_too_often(stage: Stage) -> None:
    """A container asks to be run again more often than it allowed itself: RetriableError because of RetryAskedError."""
    await ready(stage)
    asks = '{"$result": "retry", "wait_min": "20ms", "wait_max": "30ms", "max_retries": 1, "reason": "busy"}'
    assert await stage.run("often-1", writes("it", asks, {}, gives_result=True)) == "failed"


def _second(id_: str, first: str, document: str) -> dict[str, Any]:
    """A step that gives ``document`` where ``first`` holds, and its output otherwise."""
    script = f"if {first}; then echo '{document}'; else echo '{{\"n\": 2}}'; fi > $MUSTER_OUTPUT"
    return step(id_, script, outputs=NUMBER)
