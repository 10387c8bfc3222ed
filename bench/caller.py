"""Sends a machine single calls, as a scheduler does, and reads in the log what comes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Self

from muster.broker.interface import Broker
from muster.identity import uuid7
from muster.model.definition.workflow import ContainerSpec, Output
from muster.model.log import subjects
from muster.model.log.commands import AttemptOrder, AttemptTimeouts, Start
from muster.model.log.envelope import Recorded

LIMIT_S = 60.0
TIMEOUTS = AttemptTimeouts(pull=60, start=60, load=60, run=60, grace=5)


class Caller:
    """One call at a time; what its machine writes is followed all the time, as any other reader would."""

    def __init__(self) -> None:
        self._events: AsyncGenerator[list[Recorded], None] | None = None
        self._execution = uuid7()
        self._session = 0
        self._count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._events is not None:
            await self._events.aclose()

    async def _open(self, broker: Broker, machine: str) -> AsyncGenerator[list[Recorded], None]:
        connected = await broker.log.last(subjects.connected(machine))
        if connected is None:
            raise ValueError(f"{machine} is not connected")
        self._session = connected.sequence
        wanted = subjects.events(writer=machine, execution=self._execution)
        self._events = broker.log.follow(connected.sequence, subjects=[wanted])
        return self._events

    async def call(
        self, broker: Broker, machine: str, *, image: str, function: str, isolation: str, n: int
    ) -> dict[str, Any]:
        """Seconds from before the command is published until the end of the call was read, and what was read."""
        events = self._events or await self._open(broker, machine)
        self._count += 1
        order = AttemptOrder(
            execution=self._execution,
            step=f"call-{self._count}",
            attempt=1,
            workflow="bench",
            container=ContainerSpec(image=image, function=function, isolation=isolation),  # type: ignore[arg-type]
            timeouts=TIMEOUTS,
            inputs={"n": n},
            outputs={name: Output() for name in ("square", "container", "loads", "call")},
        )
        found: dict[str, Any] = {}
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            began = time.perf_counter()
            start = Start(id=uuid7(), session=self._session, attempts=[order])
            group.create_task(broker.commands.send(machine, "start", start))
            async for batch in events:
                found["seconds"] = time.perf_counter() - began
                if self._read(batch, order.step, found):
                    break
        return found

    @staticmethod
    def _read(batch: list[Recorded], step: str, found: dict[str, Any]) -> bool:
        """Whether the end is among it."""
        for event in (recorded.event for recorded in batch if recorded.event.step == step):
            found.setdefault("kinds", []).append(event.kind)
            if event.kind == "attempt.started":
                found |= {"container": event.data.container, "warm": event.data.warm}
            elif event.kind == "attempt.finished":
                found |= {"outputs": event.data.outputs, "run_s": event.data.seconds.get("run", 0.0)}
                return True
            elif event.kind in {"attempt.failed", "attempt.stopped"}:
                found["error"] = str(event.data)
                return True
        return False
