"""Placement: which ready step goes to which machine.

Ready steps wait by priority, those of one priority in the order in which they became ready. They are grouped by
what they require, so that a round looks at one step per kind of requirement and not at every waiting step: if the
first of a group finds no room, none of it does. Only the folded cluster is read. The machine with the largest free
share of slots wins; among equals one that has the image, then the first by name.

A step that calls a function goes, of the machines with room, to one where the function is loaded and idle, then to one
that has the image, and only then to the one with the largest free share: a call into a loaded function costs
milliseconds, a container hundreds of them, and a load any number of seconds. What is idle is what the loaded containers
take, less the attempts that were given to the machine and call it. What follows:

- Of many calls that are ready at once, as many go to the warm machines as are idle there; each of the others goes as if
  nothing were warm, and has the function loaded once more where it comes. So a fan-out over a cold cluster loads it on
  every machine, evenly where all have the image or none has: each load serves the calls after it.
- A machine that alone has the image fills up before the others pull it.
- A step never waits for a warm machine that is full while another has room: a load is bounded, a queue is not.
- Nothing of this changes whether a step finds room, so that something was loaded or unloaded stirs no queue.

Only agents that keep functions loaded say so when they connect. Where none does, as in every log from before there were
such, a function is a container like any other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from muster.model.engine.cluster import Machine
from muster.model.errors import MachineOfflineError, MusterError, NotConnectedError, PlacementError
from muster.model.log.commands import AttemptResources
from muster.model.plan.tree import StepPlan
from muster.model.policy import Policy

Slot = tuple[str, str]
"""An execution's id and a step's path."""


class Requirement(msgspec.Struct, frozen=True):
    """What a step asks of a machine. Those of another ``priority`` have a queue of their own, oldest first as all."""

    machine: str | None
    labels: tuple[tuple[str, str], ...]
    resources: AttemptResources
    priority: int = 0

    def admits(self, machine: Machine) -> bool:
        """Whether the machine could hold it if it were empty, leaving aside whether it answers."""
        if self.machine is not None and machine.name != self.machine:
            return False
        labels = machine.facts.labels
        return all(labels.get(key) == value for key, value in self.labels) and machine.could_hold(
            self.resources
        )

    def __str__(self) -> str:
        asked = [f"machine {self.machine}"] if self.machine else []
        asked += [f"label {key}={value}" for key, value in self.labels]
        resources = self.resources
        asked += [f"{resources.slots} slots"] if resources.slots > 1 else []
        asked += [f"{resources.cpus:g} cpus"] if resources.cpus else []
        asked += [f"{resources.memory} bytes of memory"] if resources.memory else []
        asked += [f"{resources.gpus} gpus"] if resources.gpus else []
        return ", ".join(asked) or "one slot"


def requirement(plan: StepPlan, priority: int = 0) -> Requirement:
    """What ``plan`` requires."""
    return Requirement(plan.machine, plan.labels, plan.resources, priority)


class Waiting(msgspec.Struct, frozen=True, order=True):
    """A step's place in the queue: it comes from the log, so that every leader has the same order.

    ``rank`` is minus its priority, ``function`` what it calls (``muster.model.engine.cluster.called``).
    """

    rank: int
    ready_at: datetime
    execution: str
    order: tuple[int, ...]
    path: str
    image: str
    function: str = ""

    @property
    def slot(self) -> Slot:
        """Which step it is."""
        return self.execution, self.path


class Queue:
    """Ready steps that have no machine yet, oldest first, by what they require."""

    def __init__(self) -> None:
        self._groups: dict[Requirement, list[Waiting]] = {}
        self._where: dict[Slot, tuple[Requirement, Waiting]] = {}

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._where

    def slots(self) -> list[Slot]:
        """The steps that wait, oldest first."""
        return [waiting.slot for waiting in sorted(waiting for _, waiting in self._where.values())]

    def requirements(self) -> list[Requirement]:
        """What is asked for by the steps that wait, beginning with what the oldest asks for."""
        heads = [(head, wanted) for wanted in list(self._groups) if (head := self.head(wanted)) is not None]
        return [wanted for _, wanted in sorted(heads, key=lambda found: found[0])]

    def add(self, waiting: Waiting, wanted: Requirement) -> None:
        """Put the step into its place."""
        if waiting.slot not in self._where:
            self._where[waiting.slot] = wanted, waiting
            heapq.heappush(self._groups.setdefault(wanted, []), waiting)

    def remove(self, slot: Slot) -> None:
        """Take the step out, if it is there."""
        self._where.pop(slot, None)

    def head(self, wanted: Requirement) -> Waiting | None:
        """The oldest step that asks for ``wanted``."""
        group = self._groups.get(wanted, [])
        while group:
            _, waiting = self._where.get(group[0].slot, (None, None))
            if waiting is group[0]:
                return waiting
            heapq.heappop(group)
        self._groups.pop(wanted, None)
        return None

    def heads(self, machines: dict[str, Machine]) -> Iterator[tuple[Slot, Requirement, Machine]]:
        """The steps that find room, oldest first, each with its machine.

        The caller takes each one out of the queue (and gives it the machine's room) before asking for the next.
        """
        heap = [
            (waiting, number, wanted)
            for number, wanted in enumerate(self.requirements())
            if (waiting := self.head(wanted)) is not None
        ]
        heapq.heapify(heap)
        kept = any(machine.keeps for machine in machines.values())
        while heap:
            waiting, number, wanted = heap[0]
            function = waiting.function if kept else ""
            machine = choose(wanted, machines.values(), waiting.image, function)
            if machine is not None:
                yield waiting.slot, wanted, machine
            following = self.head(wanted)
            if machine is None or following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following, number, wanted))


def choose(
    wanted: Requirement, machines: Iterable[Machine], image: str = "", function: str = ""
) -> Machine | None:
    """The machine for ``wanted`` among those that answer and have room, or None. ``function``: what is called."""
    best: Machine | None = None
    best_rank: tuple[Any, ...] = ()
    for machine in machines:
        if machine.open and machine.fits(wanted.resources) and wanted.admits(machine):
            rank = _rank(machine, image, function)
            if best is None or rank < best_rank:
                best, best_rank = machine, rank
    return best


def _rank(machine: Machine, image: str, function: str) -> tuple[Any, ...]:
    """The lower, the better."""
    share = machine.slots_used / machine.facts.slots
    if not function:
        return share, image not in machine.images, machine.name
    pulled = function.partition(" ")[0] in machine.images
    return machine.idle(function) <= 0, not pulled, share, machine.name


class Hopeless(msgspec.Struct, frozen=True):
    """Why a waiting step cannot be placed: it fails with ``error`` at ``due_at`` (at once where None)."""

    error: MusterError
    due_at: datetime | None = None


def outlook(
    wanted: Requirement, machines: dict[str, Machine], ready_at: datetime, policy: Policy
) -> Hopeless | None:
    """What becomes of a step that found no room, or None where it only has to wait its turn.

    A named machine has ``placement_timeout_s`` to appear. A step that no known machine could ever hold is hopeless at
    once; one whose every candidate is away waits ``offline_timeout_s``, counted from when the last of them left.
    """
    if wanted.machine is not None and wanted.machine not in machines:
        return Hopeless(
            NotConnectedError(machine=wanted.machine), _later(ready_at, policy.placement_timeout_s)
        )
    candidates = [machine for machine in machines.values() if wanted.admits(machine)]
    if not candidates:
        if not machines:
            return None
        known = f"{len(machines)} known" if wanted.machine is None else wanted.machine
        return Hopeless(
            PlacementError(f"no machine ({known}) could ever hold the step: it asks for {wanted}")
        )
    if any(machine.online for machine in candidates):
        return None
    left = max(_left(machine, ready_at, policy) for machine in candidates)
    named = wanted.machine is not None
    wait_s = policy.placement_timeout_s if named else policy.offline_timeout_s
    return Hopeless(_away(candidates), _later(left, wait_s))


def _left(machine: Machine, ready_at: datetime, policy: Policy) -> datetime:
    """Since when the step waits for the machine. A goodbye bears the machine's own clock, which may be anything."""
    if machine.gone_at is None:
        return max(machine.offline_at or ready_at, ready_at)
    return min(max(machine.gone_at, ready_at), _later(ready_at, policy.offline_timeout_s))


def _away(candidates: list[Machine]) -> MusterError:
    last = max(candidates, key=lambda machine: (machine.status == "offline", machine.name))
    if last.status == "offline":
        return MachineOfflineError(machine=last.name)
    return NotConnectedError(machine=last.name)


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)
