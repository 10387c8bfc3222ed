"""Functions in containers: what they give, ask for and raise, told by the phases of a call."""

from __future__ import annotations

from typing import Any

from tests.golden.scenario import in_docker, retry, scenario
from tests.golden.stage import Stage


def calls(
    stage: Stage, id_: str, function: str, inputs: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A step that calls a function of the acceptance tests."""
    return {"id": id_, "image": stage.python, "function": function, "inputs": inputs or {}, **more}


async def ready(stage: Stage) -> None:
    """A leader and a machine that runs containers."""
    await stage.leader()
    await stage.machine(runtime="docker")


@in_docker
async def function_called(stage: Stage) -> None:
    """A function, a class that is loaded first, and one that asks to be called again, phase by phase."""
    await ready(stage)
    twice = calls(stage, "twice", "outcomes:double", {"n": 4}, outputs={"n": {"type": "integer"}})
    scale = calls(stage, "scale", "outcomes:Scale", {"n": "${{ steps.twice.outputs.n }}"})
    polls = calls(stage, "polls", "outcomes:polls", needs=["scale"])
    assert await stage.run("called-1", twice, scale, polls) == "succeeded"


@in_docker
async def function_errors(stage: Stage) -> None:
    """What is not there, what cannot be loaded, and what raises, each with its error; a failed load is tried again."""
    await ready(stage)
    broken = {"retry": retry(1, load=2)}
    steps = [
        calls(stage, "nowhere", "nowhere:f"),
        calls(stage, "broken", "broken:f", **broken),
        calls(stage, "asserts", "outcomes:asserts"),
        calls(stage, "raises", "outcomes:looks_up"),
        calls(stage, "refuses", "outcomes:refuses"),
    ]
    assert await stage.run("errors-1", *steps, on_failure="continue") == "failed"


def root(id_: str, n: int = 9, **more: Any) -> dict[str, Any]:
    """A step that calls what every Python has."""
    return {"id": id_, "image": "anything:1", "function": "math:sqrt", "inputs": {"0": n}, **more}


@scenario
async def function_kept(stage: Stage) -> None:
    """Calls go where their function is loaded, one too many elsewhere; then the containers go, each for a reason."""
    await stage.leader()
    await stage.machine("m1", function_idle_s=1.0)
    second = await stage.machine("m2")
    assert await stage.run("kept-1", root("first", machine="m2")) == "succeeded"
    assert await stage.run("kept-2", root("warm", 16)) == "succeeded"
    assert (
        await stage.run("kept-3", root("one"), root("two"), root("own", isolation="execution")) == "succeeded"
    )
    await stage.log.until("function.unloaded", machine="m1")
    crash = {"id": "it", "image": "anything:1", "function": "os:_exit", "inputs": {"0": 3}, "machine": "m2"}
    assert await stage.run("crashed-1", crash) == "failed"
    await second.end()
    await stage.log.until("machine.disconnected", machine="m2")


@in_docker
async def function_found_again(stage: Stage) -> None:
    """An agent that was killed finds its functions loaded when it comes back, says so, and the next call is warm."""
    await stage.leader()
    agent = await stage.machine(runtime="docker")
    assert await stage.run("found-1", calls(stage, "first", "outcomes:double", {"n": 4})) == "succeeded"
    agent.kill()
    await stage.machine(runtime="docker")
    assert await stage.run("found-2", calls(stage, "warm", "outcomes:double", {"n": 5})) == "succeeded"
