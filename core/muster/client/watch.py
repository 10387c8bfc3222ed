"""One execution followed in the log: every event is folded as it comes, and waits are conditions on the fold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from muster.broker.interface import LogReader
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import BrokerError, ErrorInfo, from_info
from muster.model.log import catalogue, subjects
from muster.model.log.envelope import Recorded

Listener = Callable[[Recorded, StepView | None], None]
Condition = Callable[[], bool]


class Watch:
    """Follows one execution from ``start`` on. The reading begins on entering, so a command may be sent meanwhile."""

    def __init__(
        self, log: LogReader, execution: str, start: int = 1, *, view: ExecutionView | None = None
    ) -> None:
        self.view = view or ExecutionView(execution)
        self.listener: Listener | None = None
        self._kept: list[tuple[Recorded, StepView | None]] | None = None
        self.already = False
        self._refused: dict[str, ErrorInfo] = {}
        self._batches = log.follow(start, subjects=[subjects.events(execution=execution)])
        self._next: asyncio.Task[list[Recorded]] | None = None

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        task, self._next = self._next, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._batches.aclose()

    def keep(self) -> None:
        """Keep what is folded for a listener that is attached later."""
        self._kept = []

    def attach(self, listener: Listener | None) -> None:
        """Tell the listener what was kept, in order, and from here on what comes."""
        kept, self._kept = self._kept or [], None
        self.listener = listener
        if listener is not None:
            for recorded, step in kept:
                listener(recorded, step)

    async def until(self, condition: Condition) -> None:
        """Read on until ``condition`` holds; raises what the log's reader raises."""
        while not condition():
            # Not cancelled with the waiter: what was read is kept for the next one.
            batch = await asyncio.shield(self._begin())
            self._next = None
            for recorded in batch:
                self._apply(recorded)

    async def until_accepted(self, command: str) -> None:
        """Read on until the execution is known; raises the error if the command with this id was refused."""
        await self.until(lambda: self.view.known or command in self._refused)
        if command in self._refused:
            raise from_info(self._refused[command])
        self.already = self.view.accepted_by != command

    async def until_cancelled(self, command: str) -> None:
        """Read on until it is being cancelled or has ended; raises the error if the command was refused."""
        view = self.view
        await self.until(lambda: view.ending == "cancelled" or view.finished or command in self._refused)
        if command in self._refused and not (view.ending == "cancelled" or view.finished):
            raise from_info(self._refused[command])

    async def until_resumed(self, command: str, step: str) -> None:
        """Read on until the step does not wait any more; raises the error if the command with this id was refused."""
        view = self.view
        await self.until(lambda: not view.steps[step].asks or view.finished or command in self._refused)
        if command in self._refused:
            raise from_info(self._refused[command])

    async def until_cleared(self, command: str) -> None:
        """Read on until the mark of a clear comes; raises the error if the command with this id was refused."""
        await self.until(lambda: self.view.cleared or command in self._refused)
        if command in self._refused:
            raise from_info(self._refused[command])

    async def until_finished(self) -> None:
        """Read on until the execution has ended."""
        await self.until(lambda: self.view.finished)

    def _begin(self) -> asyncio.Task[list[Recorded]]:
        if self._next is None:
            self._next = asyncio.create_task(self._read(), name="muster-watch")
        return self._next

    async def _read(self) -> list[Recorded]:
        async for batch in self._batches:
            return batch
        raise BrokerError("The reading of the log ended: the connection was closed.")

    def _apply(self, recorded: Recorded) -> None:
        data = recorded.event.data
        if isinstance(data, catalogue.CommandRefused):
            self._refused[data.command] = data.error
        step = self.view.apply(recorded)
        if self._kept is not None:
            self._kept.append((recorded, step))
        elif self.listener is not None:
            self.listener(recorded, step)
