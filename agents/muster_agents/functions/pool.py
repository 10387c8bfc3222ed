"""The loaded containers of one machine: kept warm, handed out, let go.

A call takes a container that would be made just like its own (``kinds.kind``, and the digest that its image's name has
now), is loaded, and has a place free; where there is none it makes one. Nobody waits for another's: what is loading may
take long or fail, and the slots of the machine bound how many there are. With ``isolation: execution`` the kind names
the execution, with ``isolation: call`` nothing is ever taken and nothing is kept.

A place is reserved before anything is awaited, so that two calls never get the same one; a container that had not been
heard of for a while is asked whether it is well, and replaced where it does not answer.

A loaded one goes, and ``function.unloaded`` says why: idle for too long (``idle``, or ``isolation`` where one execution
had it for itself), so that another fits (``evicted``: the number of containers, the memory and the GPUs that idle ones
still hold), because the host is short of memory (``memory``), because it ended (``crashed``), did not answer
(``unhealthy``) or had to be killed to end a call, or its agent ends (``stopped``). The one not used for longest goes
first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final, Literal, Protocol

from muster.identity import uuid7
from muster.model.log.catalogue import FunctionUnloaded, LoadedFunction
from muster.model.log.commands import AttemptOrder, FunctionStatus
from muster_agents.devices import Devices
from muster_agents.functions import kinds
from muster_agents.functions.caller import Caller, EndedError
from muster_agents.functions.digests import Digests
from muster_agents.functions.instance import SHUTDOWN_S, Instance
from muster_agents.functions.ledger import Entry, Ledger
from muster_agents.functions.legacy import Legacy
from muster_agents.functions.memory import available_share
from muster_agents.functions.showing import for_one_call, status
from muster_agents.options import AgentOptions
from muster_agents.outbox import Outbox
from muster_agents.removal import removed
from muster_agents.room import Room
from muster_agents.runtimes.interface import Launch, Report, ServesFunctions

TEND_S: Final = 1.0
"""Between two looks at who is idle for too long and how the host's memory is."""
STATUSES_MAX: Final = 64
"""In one beat: what is used last comes first."""

Reason = Literal["idle", "evicted", "memory", "crashed", "unhealthy", "isolation", "stopped"]

log = logging.getLogger(__name__)


class Spawns(Protocol):
    """Where background work goes: a task group, whose end awaits it and whose owner sees it fail."""

    def create_task(self, work: Coroutine[Any, Any, None], /) -> Any:
        """Begin it."""
        ...


