"""Containers that end just when the files of a call go into them, or come out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from muster.model.definition.workflow import Output
from muster.model.errors import AttemptLostError, OutputError
from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.functions.pretending import Pretender
from tests.unit.agents.functions.test_calls import call
from tests.unit.agents.scene import Scene

FILE = {"f": Output(type="file", path="f")}


async def test_it_ends_before_its_files_are_in_it(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """The call says how it ended, and not that somebody removed it: that was its own agent."""

    async def gone(serving: Pretender, _call: str, _files: Mapping[str, Path]) -> None:
        serving.end(3)
        raise AttemptLostError("The container was removed by somebody else.")

    monkeypatch.setattr(Pretender, "put", gone)
    async with scene.agent():
        await scene.start(call(1, outputs=FILE))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.exit_code) == ("function_crashed", 3)


@pytest.mark.parametrize("broken_off", [False, True], ids=["before", "in the middle"])
async def test_it_ends_before_its_files_are_taken(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch, broken_off: bool
):
    """It had answered, and has crashed nevertheless: nobody says that it made no file, or was stopped."""
    remove, removed = Pretender.remove, asyncio.Event()

    async def removes(serving: Pretender) -> None:
        await remove(serving)
        removed.set()

    async def take(*_: Any) -> None:
        await removed.wait()
        if broken_off:
            raise OutputError("The attempt was stopped while its files were taken.")

    def dies(serving: Pretender, message: Any) -> None:
        serving.gives(message, None)
        serving.end(3)

    monkeypatch.setattr(Pretender, "remove", removes)
    monkeypatch.setattr(Pretender, "take", take)
    fake.calling = dies
    async with scene.agent():
        await scene.start(call(1, outputs=FILE))
        failed = await scene.until("attempt.failed")
    assert (failed.error.code, failed.retriable) == ("function_crashed", True)
    assert "before its files were taken" in failed.error.message
