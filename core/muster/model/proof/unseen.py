"""What a leader may know that is gone from the log: what outlasts an execution whose events were erased.

Theory of operation. Where a decision comes out differently, and only something that an erased execution left on a
machine explains it, the leader is taken to have known of that. There are three such things:

1. *Images* that it pulled. A step went to a machine that only its image made better than another: the record knows of
   the image from now on.
2. *Functions* that it loaded. As images; but what is loaded may be unloaded again, and nobody could say of what is not
   known here that it was: that is forgotten again.
3. *Room* that its attempts still hold. An attempt on a machine that is offline, or that does not stop it, is given up,
   its execution may end, and the room is free only when the machine has answered for it, by a connection or in the
   execution's own events, or when the execution is cleared. So on a machine that the marker of the clear names (up to
   there), that fell silent while an erased execution lived, and has not connected since, or that listed attempts of
   which nothing is known, there may be less room than there seems to be; how much is not known, and forgotten again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from muster.model.engine.cluster import Machine
from muster.model.engine.decide import decide
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, Recorded
from muster.model.log.erasure import Erased
from muster.model.proof.record import Record, copied
from muster.model.proof.replay import Recomputed, key

FELL_MAX: Final = 64  # verdicts remembered of one machine; of one that falls silent more often, the last ones


class Unseen:
    """Explains, of the rounds of ``record``, what only what was ``erased`` can have caused."""

    def __init__(self, record: Record, erased: Erased) -> None:
        self._record = record
        self._erased = erased
        self._fell: dict[str, deque[int]] = {}

    def take(self, recorded: Recorded) -> None:
        """Remember from the next event of the log when machines fell silent."""
        event = recorded.event
        if isinstance(event.data, c.MachineOffline) and event.machine is not None:
            self._fell.setdefault(event.machine, deque(maxlen=FELL_MAX)).append(recorded.sequence)

    def explains(self, found: Recomputed) -> bool:
        """Whether the round comes out the same for one who knows of what is gone."""
        if not self._erased:
            return False
        self._record.fold_facts(found.basis.sequence)
        return self._by_room(found) or self._by_use(found)

    def due(self, ahead: Callable[[], State], upto: int, as_of: datetime) -> tuple[list[Event], State]:
        """What is to be decided ``as_of`` then even if there is less room than seems; and the state after it.

        ``ahead`` makes the state that it is decided from, by one who has read ``upto`` there.
        """
        tight: dict[str, int] = {}
        while True:
            state = ahead()
            for name, slots in tight.items():
                state.machines[name].slots_used += slots
            events = decide(state, as_of, Round(state, as_of)).events
            placed = (each.data.machine for each in events if isinstance(each.data, c.StepScheduled))
            name = next((each for each in placed if self._may_be_held(state.machines[each], upto)), "")
            if not name or tight.get(name, 0) >= state.machines[name].facts.slots:
                return events, state
            tight[name] = tight.get(name, 0) + 1

    # ---- room

    def _by_room(self, found: Recomputed) -> bool:
        tight: list[Machine] = []
        again = found
        while (machine := self._seems_free(again)) is not None:
            machine.slots_used += 1
            tight.append(machine)
            again = self._again(found)
        for machine in tight:
            machine.slots_used -= 1
        return again.differs_at is None

    def _seems_free(self, found: Recomputed) -> Machine | None:
        """The machine that the first step that comes out differently would be given to, if room there may be held."""
        place = found.differs_at
        now = found.decided[place] if place is not None and place < len(found.decided) else None
        if now is None or not isinstance(now.data, c.StepScheduled):
            return None
        machine = self._record.state.machines[now.data.machine]
        free = machine.slots_used < machine.facts.slots
        return machine if free and self._may_be_held(machine, found.basis.sequence) else None

    def _may_be_held(self, machine: Machine, sequence: int) -> bool:
        if machine.strays or self._erased.held(machine.name, sequence):
            return True
        fell = self._fell.get(machine.name, ())
        return any(at > machine.session and self._erased.between(at, at) for at in fell)

    # ---- images and functions

    def _by_use(self, found: Recomputed) -> bool:
        images: list[tuple[dict[str, None], str]] = []
        warm: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
        explained: set[int] = set()
        while (place := found.differs_at) is not None and (given := self._given(found, place)) is not None:
            chosen = self._record.state.machines[given.machine]
            called = given.function
            image = called.partition(" ")[0] or self._image(found.recorded[place].event)
            if called and place not in explained:
                explained.add(place)
                warm.setdefault(chosen.name, (chosen.warm, {**chosen.warm}))
                chosen.warm[called] = max(chosen.warm.get(called, 0), chosen.calling.get(called, 0)) + 1
            elif image and image not in chosen.images and self._pulls():
                chosen.images[image] = None
                images.append((chosen.images, image))
            else:
                break
            found = self._again(found)
        for counts, before in warm.values():
            counts.clear()
            counts.update(before)
        if found.differs_at is None:
            return True
        for known, image in images:
            del known[image]
        return False

    def _given(self, found: Recomputed, place: int) -> c.StepScheduled | None:
        """The decision there, where it gives a step to another machine than it would be given to now."""
        if place >= min(len(found.recorded), len(found.decided)):
            return None
        then, now = found.recorded[place].event, found.decided[place]
        if key(then) != key(now) or not isinstance(then.data, c.StepScheduled):
            return None
        return then.data if then.data.machine in self._record.state.machines else None

    def _pulls(self) -> bool:
        """Whether anybody here pulls images."""
        return any(machine.images for machine in self._record.state.machines.values())

    def _image(self, event: Event) -> str:
        """The image of the step, as placement looks for it."""
        ahead = copied(self._record)
        ahead.close()
        execution = ahead.state.executions.get(event.execution)
        return (execution.steps[event.step or ""].plan.step.image or "") if execution is not None else ""

    def _again(self, found: Recomputed) -> Recomputed:
        again = self._record.trial().close(cut=found.cut)
        assert again is not None
        return again
