"""What works beside the rounds and wants something written: that is done in a round, under the fence, like all else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from muster.model.errors import MusterError
from muster.model.log.body import Body
from muster.model.log.commands import Command
from muster.model.log.names import NO_EXECUTION


class Proposal(msgspec.Struct, frozen=True):
    """An event to write, or the refusal of a command; ``written`` is set once the log has acknowledged it."""

    written: asyncio.Future[None]
    body: Body | None = None
    cause: str = ""
    execution: str = NO_EXECUTION
    event_id: str | None = None
    refused: tuple[str, Command, MusterError] | None = None


class Proposals:
    """Those that wait for the next round. ``woke`` has one made."""

    def __init__(self, woke: Callable[[], None]) -> None:
        self._waiting: list[Proposal] = []
        self._woke = woke

    async def write(
        self, body: Body, cause: str, *, execution: str = NO_EXECUTION, event_id: str | None = None
    ) -> None:
        """Have it written, and return when it is in the log."""
        await self._add(Proposal(_future(), body, cause, execution, event_id))

    async def refuse(self, verb: str, command: Command, error: MusterError) -> None:
        """Have the command refused, and return when that is in the log."""
        await self._add(Proposal(_future(), refused=(verb, command, error)))

    async def _add(self, proposal: Proposal) -> None:
        self._waiting.append(proposal)
        self._woke()
        await proposal.written

    def take(self) -> list[Proposal]:
        """All that wait; the caller sets ``written``."""
        taken, self._waiting = self._waiting, []
        return taken


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()
