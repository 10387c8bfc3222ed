"""What an agent before left of its loaded containers: those to go on with, and the rest, which is cleared away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any

from muster.model.log.catalogue import FunctionUnloaded, LoadedFunction
from muster_agents.devices import Devices
from muster_agents.functions.ledger import Entry, Ledger
from muster_agents.functions.showing import for_one_call, loaded_function
from muster_agents.outbox import Outbox
from muster_agents.removal import discarded, removed
from muster_agents.runtimes.interface import FoundServing, ServesFunctions

log = logging.getLogger(__name__)


class Legacy:
    """``kept`` is what to go on with, after ``find``. ``over`` is set when the agent ends."""

    def __init__(
        self,
        runtime: ServesFunctions,
        outbox: Outbox,
        ledger: Ledger,
        devices: Devices,
        over: asyncio.Event,
    ) -> None:
        self._runtime = runtime
        self._outbox = outbox
        self._ledger = ledger
        self._devices = devices
        self._over = over
        self.kept: list[tuple[Entry, FoundServing]] = []
        self._orphans: list[tuple[Entry | None, FoundServing]] = []
        self._gone: list[Entry] = []

    async def find(self, began: Collection[str]) -> list[LoadedFunction]:
        """What is loaded here already. ``began``: the containers in which calls are that have had no answer.

        One that ended meanwhile is of use only where the answer to such a call may stand in its log.
        """
        entries = await self._ledger.read()
        for found in await self._runtime.find_servings():
            entry = entries.pop(found.instance, None)
            wanted = found.container in began
            kept = wanted or (found.running and entry is not None and not for_one_call(entry.launch))
            if kept and entry is not None and entry.loaded is not None:
                self.kept.append((entry, found))
            else:
                self._orphans.append((entry, found))
        self._gone = list(entries.values())
        return [
            loaded_function(entry, found)
            for entry, found in self.kept
            if found.running and not for_one_call(entry.launch)
        ]

    def rest(self) -> list[Coroutine[Any, Any, None]]:
        """The work of clearing away what is not kept."""
        removals = [self._clear_away(entry, found) for entry, found in self._orphans]
        return removals + [self._forget(entry) for entry in self._gone]

    async def _clear_away(self, entry: Entry | None, found: FoundServing) -> None:
        """It has its GPUs until it is gone."""
        log.info(f"removing container {found.container}: it serves a function for nobody")
        gpus = [] if entry is None else self._devices.hold(entry.launch.gpus)
        try:
            gone = await removed(
                lambda: discarded(self._runtime.discard_serving(found), found.container), self._over
            )
            if gone and entry is not None:
                await self._forget(entry)
        finally:
            self._devices.give(gpus)

    async def _forget(self, entry: Entry) -> None:
        """It is gone. Word of its load may come to the log only now: behind that must stand that it is not any more."""
        spec = entry.launch.container
        if entry.loaded is not None and entry.container and not for_one_call(entry.launch):
            await self._outbox.put(
                FunctionUnloaded(
                    function=spec.function or "",
                    image=spec.image,
                    container=entry.container,
                    reason="crashed",
                )
            )
        try:
            await self._ledger.strike(entry.launch.instance)
        except OSError as error:
            log.error(f"the file of {entry.launch.instance} could not be removed: {error}")