class Pool:
    """All instances of an agent. For one loop; ``open`` before use."""

    def __init__(
        self,
        runtime: ServesFunctions,
        outbox: Outbox,
        ledger: Ledger,
        options: AgentOptions,
        room: Room,
        devices: Devices,
        slots: int,
        *,
        now: Callable[[], float],
        available: Callable[[], float] = available_share,
    ) -> None:
        self._runtime = runtime
        self._outbox = outbox
        self._ledger = ledger
        self._options = options
        self._room = room
        self._devices = devices
        devices.relieve = self._relieve
        self._most = 2 * slots if options.functions_max is None else options.functions_max
        self._now = now
        self._available = available
        self._group: Spawns | None = None
        self._instances: dict[str, Instance] = {}
        self._told: set[str] = set()
        self._leaving: dict[str, tuple[Reason, float]] = {}
        self._going: dict[str, asyncio.Task[None]] = {}
        self._drained = asyncio.Event()
        self._legacy = Legacy(runtime, outbox, ledger, devices, self._drained)
        self._gpus: dict[str, list[str]] = {}
        self._digests = Digests(runtime.digest, options.image_check_s, now)
        self.news = asyncio.Event()
        """Set when something was loaded, or is gone."""

    def open(self, group: Spawns) -> None:
        """From here on its background work belongs to ``group``."""
        self._group = group

    # ---- for calls

    async def take(self, order: AttemptOrder, id_: str) -> Instance | None:
        """A loaded container with a place for this call, reserved until ``give``; None where one must be made."""
        if order.container.isolation == "call" or not self._instances:
            return None
        digest = await self._digests.of(order.container.image)
        if digest is None:
            return None
        key = (digest, kinds.kind(order))
        while (instance := self._freest(key)) is not None:
            instance.begin(id_)
            if not instance.calls.keys() - {id_} and self._unheard(instance):
                try:
                    well = await instance.well()
                except BaseException:
                    instance.end(id_)
                    raise
                if not well:
                    instance.end(id_)
                    self.drop(instance, "unhealthy", 0.0)
                    continue
            return instance
        return None

    def _freest(self, key: tuple[str, str]) -> Instance | None:
        """The one used last: what is used least gets idle, and goes."""
        free = [one for one in self._instances.values() if one.key == key and one.free]
        return max(free, key=lambda one: one.used, default=None)

    def _unheard(self, instance: Instance) -> bool:
        return self._now() - instance.heard > self._options.function_ping_after_s

    async def make(self, order: AttemptOrder, maker: Caller, report: Report) -> Instance:
        """A new container for this call; nothing has happened yet. Others go where it would not fit."""
        await self.fit(1)
        wanted = order.resources.gpus
        gpus = await self._devices.take(wanted) if wanted else []
        launch = Launch(
            instance=uuid7(),
            container=order.container,
            resources=order.resources,
            execution=kinds.owner(order),
            gpus=gpus,
        )
        instance = Instance(launch, ("", kinds.kind(order)), self._options, ended=self._ended, now=self._now)
        instance.make(self._runtime.serve(launch, instance), maker, report)
        self._instances[launch.instance] = instance
        self._gpus[launch.instance] = gpus
        return instance

    async def pull(self, instance: Instance) -> None:
        """Its image is there. Raises ImagePullError."""
        await instance.serving.pull()
        instance.key = (instance.serving.digest, instance.key[1])
        self._digests.forget(instance.launch.container.image)

    async def start(self, instance: Instance) -> None:
        """It runs. Raises ContainerStartingError."""
        await self._ledger.write(Entry(launch=instance.launch, key=instance.key))
        await instance.serving.start()
        self._spawn(instance.watch())

    async def enter(self, instance: Instance) -> None:
        """It is loaded: an agent that comes after this one may go on with it. Raises OSError."""
        await self._ledger.write(
            Entry(
                launch=instance.launch,
                key=instance.key,
                container=instance.container,
                loaded=instance.loaded,
                since=instance.since,
                load_s=instance.load_s,
            )
        )

    def settle(self, instance: Instance, id_: str) -> None:
        """The log knows that it is loaded: it belongs to the pool, and has this call as its first.

        Raises EndedError where it has ended since; the log hears of that, too.
        """
        if not for_one_call(instance.launch):
            self._told.add(instance.launch.instance)
        if instance.gone:
            self._spawn(self._tell(instance, "crashed"))
            raise EndedError(instance.exit, instance.cause)
        instance.settle()
        instance.begin(id_)
        self.news.set()

    async def abandon(self, instance: Instance, grace_s: float) -> None:
        """Its maker gives up before it is loaded, or nothing else ends its call: nothing is left of it."""
        self.drop(instance, "stopped", grace_s)
        if (going := self._going.get(instance.launch.instance)) is not None:
            await asyncio.shield(going)

    def give(self, instance: Instance, id_: str) -> None:
        """The call is over."""
        instance.end(id_)
        if for_one_call(instance.launch):
            self.drop(instance, "isolation", instance.grace_s)
        elif self._devices.short:
            self._relieve(self._devices.short)

    def drop(self, instance: Instance, reason: Reason, grace_s: float) -> None:
        """Nobody gets it again; it is ended and removed in the background. Nothing happens where it is gone."""
        if not instance.gone:
            self._leaving[instance.launch.instance] = (reason, grace_s)
            instance.go()

    # ---- who stays

    async def fit(self, more: int = 0) -> None:
        """Idle ones go until what attempts hold, ``more`` containers among it, fits beside those that stay."""
        leaving = []
        while (idle := self._idle()) and self._too_many(idle, more):
            self.drop(idle[0], "evicted", SHUTDOWN_S)
            leaving.append(self._going[idle[0].launch.instance])
        if leaving:
            await asyncio.wait(leaving)

    def _too_many(self, idle: list[Instance], more: int) -> bool:
        memory = sum(one.launch.resources.memory for one in idle)
        staying = sum(not one.gone for one in self._instances.values())
        return staying + more > self._most or (memory > 0 and memory > self._room.memory)

    def _relieve(self, count: int) -> None:
        """Somebody waits for so many GPUs more: idle ones that have some give them back, beside those that go."""
        count -= sum(len(self._gpus.get(name, [])) for name, one in self._instances.items() if one.gone)
        for one in self._idle():
            if count <= 0:
                return
            held = len(self._gpus.get(one.launch.instance, []))
            if held:
                self.drop(one, "evicted", SHUTDOWN_S)
                count -= held

    def _idle(self) -> list[Instance]:
        """Those nobody calls, the one not used for longest first."""
        return sorted((one for one in self._instances.values() if one.idle), key=lambda one: one.used)

    async def tend(self) -> None:
        """Let go who is idle for too long, and one more where the host is short of memory."""
        idle = self._idle()
        for one in idle:
            if self._now() - one.used >= self._options.function_idle_s:
                self.drop(one, "isolation" if one.launch.execution else "idle", one.grace_s)
        staying = [one for one in idle if one.idle]
        while staying and self._too_many(staying, 0):
            self.drop(staying.pop(0), "evicted", SHUTDOWN_S)
        if staying and await asyncio.to_thread(self._available) < self._options.function_memory_share:
            first = next((one for one in staying if one.idle), None)
            if first is not None:
                self.drop(first, "memory", SHUTDOWN_S)

    async def keep(self) -> None:
        """Tend until cancelled."""
        while True:
            await asyncio.sleep(TEND_S)
            await self.tend()

    # ---- the end of one

    def _ended(self, instance: Instance) -> None:
        """It is gone, whoever ended it."""
        if self._group is None:
            return
        name = instance.launch.instance
        task = self._going[name] = self._spawn(self._end(instance))
        task.add_done_callback(lambda _: self._going.pop(name, None))

    async def _end(self, instance: Instance) -> None:
        name = instance.launch.instance
        reason, grace_s = self._leaving.pop(name, ("crashed", 0.0))
        _, gone = await asyncio.gather(self._tell(instance, reason), instance.close(grace_s))
        del self._instances[name]
        self.news.set()
        if gone:
            await self._removed(name)
        else:
            self._spawn(self._remove_late(instance))

    async def _remove_late(self, instance: Instance) -> None:
        """Its engine was away."""
        if await removed(instance.remove, self._drained, tried=True):
            await self._removed(instance.launch.instance)

    async def _removed(self, name: str) -> None:
        self._devices.give(self._gpus.pop(name, []))
        try:
            await self._ledger.strike(name)
        except OSError as error:
            log.error(f"the file of {name} could not be removed: {error}")

    async def _tell(self, instance: Instance, reason: Reason) -> None:
        name = instance.launch.instance
        if name not in self._told:
            return
        self._told.discard(name)
        await self._outbox.put(
            FunctionUnloaded(
                function=instance.function,
                image=instance.launch.container.image,
                container=instance.container,
                reason=reason,
                calls=instance.count,
                seconds=round(max(0.0, self._now() - instance.loaded_at), 3),
            )
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._group is not None, "open it first"
        task: asyncio.Task[None] = self._group.create_task(work)
        return task

    async def drain(self) -> None:
        """Let all go, say so, and wait until they are gone."""
        for instance in list(self._instances.values()):
            self.drop(instance, "stopped", instance.grace_s)
        while self._going:
            await asyncio.wait(set(self._going.values()))
        self._drained.set()

    async def destroy(self) -> None:
        """End all at once, without a word in the log: they are another agent's now."""
        self._group = None
        await asyncio.gather(*(one.close(0.0) for one in self._instances.values()))

    # ---- what an agent before left

    async def find(self, began: Collection[str]) -> list[LoadedFunction]:
        """What is loaded here already; see ``Legacy.find``."""
        return await self._legacy.find(began)

    def adopt(self) -> dict[str, Instance]:
        """Go on with what was found, remove the rest; the instances by their containers."""
        adopted: dict[str, Instance] = {}
        for entry, found in self._legacy.kept:
            name = entry.launch.instance
            instance = Instance(
                entry.launch, entry.key, self._options, ended=self._ended, now=self._now, again=True
            )
            assert entry.loaded is not None
            serving = self._runtime.adopt_serving(entry.launch, found, instance)
            instance.adopt(serving, entry.loaded, entry.since, entry.load_s)
            self._instances[name] = adopted[found.container] = instance
            self._gpus[name] = self._devices.hold(entry.launch.gpus)
            if not for_one_call(entry.launch):
                self._told.add(name)
            self._spawn(instance.watch())
        for work in self._legacy.rest():
            self._spawn(work)
        return adopted

    # ---- what is told

    def statuses(self) -> list[FunctionStatus]:
        """All of them, those used last first."""
        found = [one for one in self._instances.values() if not one.gone]
        found.sort(key=lambda one: one.used, reverse=True)
        return [status(one) for one in found[:STATUSES_MAX]]
