"""The engine's side of a test: broker, scheduler and agents on one loop, and its clock put forward step by step.

Theory of operation. Everything the engine waits for is a timer of its loop, or of the scheduler's state. Putting the
clock forward must look to the engine like time that passes and not like a machine that slept, so it goes in steps:
while an attempt runs, or a machine is gone and nobody has noticed, one tick of the scheduler at a time; else straight
to the next moment at which the scheduler has anything to do. After each step the engine has the loop until it is quiet.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from muster.broker.memory import MemoryBroker, MemoryStore
from muster.client.client import Client
from muster.client.follower import ExecutionView
from muster.model.engine.decide import next_due
from muster.model.engine.state import State
from muster.model.errors import ExecutionTimeoutError, InvalidArgumentError
from muster.model.policy import Policy
from muster.scheduler.options import SchedulerOptions
from muster.scheduler.service import Scheduler
from muster.services import service
from muster.settings import Settings
from muster.testing.background import ForwardClock, ForwardLoop

TICK_S: Final = (
    5.0  # how often machines are judged here, and beat; also the longest step while an attempt runs
)
POLL_S: Final = 0.005  # real seconds between two looks at whether there is anything but waiting left
READY_LIMIT_S: Final = 30.0  # real seconds for a part to start
TURNS: Final = 20  # of the loop, between two looks at whether the log still grows
QUIET: Final = 3  # looks in a row at which it did not


class _Part:
    """An agent under way."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Stage:
    """What runs. All methods are for the engine's loop."""

    def __init__(self, folder: Path, loop: ForwardLoop, runtime: str, policy: Policy) -> None:
        self.clock = ForwardClock(loop)
        self._loop = loop
        self._runtime = runtime
        self._settings = Settings(data_dir=folder)
        self.store = MemoryStore(clock=self.clock.now)
        self._scheduler = Scheduler(
            self._connect("scheduler"),
            SchedulerOptions(
                name="testing",
                policy=policy,
                tick_s=TICK_S,
                beat_interval_s=TICK_S,
                asleep_s=TICK_S,
                sweep_s=TICK_S,
            ),
            self.clock,
            self._heard,
        )
        self._leads = asyncio.Event()
        self._agents: dict[str, _Part] = {}
        self._lost: set[str] = set()
        self._parts: dict[str, asyncio.Task[Any]] = {}
        self._resources = AsyncExitStack()
        self.client = Client(broker=self._connect("test"))

    def _connect(self, name: str) -> MemoryBroker:
        return MemoryBroker(self.store, settings=self._settings, name=name)

    def _heard(self, line: str) -> None:
        if "leads" in line:
            self._leads.set()

    # ---- beginning and end

    async def open(self, machines: dict[str, dict[str, Any]]) -> None:
        """Start a scheduler and these machines, and wait until they work."""
        stop = asyncio.Event()
        task = self._loop.create_task(self._scheduler.run(stop), name="muster-scheduler")
        self._parts["scheduler"] = task

        async def end() -> None:
            stop.set()
            await asyncio.wait({task})

        self._resources.push_async_callback(end)
        await self._ready(self._leads, task, "scheduler")
        await self._resources.enter_async_context(self.client)
        for name, options in machines.items():
            await self.start(name, options)

    async def close(self) -> None:
        """Stop the agents, then the scheduler. Raises what ended a part before its time."""
        for name in list(self._agents):
            await self.stop(name)
        await self._resources.aclose()
        self._raise_failure()

    async def _ready(self, event: asyncio.Event, task: asyncio.Task[Any], name: str) -> None:
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.wait({waiting, task}, timeout=READY_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        if not event.is_set():
            raise ExecutionTimeoutError(f"The {name} was not ready within {READY_LIMIT_S:g} s.")

    # ---- machines

    async def start(self, name: str, options: dict[str, Any]) -> None:
        """Start the agent of a machine, new or known."""
        if name in self._agents:
            raise InvalidArgumentError(f"The machine {name} is there.", remedy="Stop or lose it first.")
        part = _Part(self._connect(name))
        chosen = {"runtime": self._runtime, "slots": 4, "interval_s": TICK_S} | options
        serving = service("agent")(
            part.broker,
            self._settings,
            stop=part.stop,
            ready=lambda _: part.ready.set(),
            name=name,
            clock=self.clock,
            **chosen,
        )
        part.task = self._parts[name] = self._loop.create_task(serving, name=f"muster-{name}")
        self._agents[name] = part
        self._lost.discard(name)
        await self._ready(part.ready, part.task, f"machine {name}")

    async def stop(self, name: str) -> None:
        """Let the agent say goodbye and end."""
        part = self._agent(name)
        part.stop.set()
        assert part.task is not None
        await asyncio.wait({part.task})
        await part.broker.close()
        self._raise_failure()

    async def lose(self, name: str) -> None:
        """The machine is gone without a word: no goodbye, no beat, nothing of what it runs is heard any more."""
        part = self._agent(name)
        part.broker.disconnect()
        self._lost.add(name)
        assert part.task is not None
        part.task.cancel()
        await asyncio.wait({part.task})
        self._parts.pop(name)

    def _agent(self, name: str) -> _Part:
        if name not in self._agents:
            raise InvalidArgumentError(
                f"There is no machine {name} to stop.",
                remedy=f"There are: {', '.join(self._agents) or 'none'}.",
            )
        return self._agents.pop(name)

    # ---- time

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, as the engine sees it."""
        await self.settle()
        target = self._loop.ahead_s + seconds
        while (left := target - self._loop.ahead_s) > 0:
            self._loop.ahead_s += min(left, self._step_s())
            await self.settle()

    def _step_s(self) -> float:
        """How far the clock may go at once."""
        if self._busy() or self._unnoticed():
            return TICK_S
        due = next_due(self._state)
        left = (due - self.clock.now()).total_seconds() if due is not None else float("inf")
        return max(left, 0.001)  # a moment that is due now is dealt with by the next turn

    async def settle(self) -> None:
        """Return when nothing more happens without time passing."""
        quiet, last = 0, -1
        while quiet < QUIET:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            now = self.store.position().last
            quiet = quiet + 1 if now == last and not self._scheduler._follower.outstanding else 0
            last = now
        self._raise_failure()

    @property
    def _state(self) -> State:
        return self._scheduler._follower.state

    def _busy(self) -> bool:
        """Whether a machine that is there has an attempt."""
        return any(machine.held for name, machine in self._state.machines.items() if name in self._agents)

    def _unnoticed(self) -> bool:
        machines = self._state.machines
        return any(name in machines and machines[name].online for name in self._lost)

    # ---- executions

    async def wait(self, execution: str, limit_s: float, *, skip_waits: bool) -> ExecutionView:
        """The execution when it has ended; ``limit_s`` are real seconds."""
        deadline = time.monotonic() + limit_s
        async with self.client.follow(execution) as watch:
            waiting = asyncio.ensure_future(watch.until_finished())
            try:
                while not waiting.done():
                    await asyncio.wait({waiting}, timeout=POLL_S)
                    self._raise_failure()
                    if not waiting.done() and time.monotonic() > deadline:
                        raise self._stuck(watch.view, limit_s)
                    if not waiting.done() and skip_waits:
                        await self._skip()
                await waiting
            finally:
                waiting.cancel()
        return watch.view

    async def _skip(self) -> None:
        """Put the clock forward to the next thing that happens, where nothing happens before."""
        await self.settle()
        due = next_due(self._state)
        if self._busy():
            return
        if self._unnoticed():
            await self.advance(TICK_S)
        elif due is not None and (left := (due - self.clock.now()).total_seconds()) > 0:
            await self.advance(left)

    def _stuck(self, view: ExecutionView, limit_s: float) -> ExecutionTimeoutError:
        open_ = [f"{step.path} is {step.status}" for step in view.steps.values() if not step.finished]
        return ExecutionTimeoutError(
            f"The execution {view.id} did not end in {limit_s:g} s: {', '.join(open_) or view.status}.",
            remedy="Look at what it waits for (its machines, labels and resources), or give it more time: timeout=.",
        )

    async def until(self, execution: str, kind: str, count: int, limit_s: float) -> ExecutionView:
        """The execution as it stands after the ``count``-th event of this kind; ``limit_s`` are real seconds."""
        deadline, seen = time.monotonic() + limit_s, 0
        while True:
            await self.client.state(execution)  # raises where it is unknown
            events = [r.event.kind async for r in self.client.events(execution)]
            if (seen := events.count(kind)) >= count:
                return await self.client.state(execution)  # what was read before them may lack the last
            if time.monotonic() > deadline:
                raise ExecutionTimeoutError(
                    f"The execution {execution} had {seen} of {count} {kind} within {limit_s:g} s; it had "
                    f"{', '.join(dict.fromkeys(events))}.",
                    remedy="Check the kind (docs/events.md), or let time pass: clock.advance.",
                )
            await asyncio.sleep(POLL_S)
            self._raise_failure()

    # ---- failures

    def _raise_failure(self) -> None:
        for name, task in list(self._parts.items()):
            if task.done():
                del self._parts[name]
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
