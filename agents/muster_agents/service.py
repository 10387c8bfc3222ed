"""The agent as a service: everything it does at once, in one task group, and its end in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from muster import fault
from muster.broker import whereabouts
from muster.broker.codec import decode_command
from muster.broker.interface import Broker, Delivery
from muster.clock import Clock
from muster.identity import uuid7
from muster.model.errors import CommandInvalidError, ReplacedError
from muster.model.log.catalogue import AttemptRef, LoadedFunction, MachineDisconnected, MachineFacts
from muster.model.log.commands import Start, Stop
from muster.model.log.facts import AGENT_ENDS
from muster.services import unless
from muster.settings import Settings
from muster_agents.cache import Cache
from muster_agents.devices import Devices
from muster_agents.facts import host_facts, software
from muster_agents.files import Files
from muster_agents.functions.ledger import Ledger
from muster_agents.functions.pool import Pool
from muster_agents.heartbeat import Pulse
from muster_agents.journal import Journal
from muster_agents.logs import LogShipper
from muster_agents.mishaps import opening
from muster_agents.moments import Moments
from muster_agents.options import AgentOptions
from muster_agents.outbox import DISK_RETRY_S, Outbox
from muster_agents.room import Room
from muster_agents.roster import Roster
from muster_agents.runtimes.choice import choose
from muster_agents.runtimes.interface import Found, Runtime
from muster_agents.seat import seat
from muster_agents.session import Session

CUT_OFF = "cut off"
ACKS_S: Final = 0.02
"""So long the broker is not told that a start was obeyed: then it is told of several in one message of the connection,
and its queue, which it makes anew each time it gets empty, mostly is not."""

log = logging.getLogger(__name__)


async def serve(
    broker: Broker,
    settings: Settings,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    clock: Clock | None = None,
    **options: Any,
) -> None:
    """Run an agent until ``stop`` is set; ``options`` are those of AgentOptions. Its facts bear the time of ``clock``.

    Raises ReplacedError where another agent took its name, AgentFailedError where its folder cannot be used, and what
    the runtime raises where it cannot be used. What goes wrong with one attempt is not raised (``mishaps``).
    """
    chosen = AgentOptions(**options)
    folder = settings.data_dir / "agents" / chosen.name
    async with AsyncExitStack() as stack:
        clock = clock or Clock()
        outbox = Outbox(Journal(folder), chosen, clock.now)
        with opening(folder):
            await stack.enter_async_context(seat(folder, chosen.lock_wait_s))
            stack.push_async_callback(outbox.close)
            await outbox.open()
        facts, release = await asyncio.to_thread(lambda: (host_facts(chosen), software()))
        position = await unless(stop, whereabouts.awaited(broker.log, chosen.append_retry_s, log.warning))
        if position is None:
            return
        runtime = await choose(chosen, folder, position.created, facts.slots)
        stack.push_async_callback(runtime.close)
        known = await runtime.facts()
        facts = msgspec.structs.replace(facts, runtime=runtime.name, **_wins(known, chosen))
        cache = Cache(folder / "artifacts", chosen.artifact_cache_bytes)
        with opening(folder):
            await cache.open()
        files = Files(broker.artifacts, cache, chosen, settings.artifact_bytes_max)
        agent = _Agent(broker, chosen, outbox, runtime, files, folder, facts, release, clock)
        await agent.serve(stop, ready)


def _wins(known: Any, options: AgentOptions) -> dict[str, Any]:
    """What the runtime knows better than the host (its engine may be elsewhere), but for what a flag says."""
    return {key: value for key, value in known.items() if value and not getattr(options, key, None)}


class _Agent:
    """One connection's worth of agent."""

    def __init__(
        self,
        broker: Broker,
        options: AgentOptions,
        outbox: Outbox,
        runtime: Runtime,
        files: Files,
        folder: Path,
        facts: MachineFacts,
        release: str,
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._options = options
        self._outbox = outbox
        self._runtime = runtime
        self._files = files
        self._facts = facts
        self._software = release
        self._clock = clock
        self._session = Session(broker.log, outbox, options, instance=uuid7(), now=clock.now)
        self._lines = LogShipper(broker.lines, options)
        self._roster: Roster | None = None
        self._moments = Moments(ACKS_S)
        self._room = Room.of(facts)
        self._devices = Devices(facts.gpus)
        self._pool = Pool(
            runtime,
            outbox,
            Ledger(folder / "functions"),
            options,
            self._room,
            self._devices,
            facts.slots,
            now=time.monotonic,
        )
        self._loaded: list[LoadedFunction] = []

    async def serve(self, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
        found = await self._runtime.find()
        began = {held.container for held in self._outbox.held.values() if held.container}
        self._loaded = await self._pool.find(began)
        connected = await unless(stop, self._connect())
        if connected is None:
            return
        try:
            await self._work(found, stop, ready)
        except BaseExceptionGroup as group:
            error = _first(group)
            if isinstance(error, ReplacedError):
                await self._yield_to(error)
            raise error from None

    async def _connect(self) -> bool:
        await self._session.connect(
            self._facts, self._answered, software=self._software, functions=self._loaded
        )
        return True

    def _answered(self) -> list[AttemptRef]:
        return sorted({*self._outbox.held, *self._outbox.unsent})

    async def _work(self, found: list[Found], stop: asyncio.Event, ready: Callable[[str], None]) -> None:
        async with asyncio.TaskGroup() as group:
            self._pool.open(group)
            roster = self._roster = Roster(
                group,
                self._runtime,
                self._outbox,
                self._lines,
                self._files,
                self._room,
                self._devices,
                self._pool,
                self._options,
            )
            pulse = Pulse(
                self._broker.heartbeats,
                self._options.name,
                self._session.sequence,
                self._options.interval_s,
                running=lambda: roster.running,
                outbox=lambda: len(self._outbox),
                functions=self._pool.statuses,
                news=self._pool.news,
                now=self._clock.now,
            )
            keepers = [
                group.create_task(work)
                for work in (
                    self._session.send(),
                    self._session.guard(),
                    self._outbox.maintain(),
                    self._lines.ship(),
                    pulse.keep(),
                    self._pool.keep(),
                )
            ]
            await roster.adopt(found)
            listening = group.create_task(self._listen(roster, group))
            watching = group.create_task(self._watch(roster))
            ready(self._greeting())
            await stop.wait()
            await _end(listening, watching)
            await self._leave(roster)
            await _end(*keepers)

    def _greeting(self) -> str:
        facts = self._facts
        engine = f"{facts.engine or facts.runtime} {facts.engine_version}".strip()
        bare = "; nothing isolates attempts from this machine" if facts.runtime == "process" else ""
        return f"agent {self._options.name}: {facts.slots} slots, {engine}{bare}"

    # ---- commands

    async def _listen(self, roster: Roster, group: asyncio.TaskGroup) -> None:
        source = self._broker.commands.receive(self._options.name)
        try:
            async for batch in source:
                for delivery in batch:
                    # A start may wait for room in the outbox; a stop behind it must not wait with it.
                    group.create_task(self._obey(roster, delivery))
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _obey(self, roster: Roster, delivery: Delivery) -> None:
        try:
            command = decode_command(delivery.verb, delivery.payload)
        except CommandInvalidError as error:
            log.error(f"a command is dropped: {error}")
        else:
            if isinstance(command, Stop):
                await roster.stop(command)
            elif isinstance(command, Start) and command.session == self._session.sequence:
                if not await self._taken_up(roster, command, delivery):
                    return
            elif isinstance(command, Start):
                await self._misdirected(command, delivery)
        await fault.point("agent.ack.before")
        if delivery.verb == "start":
            await self._moments.next()
        await delivery.done()
        await fault.point("agent.ack.after")

    async def _taken_up(self, roster: Roster, command: Start, delivery: Delivery) -> bool:
        """Whether all of it is; what the journal could not take waits with the broker, where a stop can reach it."""
        try:
            await roster.start(command)
        except OSError:
            await delivery.again(DISK_RETRY_S)
            return False
        return True

    async def _misdirected(self, command: Start, delivery: Delivery) -> None:
        """A start for another connection: an earlier one's is void, a later one's is not ours to acknowledge."""
        if command.session > self._session.sequence:
            await delivery.again()
            await self._session.check()
        log.info(f"ignoring a start that was meant for the connection {command.session}")

    # ---- the connection is away

    async def _watch(self, roster: Roster) -> None:
        """Stop the attempts of an agent that has been cut off for too long."""
        loop = asyncio.get_running_loop()
        seen = loop.time()
        limit = self._options.stop_after_disconnect_s
        while True:
            if self._broker.connected:
                seen = loop.time()
            elif loop.time() - seen >= limit and roster.running:
                log.error(f"cut off from the broker for {limit:g} s: stopping every attempt")
                roster.stop_all(CUT_OFF)
            await asyncio.sleep(min(self._options.interval_s, limit / 4))

    # ---- the end

    async def _leave(self, roster: Roster) -> None:
        """Stop what runs, say goodbye, and let the log have it all."""
        self._outbox.open_wide()
        await roster.drain(AGENT_ENDS)
        await self._pool.drain()
        await self._outbox.put(MachineDisconnected(reason=AGENT_ENDS))
        try:
            async with asyncio.timeout(self._options.drain_flush_s):
                await self._outbox.emptied.wait()
        except TimeoutError:
            log.warning(f"{len(self._outbox)} facts were not taken; the next agent of this name sends them")

    async def _yield_to(self, error: ReplacedError) -> None:
        """Another agent has the name. On the same machine it adopts the containers; from elsewhere it cannot."""
        adopted = self._runtime.name == "docker" and error.boot_id == self._facts.boot_id
        if self._roster is not None and not adopted:
            await self._roster.destroy()
            await self._pool.destroy()


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel and await; a failure stays with its task group."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
