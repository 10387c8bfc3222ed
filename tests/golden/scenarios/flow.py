"""Workflows that end well: every construct there is."""

from __future__ import annotations

import asyncio

from tests.golden.scenario import prints, retry, scenario, step, writes
from tests.golden.stage import Stage


@scenario
async def hello(stage: Stage) -> None:
    """One step on one machine, which succeeds."""
    await stage.leader()
    await stage.machine()
    assert await stage.run("hello-1", prints("greet", "echo hello")) == "succeeded"


@scenario
async def chain(stage: Stage) -> None:
    """Three steps hand a value on, and the workflow returns it."""
    await stage.leader()
    await stage.machine()
    steps = [
        prints("first", "echo ${{ inputs.word }}"),
        prints("second", "echo ${{ steps.first.outputs.said }}-second"),
        prints("third", "echo ${{ steps.second.outputs.said }}-third"),
    ]
    more = {
        "inputs": {"word": {"type": "string", "default": "hey"}},
        "outputs": {"text": "${{ steps.third.outputs.said }}"},
    }
    assert await stage.run("chain-1", *steps, **more) == "succeeded"


@scenario
async def diamond(stage: Stage) -> None:
    """The two middle steps of a diamond run at the same time, on two machines."""
    await stage.leader()
    await stage.machine("m1", slots=1)
    await stage.machine("m2", slots=1)
    steps = [
        prints("first", "echo a"),
        prints("left", "sleep 0.2; echo ${{ steps.first.outputs.said }}l"),
        prints("right", "sleep 0.2; echo ${{ steps.first.outputs.said }}r"),
        prints("last", "echo ${{ steps.left.outputs.said + steps.right.outputs.said }}"),
    ]
    outputs = {"text": "${{ steps.last.outputs.said }}"}
    assert await stage.run("diamond-1", *steps, outputs=outputs) == "succeeded"


@scenario
async def fan_out_one_slot(stage: Stage) -> None:
    """Four siblings queue for one slot in the order of the definition, and the fan-in keeps that order."""
    await stage.leader()
    await stage.machine(slots=1)
    names = ["delta", "alpha", "charlie", "bravo"]
    list_ = ", ".join(f"steps.{name}.outputs.said" for name in names)
    steps = [
        *(prints(name, f"echo {name}") for name in names),
        prints("join", f"echo '${{{{ [{list_}] }}}}'", "array"),
    ]
    outputs = {"all": "${{ steps.join.outputs.said }}"}
    assert await stage.run("fan-1", *steps, outputs=outputs) == "succeeded"


@scenario
async def typed_values(stage: Stage) -> None:
    """Numbers, truth values, lists, objects and null keep their types through outputs and expressions."""
    await stage.leader()
    await stage.machine()
    document = '{"n": 3, "x": 2.5, "yes": true, "list": [1, "a"], "map": {"k": [null]}, "nothing": null}'
    kinds = {
        "n": "integer",
        "x": "number",
        "yes": "boolean",
        "list": "array",
        "map": "object",
        "nothing": "any",
    }
    make = writes("make", document, {name: {"type": kind} for name, kind in kinds.items()})
    use = step(
        "use",
        'cp "$MUSTER_INPUT" "$MUSTER_OUTPUT"',
        inputs={"twice": "${{ steps.make.outputs.n * 2 }}", "list": "${{ steps.make.outputs.list }}"},
        outputs={"twice": {"type": "integer"}, "list": {"type": "array"}},
    )
    outputs = {name: f"${{{{ steps.make.outputs.{name} }}}}" for name in kinds} | {
        "six": "${{ steps.use.outputs.twice }}",
        "larger": "${{ steps.use.outputs.twice > steps.make.outputs.n }}",
        "text": "n is ${{ steps.make.outputs.n }}",
    }
    assert await stage.run("typed-1", make, use, outputs=outputs) == "succeeded"


