"""Noticing that nobody listened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from muster.broker.memory import MemoryBroker, MemoryStore
from muster.clock import Clock
from muster.scheduler.options import SchedulerOptions
from muster.scheduler.wakefulness import Wakefulness


class Hands(Clock):
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def seconds(self) -> float:
        return self.at_s


class Scene:
    """Looks at intervals, and remembers the lapses."""

    def __init__(self) -> None:
        self.clock, self.broker = Hands(), MemoryBroker(MemoryStore())
        self.lapses: list[float] = []
        options = SchedulerOptions(tick_s=0.5, asleep_s=2.0)
        self.awake = Wakefulness(self.broker, options, self.clock, self.lapses.append)

    def look_after(self, *seconds: float) -> list[float]:
        for each in seconds:
            self.clock.at_s += each
            self.awake.look()
        return self.lapses


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_looking_in_time(scene: Scene) -> None:
    """Who looks at every tick, between the ticks, or a little late, has listened all the time."""
    assert scene.look_after(0.5, 0.1, 0.4, 2.4, 0.0) == []


def test_a_sleep(scene: Scene) -> None:
    """The first look after a sleep finds it, whoever looks, and the next one does not find it again."""
    assert scene.look_after(0.5, 20.0, 0.5) == [120.5]


async def test_a_connection_that_was_away(scene: Scene) -> None:
    """While the connection is away nobody listens, and its return begins the listening anew."""
    scene.broker.disconnect()
    assert scene.look_after(0.5, 0.5) == [100.5, 101.0]
    scene.broker.reconnect()
    assert scene.look_after(0.5, 0.5) == [100.5, 101.0, 101.5]
