"""Following an execution: Ctrl-C at any moment."""

from __future__ import annotations

import asyncio
import signal
from types import SimpleNamespace
from typing import Any, Self

import pytest

from muster.broker.memory import MemoryBroker
from muster.cli import following
from muster.cli.dialogue import Dialogue
from muster.cli.following import Lines, follow_to_end
from muster.cli.terminal import Terminal
from muster.client.watch import Watch
from tests.unit.client.story import Story


async def follow() -> Any:
    """An execution that does not end is followed."""
    broker, story, terminal = MemoryBroker(), Story(), Terminal()
    await broker.prepare()
    try:
        await broker.log.append([story.queued(), story.started()])
        async with Watch(broker.history, "e1") as watch:
            client: Any = SimpleNamespace(broker=broker)
            return await follow_to_end(terminal, client, watch, Lines(terminal), may_cancel=True)
    finally:
        await broker.close()


@pytest.mark.parametrize("early", [True, False])
def test_ctrl_c_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """Also in the moment before it is an answer: the execution is left running, and how to watch it is told."""

    class Pressed(Dialogue):
        def __enter__(self) -> Self:
            if early:
                signal.raise_signal(signal.SIGINT)
            else:
                asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
            return super().__enter__()

    monkeypatch.setattr(following, "Dialogue", Pressed)
    assert asyncio.run(follow()) is None
    assert "muster watch e1" in capsys.readouterr().err
