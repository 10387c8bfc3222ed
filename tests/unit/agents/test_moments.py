"""What is not urgent waits for a moment that others share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from muster_agents.moments import Moments


async def test_a_moment_is_the_same_for_all_who_wait_for_it(monkeypatch: pytest.MonkeyPatch):
    """One timer for all who came before it; who comes later has the next."""
    moments, timers = Moments(0.001), []
    loop = asyncio.get_running_loop()
    given = loop.call_later

    def call_later(*told: Any) -> asyncio.TimerHandle:
        timers.append(told)
        return given(*told)

    monkeypatch.setattr(loop, "call_later", call_later)
    await asyncio.gather(*(moments.next() for _ in range(5)))
    assert len(timers) == 1
    await moments.next()
    assert len(timers) == 2


async def test_who_waits_no_more_keeps_nobody_from_it():
    """It comes for the others, and so does the next."""
    moments = Moments(0.001)
    gone, there = asyncio.create_task(moments.next()), asyncio.create_task(moments.next())
    await asyncio.sleep(0)
    gone.cancel()
    await there
    with pytest.raises(asyncio.CancelledError):
        await gone
    await moments.next()
