"""All attempts of a machine: who is here, who was here, who was sent away before coming.

Each lives in a task of the agent's group, where what escapes ends the agent with all that it runs. So nothing that is
about one of them may escape (``mishaps``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from muster import fault
from muster.model.errors import AttemptLostError, MusterError, PlacementError
from muster.model.log.catalogue import (
    AttemptAccepted,
    AttemptFailed,
    AttemptRef,
    AttemptStarted,
    AttemptStopped,
    Body,
)
from muster.model.log.commands import AttemptOrder, Start, Stop
from muster_agents import mishaps
from muster_agents.attempt import Attempt, located
from muster_agents.devices import Devices
from muster_agents.files import Files
from muster_agents.functions.instance import Instance
from muster_agents.functions.pool import Pool
from muster_agents.logs import LogShipper
from muster_agents.options import AgentOptions
from muster_agents.outbox import Held, Outbox
from muster_agents.removal import discarded, removed
from muster_agents.room import Room
from muster_agents.runtimes.interface import Found, Runtime
from muster_agents.secrecy import Secrets

log = logging.getLogger(__name__)


class Roster:
    """Accepts, refuses, stops and adopts attempts. Every one lives in a task of ``group``."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        runtime: Runtime,
        outbox: Outbox,
        lines: LogShipper,
        files: Files,
        room: Room,
        devices: Devices,
        pool: Pool,
        options: AgentOptions,
    ) -> None:
        self._group = group
        self._runtime = runtime
        self._outbox = outbox
        self._lines = lines
        self._files = files
        self._room = room
        self._devices = devices
        self._pool = pool
        self._options = options
        self._active: dict[AttemptRef, Attempt] = {}
        self._known: OrderedDict[AttemptRef, None] = OrderedDict()
        self._ending = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._drained = asyncio.Event()

    @property
    def running(self) -> list[AttemptRef]:
        """The attempts that are here now."""
        return list(self._active)

    # ---- commands

    async def start(self, command: Start) -> None:
        """Take up what the command orders; returns when every attempt is answered for in the outbox.

        Raises OSError where the disk takes no more: what was not taken up by then is to be ordered again.
        """
        for order in command.attempts:
            ref = order.ref
            if ref in self._active or ref in self._known or self._ending:
                continue
            if lacking := self._room.lacks(order.resources):
                await self._refuse(ref, lacking, command.id)
            else:
                await self._accept(order, command.id)

    async def stop(self, command: Stop) -> None:
        """Stop what is here. What is not here yet is answered for now, and its start ignored if it still comes.

        The scheduler keeps the room of an attempt until its machine has answered for it, so silence would leak a slot.
        """
        for ref in command.attempts:
            if (attempt := self._active.get(ref)) is not None:
                attempt.stop(command.reason, command.id)
            elif ref not in self._known:
                self._remember(ref)
                await self._outbox.put(AttemptStopped(reason=command.reason), ref, cause=command.id)

    def stop_all(self, reason: str) -> None:
        """Stop everything that is here."""
        for attempt in list(self._active.values()):
            attempt.stop(reason)

    async def drain(self, reason: str) -> None:
        """Take nothing more, stop everything, and wait until it is over."""
        self._ending = True
        self.stop_all(reason)
        await self._idle.wait()
        self._drained.set()

    async def destroy(self) -> None:
        """End what was abandoned, without a word in the log: it is another agent's now."""
        await asyncio.gather(*(attempt.destroy() for attempt in self._active.values()))

    async def _accept(self, order: AttemptOrder, cause: str) -> None:
        await fault.point("agent.accept.before")
        attempt = self._enter(await self._outbox.accept(order))
        await fault.point("agent.accept.after")
        if attempt is not None:
            await self._outbox.put(AttemptAccepted(), order.ref, cause=cause)
            self._group.create_task(self._live(attempt))

    async def _refuse(self, ref: AttemptRef, lacking: str, cause: str) -> None:
        self._remember(ref)
        error = PlacementError(
            f"The machine {self._options.name} has no room: {lacking}.",
            remedy="It is tried again where and when there is room; see muster machines.",
        )
        info = located(error, ref, self._options.name, "pull")
        await self._outbox.put(
            AttemptFailed(error=info, phase="pull", reason="no_capacity"), ref, cause=cause
        )

    # ---- lives

    def _enter(self, held: Held, found: Found | Instance | None = None) -> Attempt | None:
        """It is here, and has its room; None where not even that can be done, which is then told as its end."""
        ref = held.order.ref
        try:
            attempt = self._made(held, found)
        except Exception as error:
            failed = mishaps.failed(error, f"attempt {ref.attempt} of {ref.step}")
            self._remember(ref)
            self._group.create_task(self._stillborn(ref, failed, found))
            return None
        self._room.take(held.order.resources)
        self._active[ref] = attempt
        self._idle.clear()
        return attempt

    def _made(self, held: Held, found: Found | Instance | None) -> Attempt:
        return Attempt(
            held,
            self._runtime,
            self._pool,
            self._outbox,
            self._lines.open(held.order.ref, Secrets.of(held.order)),
            self._files,
            self._options,
            self._devices,
            found,
        )

    async def _stillborn(self, ref: AttemptRef, error: MusterError, found: Found | Instance | None) -> None:
        info = located(error, ref, self._options.name, "pull")
        await self._outbox.put(AttemptFailed(error=info, phase="pull"), ref)
        if isinstance(found, Found):
            await self._clear_away(found)

    async def _live(self, attempt: Attempt) -> None:
        body, cause = await attempt.live()
        await self._lines.flush(attempt.lines)
        self._room.give(attempt.order.resources)
        await self._tell(attempt, body, cause)
        self._remember(attempt.ref)
        del self._active[attempt.ref]
        if not self._active:
            self._idle.set()
        await removed(attempt.remove, self._drained)

    async def _tell(self, attempt: Attempt, body: Body, cause: str | None) -> None:
        """Write its end down. One that cannot be written as it is has failed; the agent ends before it forgets one."""
        try:
            await self._outbox.put(body, attempt.ref, cause=cause)
        except Exception as error:
            await self._outbox.put(attempt.mishap(error), attempt.ref, cause=cause)

    def _remember(self, ref: AttemptRef) -> None:
        self._known[ref] = None
        _bound(self._known, self._options.remembered)

    # ---- what an agent before left

    async def adopt(self, found: list[Found]) -> None:
        """Go on with the containers that are here, say which attempts are lost, and remove the orphans."""
        for ref in self._outbox.unsent:
            self._remember(ref)
        self._call_on(self._pool.adopt())
        containers = {one.ref: one for one in found}
        for ref, held in list(self._outbox.held.items()):
            if ref in self._active or ref in self._known:
                continue
            one = containers.pop(ref, None)
            if one is not None and one.started:
                self._go_on(held, one)
                continue
            if one is not None:
                containers[ref] = one
            await self._lost(ref, held)
        for orphan in containers.values():
            self._group.create_task(self._clear_away(orphan))

    def _call_on(self, instances: Mapping[str, Instance]) -> None:
        """Go on with the calls in these containers, before a word is heard of them."""
        for held in self._outbox.held.values():
            instance = instances.get(held.container) if AttemptStarted.kind in held.told else None
            if held.order.container.function is not None and instance is not None:
                self._go_on(held, instance)

    def _go_on(self, held: Held, found: Found | Instance) -> None:
        attempt = self._enter(held, found)
        if attempt is not None:
            self._group.create_task(self._live(attempt))

    async def _lost(self, ref: AttemptRef, held: Held) -> None:
        phase = "run" if AttemptStarted.kind in held.told else "start" if len(held.told) > 1 else "pull"
        error = AttemptLostError(
            f"The agent on {self._options.name} ended, and nothing is left of what it ran for this attempt."
        )
        info = located(error, ref, self._options.name, phase)
        self._remember(ref)
        await self._outbox.put(AttemptFailed(error=info, phase=phase, reason="lost"), ref)

    async def _clear_away(self, orphan: Found) -> None:
        """It has its GPUs until it is gone."""
        log.info(f"removing container {orphan.container}: nobody answers for it")
        gpus = self._devices.hold(orphan.gpus)
        try:
            await removed(lambda: discarded(self._runtime.discard(orphan), orphan.container), self._drained)
        finally:
            self._devices.give(gpus)


def _bound(memory: OrderedDict[AttemptRef, Any], limit: int) -> None:
    while len(memory) > limit:
        memory.popitem(last=False)
