"""Why the ready steps of an execution have no machine yet: the scheduler's own fold of the log, read by a person."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Protocol

from muster.broker.interface import Broker
from muster.cli.asking import question
from muster.cli.moment import Point
from muster.cli.terminal import Terminal
from muster.client.watch import Watch
from muster.model.engine.cluster import Machine
from muster.model.engine.evolve import evolve
from muster.model.engine.execution import StepState
from muster.model.engine.placement import Requirement, choose, requirement
from muster.model.engine.state import State
from muster.model.sharing.claims import turn

STILL_S: Final = 3.0  # so long without an event is long enough for a person to wonder
PAUSE_S: Final = 0.3  # who answers at once need not be asked
MACHINES_NAMED: Final = 3
LINES_MAX: Final = 5


class Shown(Protocol):
    """What can be held up while a line is written."""

    def pause(self) -> None:
        """Something else is about to be written."""
        ...

    def resume(self) -> None:
        """It was written."""
        ...


async def tell_why(terminal: Terminal, broker: Broker, watch: Watch, shown: Shown) -> None:
    """Write once why steps wait, as soon as the execution has not moved for a while."""
    seen = -1
    while not watch.view.finished:
        if watch.view.sequence == seen:
            found = await waiting(broker, watch.view.id)
            if found and watch.view.sequence == seen:
                shown.pause()
                for line in abridged(found):
                    terminal.say(line)
                shown.resume()
                return
        seen = watch.view.sequence
        await asyncio.sleep(STILL_S)


async def tell_questions(terminal: Terminal, watch: Watch, shown: Shown) -> None:
    """Write once for each step that waits for input what it asks, and how to answer it."""
    told: set[str] = set()
    while not watch.view.finished:
        await asyncio.sleep(PAUSE_S)
        fresh = [step for step in watch.view.asking if step.path not in told]
        if fresh:
            shown.pause()
            for step in fresh[:LINES_MAX]:
                terminal.say(f"{step.path} {terminal.safe(question(watch.view, step))}")
            if len(fresh) > LINES_MAX:
                terminal.say(f"… and {len(fresh) - LINES_MAX} more steps wait for input")
            shown.resume()
            told |= {step.path for step in fresh}


def abridged(found: dict[str, str], between: str = " waits: ") -> list[str]:
    """A line for each step that waits, and at most so many as a person reads."""
    lines = [f"{path or 'the execution'}{between}{sentence}" for path, sentence in found.items()]
    more = len(lines) - LINES_MAX
    return lines if more <= 0 else [*lines[:LINES_MAX], f"… and {more} more steps wait"]


async def waiting(broker: Broker, execution: str, point: Point | None = None) -> dict[str, str]:
    """A sentence for each step that is ready and has no machine, by its path: now, or as it was at ``point``.

    An execution that waits for its turn has one itself, whose path is empty. It reads the log from its beginning.
    """
    state = State()
    latest = datetime.now(UTC)
    async with aclosing(broker.history.read(stop=point.sequence if point else None)) as batches:
        async for batch in batches:
            for recorded in batch:
                evolve(state, recorded.event, recorded.sequence)
            latest = batch[-1].event.time
    now = datetime.now(UTC) if point is None else point.time or latest
    return reasons(state, execution, now, advise=point is None)


def reasons(state: State, execution: str, now: datetime, *, advise: bool = True) -> dict[str, str]:
    """As waiting, of a state that was folded. An execution nobody has begun waits for a scheduler, not for room."""
    known = state.executions.get(execution)
    if known is None:
        return {}
    if known.claim is not None and state.turns.waits(known.claim.key, execution):
        return {"": turn(state.turns.before(known.claim.key, execution)[0], known.claim.key)}
    return {
        path: reason(requirement(step.plan), state.machines, step.plan.step.image or "", advise=advise)
        for path, step in known.steps.items()
        if (execution, path) in state.queue or _overdue(step, now)
    }


def _overdue(step: StepState, now: datetime) -> bool:
    """Whether it is to be run again by now. What waits for a time or for somebody needs no machine."""
    return step.plan.primitive == "run" and step.due_at is not None and step.due_at <= now


def reason(wanted: Requirement, machines: dict[str, Machine], image: str = "", *, advise: bool = True) -> str:
    """Why a step that asks for this has no machine; ``advise`` adds what to do about it, where that helps."""
    sentence, advice = _why(wanted, machines, image)
    return f"{sentence}; {advice}" if advise and advice else sentence


def _why(wanted: Requirement, machines: dict[str, Machine], image: str) -> tuple[str, str]:
    online = [machine for machine in machines.values() if machine.online]
    name = wanted.machine
    if name is not None and not any(machine.name == name for machine in online):
        return (
            f"waits for the machine {name}, which is not connected",
            f"start it: muster agent --name {name}",
        )
    if not online:
        return "no machine is connected", "start one: muster agent"
    candidates = [machine for machine in online if wanted.admits(machine)]
    if not candidates:
        away = sorted(machine.name for machine in machines.values() if wanted.admits(machine))
        if away:
            return f"only {_named(away)} could hold it, and is not connected", ""
        return f"no machine that is connected could ever hold it: it asks for {wanted}", ""
    if choose(wanted, candidates, image) is not None:
        return (
            "there is room, and the scheduler has not placed it yet",
            "muster doctor looks whether one leads",
        )
    opened = [machine for machine in candidates if machine.open]
    if not opened:
        return (
            f"{_named(sorted(machine.name for machine in candidates))} takes nothing new: it is draining",
            "",
        )
    return f"no room: {_named([_use(machine, wanted) for machine in opened])}", ""


def _use(machine: Machine, wanted: Requirement) -> str:
    """What of the machine is used, of that which the step lacks there."""
    facts, asked = machine.facts, wanted.resources
    used = []
    if machine.slots_used + asked.slots > facts.slots:
        used.append(f"{machine.slots_used}/{facts.slots} slots")
    if machine.cpus_used + asked.cpus > facts.cpus:
        used.append(f"{machine.cpus_used:g}/{facts.cpus:g} cpus")
    if machine.memory_used + asked.memory > facts.memory:
        used.append(f"{machine.memory_used}/{facts.memory} bytes of memory")
    if machine.gpus_used + asked.gpus > len(facts.gpus):
        used.append(f"{machine.gpus_used}/{len(facts.gpus)} gpus")
    return f"{machine.name} {', '.join(used)}"


def _named(names: list[str]) -> str:
    more = len(names) - MACHINES_NAMED
    return ", ".join(names[:MACHINES_NAMED]) + (f" and {more} more" if more > 0 else "")