@scenario
async def declared_outputs(stage: Stage) -> None:
    """Outputs in a file and from stdout; one that is left out has its default, or is null where it is not required."""
    await stage.leader()
    await stage.machine()
    outputs = {
        "count": {"type": "integer"},
        "unit": {"type": "string", "default": "words"},
        "note": {"type": "string", "required": False},
        "printed": {"type": "object", "source": "stdout"},
    }
    count = step("count", """echo '{"count": 7}' > $MUSTER_OUTPUT; echo '{"a": 1}'""", outputs=outputs)
    returned = {"line": "${{ string(steps.count.outputs.count) + ' ' + steps.count.outputs.unit }}"}
    assert await stage.run("declared-1", count, outputs=returned) == "succeeded"


@scenario
async def places(stage: Stage) -> None:
    """Steps go where labels, a name or resources say, and wait for room in cores and memory."""
    await stage.leader()
    await stage.machine("m1", labels={"disk": "fast"}, slots=8)
    await stage.machine("m2", labels={"disk": "slow"}, slots=8)
    steps = [
        step("slow", machine={"labels": {"disk": "slow"}}),
        step("fast", machine={"labels": {"disk": "fast"}}),
        step("named", machine="m2"),
        *(step(f"cores-{number}", "sleep 0.1", resources={"cpus": 3}) for number in (1, 2, 3)),
        *(step(f"memory-{number}", "sleep 0.1", resources={"memory": "3Gi"}) for number in (1, 2, 3)),
        step("wide", resources={"slots": 8}),
        step("every-core", resources={"cpus": 4}),
        step("every-byte", resources={"memory": "4Gi"}),
    ]
    assert await stage.run("places-1", *steps) == "succeeded"


@scenario
async def retry_then_success(stage: Stage) -> None:
    """A step fails twice, with the wait growing in between, and succeeds the third time."""
    await stage.leader()
    await stage.machine()
    work = prints("work", "test $MUSTER_ATTEMPT = 3 && echo third", retry=retry(3))
    assert await stage.run("retry-1", work) == "succeeded"


@scenario
async def retry_with_jitter(stage: Stage) -> None:
    """The wait before a retry is drawn from the attempt's name, and so comes out again."""
    await stage.leader()
    await stage.machine()
    drawn = {"max_attempts": 4, "backoff": {"initial": "40ms", "factor": 3, "max": "200ms"}}
    work = prints("work", "test $MUSTER_ATTEMPT = 4 && echo fourth", retry=drawn)
    assert await stage.run("jitter-1", work) == "succeeded"


@scenario
async def two_executions(stage: Stage) -> None:
    """Two executions compete for two slots: whose step was ready first comes first."""
    await stage.leader()
    await stage.machine("m1", slots=1)
    await stage.machine("m2", slots=1)
    for name in ("blue", "green"):
        steps = [step(f"s{number}", "sleep 0.1") for number in (1, 2, 3)]
        last = step("last", needs=["s1", "s2", "s3"])
        await stage.submit(f"{name}-1", *steps, last)
    assert await stage.log.ended("blue-1", "green-1") == ["succeeded"] * 2


@scenario
async def two_end_at_once(stage: Stage) -> None:
    """The leader learns of the ends of two executions at the same time: it decides in the order they were accepted."""
    leader = await stage.leader()
    await stage.machine()
    await stage.submit("older-1", step("it", "sleep 0.6"))
    await stage.submit("newer-1", step("it", "sleep 0.4"))
    await stage.log.until("step.started", count=2)
    leader.pause()
    await stage.log.until("attempt.finished", count=2)
    leader.unpause()
    assert await stage.log.ended("older-1", "newer-1") == ["succeeded"] * 2


@scenario
async def machine_comes_later(stage: Stage) -> None:
    """A step waits while there is no machine at all, and runs on the first that connects."""
    await stage.leader()
    await stage.submit("later-1", step("work"))
    await stage.log.until("execution.started")
    await asyncio.sleep(0.3)  # for rounds that decide nothing
    await stage.machine()
    assert await stage.log.ended("later-1") == ["succeeded"]
