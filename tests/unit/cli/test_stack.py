from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from muster.broker.memory import MemoryBroker
from muster.cli import stack
from muster.model.errors import BrokerError, MusterError
from muster.settings import Settings


class Parts:
    """Services that note when they start and stop, and do what a test tells one of them to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.behaviour: dict[str, Callable[[], Any]] = {}

    def service(self, name: str) -> Any:
        async def serve(
            broker: Any,
            settings: Settings,
            *,
            stop: asyncio.Event,
            ready: Callable[[str], None],
            **options: Any,
        ) -> None:
            self.told.append(f"{name} starts")
            ready(f"{name} {options}")
            if name in self.behaviour:
                await asyncio.sleep(0)
                self.behaviour[name]()
                return
            try:
                await stop.wait()
            except asyncio.CancelledError:
                self.told.append(f"{name} is cancelled")
                raise
            self.told.append(f"{name} drains")

        return serve


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    """The stack with these in place of its parts."""
    made = Parts()

    async def connect(settings: Settings, name: str) -> MemoryBroker:
        return MemoryBroker(name=name)

    monkeypatch.setattr(stack, "connect", connect)
    monkeypatch.setattr(stack, "_service", made.service)
    return made


async def test_parts_start_and_drain_in_order(parts: Parts):
    """Scheduler, agent, projections start one after the other; agent, scheduler, projections drain so."""
    said: list[str] = []
    async with stack.running(Settings(), own_broker=False, agent={"name": "m1"}, say=said.append):
        assert parts.told == ["scheduler starts", "agent starts", "projections starts"]
    assert parts.told[3:] == ["agent drains", "scheduler drains", "projections drains"]
    assert said[1] == "agent {'name': 'm1'}"


async def test_a_part_that_fails_ends_all_with_its_error(parts: Parts):
    """What one part raises ends the block and the other parts, and is raised itself."""

    def fails() -> None:
        raise BrokerError("it went away")

    parts.behaviour["projections"] = fails
    with pytest.raises(BrokerError, match="it went away"):
        async with stack.running(Settings(), own_broker=False, agent={}, say=lambda _: None):
            await asyncio.sleep(30)
    assert "scheduler is cancelled" in parts.told
    assert "agent is cancelled" in parts.told


async def test_a_part_that_ends_by_itself_is_a_failure(parts: Parts):
    """A part that returns without being asked to is named."""
    parts.behaviour["scheduler"] = lambda: None
    with pytest.raises(MusterError, match="The scheduler ended by itself"):
        async with stack.running(Settings(), own_broker=False, agent={}, say=lambda _: None):
            await asyncio.sleep(30)


async def test_a_failure_in_the_block_drains_the_parts(parts: Parts):
    """What is raised inside the block is raised outside, after the parts have drained."""
    with pytest.raises(ValueError, match="mine"):
        async with stack.running(Settings(), own_broker=False, say=lambda _: None):
            raise ValueError("mine")
    assert parts.told[-2:] == ["scheduler drains", "projections drains"]


async def test_a_part_that_is_cancelled_before_it_begins():
    """Another part fails in the very moment: what was to run is not even made, so nobody has to await it."""
    made = []

    async def fail() -> None:
        raise BrokerError("the broker ended")

    def serve(*_: Any, **__: Any) -> Any:
        made.append("to be awaited")
        return asyncio.sleep(0)

    begun = stack.Part("agent", serve, MemoryBroker(), lambda _: None)
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.sleep(0)
            await begun.start(group, Settings(), {})
    assert made == []
