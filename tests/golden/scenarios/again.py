"""What is run again, and what of it is taken over instead."""

from __future__ import annotations

from typing import Any

from tests.golden.scenario import prints, scenario, step
from tests.golden.stage import Stage


def flaky() -> list[dict[str, Any]]:
    """Steps of which one fails in the execution first-1."""
    script = 'set -e; test "$ITEM $MUSTER_EXECUTION" != "b first-1"; echo "$ITEM $$"'
    work = prints("work", script, environment={"ITEM": "${{ item }}"})
    return [
        prints("make", "echo $$"),
        {"id": "keep", "set": {"made": "${{ steps.make.outputs.said }}"}},
        {"id": "each", "for_each": {"in": ["a", "b"], "on_failure": "continue", "steps": [work]}},
        step("last", 'echo "$MADE"', environment={"MADE": "${{ vars.made }}"}, needs=["each", "keep"]),
    ]


@scenario
async def rerun_of_what_failed(stage: Stage) -> None:
    """One member of a loop failed: a rerun runs it and what needs it, and takes the rest over."""
    await stage.leader()
    await stage.machine()
    assert await stage.run("first-1", *flaky(), on_failure="continue") == "failed"
    await stage.client.rerun("first-1", only_failed=True, rerun_as="second-1")
    assert await stage.log.ended("second-1") == ["succeeded"]


@scenario
async def rerun_from_a_step(stage: Stage) -> None:
    """A run that succeeded is run again from a step on; as a whole it is run with another input."""
    await stage.leader()
    await stage.machine()
    said = prints("say", 'echo "$WORD"', environment={"WORD": "${{ inputs.word }}"})
    steps = [prints("make", "echo $$"), {**said, "needs": ["make"]}]
    assert await stage.run("one-1", *steps, inputs={"word": {"default": "first"}}) == "succeeded"
    await stage.client.rerun("one-1", from_step="say", rerun_as="two-1")
    assert await stage.log.ended("two-1") == ["succeeded"]
    await stage.client.rerun("one-1", inputs={"word": "second"}, rerun_as="three-1")
    assert await stage.log.ended("three-1") == ["succeeded"]


@scenario
async def cached(stage: Stage) -> None:
    """What a step gave is given again in another execution, but not where that was refused, nor under another key."""
    await stage.leader()
    await stage.machine()
    key = {"key": ["v1", "${{ inputs.word }}"], "max_age": "1h"}
    make = prints("make", "echo $$", cache=key)
    declared: dict[str, Any] = {"inputs": {"word": {}}}
    assert await stage.run("made-1", make, given={"word": "a"}, name="cached", **declared) == "succeeded"
    assert await stage.run("found-1", make, given={"word": "a"}, name="cached", **declared) == "succeeded"
    assert await stage.run("other-1", make, given={"word": "b"}, name="cached", **declared) == "succeeded"
    await stage.client.rerun("found-1", no_cache=True, rerun_as="fresh-1")
    assert await stage.log.ended("fresh-1") == ["succeeded"]
