"""Executions that share a key: one waits for the other, one is replaced, one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.errors import ConcurrencyLimitError
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
