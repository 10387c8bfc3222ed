"""How core finds the services that stand above it, without importing them (by entry points), and how they stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar, cast

from muster.broker.interface import Broker
from muster.settings import Settings

T = TypeVar("T")


class Service(Protocol):
    """A long-running part: serves until ``stop`` is set, then drains and returns.

    ``ready`` is called with one line for people when the service does its work, and again where that line changes.
    ``options`` are the service's own; an unknown one is a TypeError. A failure it cannot mend is raised.
    """

    async def __call__(
        self,
        broker: Broker,
        settings: Settings,
        *,
        stop: asyncio.Event,
        ready: Callable[[str], None],
        **options: Any,
    ) -> None:
        """Serve."""
        ...


def service(name: str) -> Service:
    """The service ``agent`` or ``projections`` of the installed wheel. Raises LookupError where it is not there."""
    for point in entry_points(group="muster.services", name=name):
        return cast("Service", point.load())
    raise LookupError(f"the service {name!r} is not installed; reinstall muster-engine")


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` gives, or None where ``stop`` was set before it was done."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, stopping):
            one.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
