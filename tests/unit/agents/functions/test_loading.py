"""Functions that cannot be loaded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.functions.pretending import LOADED, Pretender, keeps
from tests.unit.agents.functions.test_calls import call
from tests.unit.agents.scene import TIMEOUTS, Scene


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"error": {"code": -32010, "message": "no module app"}}, "function_not_found"),
        ({"error": {"code": -32011, "message": "RuntimeError: no weights"}}, "function_load"),
        ({"error": {"code": -32012, "message": "no", "data": {"supported": [2]}}}, "function_load"),
        ({"error": {"code": -32601, "message": "load?"}}, "function_load"),
        ({"result": LOADED | {"protocol": 2}}, "function_load"),
        ({"result": LOADED | {"concurrency": 0}}, "function_load"),
        ({"result": "yes"}, "function_load"),
        ({"result": float("nan")}, "function_load"),
        ({"error": {"code": -32001, "message": "no"}}, "function_load"),
        ({"error": {"code": [1], "message": "no"}}, "function_load"),
    ],
)
async def test_what_cannot_be_loaded_leaves_no_container(
    scene: Scene, fake: FakeRuntime, answer: Any, code: str
):
    """The load phase fails, the container is removed, and nothing was unloaded: it never was loaded."""
    fake.loading = lambda serving, message: serving.say(id="load", **answer)
    async with scene.agent():
        await scene.start(call(1))
        failed = await scene.until("attempt.failed")
        assert (failed.error.code, failed.phase, failed.error.phase) == (code, "load", "load")
        assert fake.made[0].diary[-1] == "remove"
        assert "function.loaded" not in await scene.kinds("e1")
    assert "function.unloaded" not in [recorded.event.kind for recorded in await scene.events()]


async def test_a_load_that_never_ends(scene: Scene, fake: FakeRuntime):
    """Its timeout is an error of the load phase, and the container is gone."""
    fake.loading = keeps
    async with scene.agent():
        await scene.start(call(1, timeouts=msgspec.structs.replace(TIMEOUTS, load=0.05)))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.phase, failed.reason) == ("step_timeout", "load", "timeout")
    assert fake.made[0].diary == ["pull", "start", "stop 5", "remove"]


async def test_what_ends_while_it_loads(scene: Scene, fake: FakeRuntime):
    """It is told how its container ended, with what it printed last."""

    def dies(serving: Pretender, message: Any) -> None:
        serving.ears.print("stderr", b"no python here\n")
        serving.end(127)

    fake.loading = dies
    async with scene.agent():
        await scene.start(call(1))
        failed = await scene.until("attempt.failed")
        kinds = await scene.kinds("e1")
    assert (failed.error.code, failed.phase, failed.exit_code) == ("function_load", "load", 127)
    assert failed.error.details["tail"] == ["no python here"]
    assert kinds[-3:] == ["function.loading", "container.exited", "attempt.failed"]
