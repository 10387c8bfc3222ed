"""Placement: which ready step goes to which machine.

Ready steps wait in the order in which they became ready, grouped by what they require, so that a round looks
at one step per kind of requirement and not at every waiting step: if the first of a group finds no room, none
of it does. Only the folded cluster is read. The machine with the largest free share of slots wins; among
equals one that has the image, then the first by name.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from muster.model.cluster import Machine
from muster.model.commands import AttemptResources
from muster.model.errors import MachineOfflineError, MusterError, NotConnectedError, PlacementError
from muster.model.plan import StepPlan
from muster.model.policy import Policy

Slot = tuple[str, str]
"""An execution's id and a step's path."""


class Requirement(msgspec.Struct, frozen=True):
    """What a step asks of a machine."""

    machine: str | None
    labels: tuple[tuple[str, str], ...]
    resources: AttemptResources
    image: str = ""

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


def requirement(plan: StepPlan) -> Requirement:
    """What ``plan`` requires."""
    return Requirement(plan.machine, plan.labels, plan.resources, plan.step.image)


class Queue:
    """Ready steps that have no machine yet. ``order`` is given by the caller: it must come from the log."""

    def __init__(self) -> None:
        self._groups: dict[Requirement, dict[Slot, int]] = {}
        self._where: dict[Slot, Requirement] = {}
        self._added = 0

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._where

    def groups(self) -> Iterable[tuple[Requirement, dict[Slot, int]]]:
        """The waiting steps by requirement, each group in order."""
        return self._groups.items()

    def add(self, slot: Slot, wanted: Requirement) -> None:
        """Put the step at the end."""
        if slot not in self._where:
            self._added += 1
            self._where[slot] = wanted
            self._groups.setdefault(wanted, {})[slot] = self._added

    def remove(self, slot: Slot) -> None:
        """Take the step out, if it is there."""
        wanted = self._where.pop(slot, None)
        if wanted is not None:
            group = self._groups[wanted]
            del group[slot]
            if not group:
                del self._groups[wanted]

    def heads(self, machines: dict[str, Machine]) -> Iterator[tuple[Slot, Requirement, Machine]]:
        """The steps that find room, oldest first, each with its machine.

        The caller takes each one out of the queue (and gives it the machine's room) before asking for the next.
        """
        heap = [(next(iter(group.values())), no, wanted) for no, (wanted, group) in enumerate(self.groups())]
        heapq.heapify(heap)
        while heap:
            _, number, wanted = heap[0]
            group = self._groups.get(wanted)
            machine = choose(wanted, machines.values()) if group else None
            if not group or machine is None:
                heapq.heappop(heap)
                continue
            slot = next(iter(group))
            yield slot, wanted, machine
            if group and slot not in group:
                heapq.heapreplace(heap, (next(iter(group.values())), number, wanted))
            else:
                heapq.heappop(heap)


def choose(wanted: Requirement, machines: Iterable[Machine]) -> Machine | None:
    """The machine for ``wanted`` among those that answer and have room, or None."""
    best: Machine | None = None
    best_rank: tuple[Any, ...] = ()
    for machine in machines:
        if (
            machine.online
            and not machine.draining
            and not machine.leaving
            and machine.fits(wanted.resources)
            and wanted.admits(machine)
        ):
            rank = (
                machine.slots_used / machine.facts.slots,
                wanted.image not in machine.images,
                machine.name,
            )
            if best is None or rank < best_rank:
                best, best_rank = machine, rank
    return best


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
    left = max((machine.changed_at for machine in candidates if machine.changed_at), default=ready_at)
    named = wanted.machine is not None
    wait_s = policy.placement_timeout_s if named else policy.offline_timeout_s
    return Hopeless(_away(candidates), _later(max(left, ready_at), wait_s))


def _away(candidates: list[Machine]) -> MusterError:
    last = max(candidates, key=lambda machine: (machine.status == "offline", machine.name))
    if last.status == "offline":
        return MachineOfflineError(machine=last.name)
    return NotConnectedError(machine=last.name)


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)
