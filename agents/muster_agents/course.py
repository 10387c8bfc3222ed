"""What an attempt runs is a course: a container of its own, or a call of a function. This is what they share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TypeVar

from muster.model.errors import StepTimeoutError
from muster.model.log.catalogue import AttemptFinished
from muster.model.log.commands import AttemptOrder
from muster_agents.files import Files
from muster_agents.logs import LogStream
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Report

T = TypeVar("T")
Phase = Literal["pull", "start", "load", "run"]
ADOPTED_MIN_S: Final = 5.0
"""What is left of the run phase of an adopted attempt is at least this: one that ended in time was not late because
its agent was."""


class Phases:
    """Where an attempt is, and how long it took to get there; ``seconds`` by phase, in their order."""

    def __init__(self) -> None:
        self.now: Phase = "pull"
        self.seconds: dict[str, float] = {}

    async def within(self, phase: Phase, limit: float, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work`` in this phase, and count the time. Raises as ``limited``."""
        began = time.monotonic()
        try:
            return await self.limited(phase, limit, work)
        finally:
            spent = self.seconds.get(phase, 0.0) + time.monotonic() - began
            self.seconds[phase] = round(spent, 6)

    async def limited(self, phase: Phase, limit: float, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work`` in this phase. Raises StepTimeoutError where it takes longer than ``limit`` seconds."""
        self.now = phase
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await work()
        except TimeoutError:
            if not scope.expired():
                raise
            raise StepTimeoutError(
                f"The {phase} phase took longer than its timeout of {limit:g} s.", limit_s=limit
            ) from None


@dataclass(frozen=True)
class Scene:
    """What surrounds a course. ``told``: when which fact about the attempt was written, by an agent before, too."""

    order: AttemptOrder
    told: Mapping[str, datetime]
    report: Report
    lines: LogStream
    files: Files
    options: AgentOptions
    phases: Phases = field(default_factory=Phases)


class Course(Protocol):
    """Takes its attempt through the phases, once. It may be cancelled at any point; then ``halt`` follows.

    Where the agent itself is ended nothing follows: the next agent goes on with what is there.
    """

    async def run(self) -> AttemptFinished:
        """To the end. Raises what the attempt failed with."""
        ...

    async def halt(self) -> None:
        """It failed or is to stop: leave nothing running for it. May raise a MusterError where that fails."""
        ...

    async def remove(self) -> None:
        """It is over and reported: leave nothing of it behind. Where that raises it may be called again."""
        ...

    async def destroy(self) -> None:
        """End it at once: the attempt is another agent's now. ``remove`` follows."""
        ...


def since(moment: datetime | None) -> float:
    """How many seconds ago that was; 0 where nobody knows."""
    return 0.0 if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds())
