"""A function without a broker, as ``muster function run`` has it. The container is pretended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import AttemptLostError, ExecutionError, FunctionCrashedError, FunctionLoadError
from muster_agents.functions.alone import Alone
from muster_agents.options import AgentOptions
from tests.unit.agents.functions.pretending import Pretender, Servings, echoes

SPEC = ContainerSpec(image="none", function="app:f")


def alone(runtime: Servings) -> Alone:
    """One whose prints and words nobody looks at."""
    return Alone(runtime, SPEC, AgentOptions(name="function"), lambda _: None, lambda *_: None)


def deaf_to(method: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that takes nothing of this, as it is about to end."""
    send = Pretender.send

    async def ends(serving: Pretender, text: bytes) -> None:
        if b'"%b"' % method not in text:
            return await send(serving, text)
        serving.ears.print("stderr", b"no python here\n")
        asyncio.get_running_loop().call_soon(serving.end, 3)
        raise AttemptLostError("nobody reads there")

    monkeypatch.setattr(Pretender, "send", ends)


async def test_what_ends_before_it_takes_its_load(monkeypatch: pytest.MonkeyPatch):
    """It says how it ended, and with which words, not only that nobody reads there."""
    deaf_to(b"load", monkeypatch)
    async with alone(Servings()) as it:
        with pytest.raises(FunctionLoadError) as found:
            await it.load()
    assert (found.value.data["exit_code"], found.value.data["tail"]) == (3, ["no python here"])


async def test_what_ends_before_it_takes_a_call(monkeypatch: pytest.MonkeyPatch):
    """The same of a call."""
    deaf_to(b"execute", monkeypatch)
    async with alone(Servings()) as it:
        await it.load()
        with pytest.raises(FunctionCrashedError) as found:
            await it.call({}, {}, None)
    assert (found.value.data["exit_code"], found.value.data["tail"]) == (3, ["no python here"])


async def test_one_that_was_removed():
    """Where nobody knows how it ended, what is known is said."""
    runtime = Servings()

    def goes(serving: Pretender, _: Any) -> None:
        serving.ended.set_exception(AttemptLostError("The container was removed by somebody else."))

    runtime.calling = goes
    async with alone(runtime) as it:
        await it.load()
        with pytest.raises(AttemptLostError, match="removed by somebody else"):
            await it.call({}, {}, None)


async def test_a_failure_has_its_value():
    """What a function gives with a failure belongs to the error."""
    runtime = Servings()
    result = {"$result": "failure", "reason": "no such user", "value": {"id": 4}}
    runtime.calling = lambda serving, message: serving.say(id=message["id"], result=result)
    async with alone(runtime) as it:
        await it.load()
        with pytest.raises(ExecutionError, match="no such user") as found:
            await it.call({}, {}, None)
        runtime.calling = echoes
        assert (await it.call({"n": 1}, {}, None)).outputs == {"n": 1}
    assert found.value.data["value"] == {"id": 4}
