"""Attempts of executions that a fixture does not hold: they take room on machines, and nothing is decided about
them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from muster.model.engine.cluster import Machine, ordered
from muster.model.engine.evolve import evolve
from muster.model.engine.placement import Queue, Requirement, Slot
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Event
from muster.model.log.names import NO_EXECUTION


class SharedQueue(Queue):
    """The placement queue where others take room too: each foreign attempt takes its room where the record has it."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._round: Round | None = None
        self._recorded: deque[tuple[int, Event]] = deque()

    def share(self, round_: Round, events: Sequence[Event], known: set[str]) -> None:
        """Before this round is decided: which foreign attempts were scheduled in it, and behind how many of ours."""
        self._round, ours = round_, 0
        self._recorded.clear()
        for event in events:
            if isinstance(event.data, c.StepSucceeded):
                if (
                    event.execution not in known
                ):  # the recording has it since what it gave was found in the cache
                    evolve(self._state, event)
            elif event.execution in known:
                ours += isinstance(event.data, c.StepScheduled)
            elif event.execution != NO_EXECUTION:
                self._recorded.append((ours, event))

    def rest(self) -> None:
        """After it: what was recorded behind all of ours."""
        while self._recorded:
            self._take(self._recorded.popleft()[1])

    def heads(self, machines: dict[str, Machine]) -> Iterator[tuple[Slot, Requirement, Machine]]:
        """As ``Queue.heads``, with others in between."""
        while self._recorded:
            while self._recorded and self._recorded[0][0] <= self._ours():
                self._take(self._recorded.popleft()[1])
            found = next(super().heads(machines), None)
            if found is None:
                return
            yield found
        yield from super().heads(machines)

    def _ours(self) -> int:
        events = self._round.events if self._round is not None else []
        return sum(isinstance(event.data, c.StepScheduled) for event in events)

    def _take(self, event: Event) -> None:
        if isinstance(event.data, c.StepScheduled):
            hold(self._state, event, event.data)
        else:
            evolve(self._state, event)


def hold(state: State, event: Event, data: c.StepScheduled) -> None:
    """A foreign attempt takes its room; it gives it back as every attempt does, by what its machine says."""
    machine = state.machines.get(data.machine)
    if machine is None or event.step is None or event.attempt is None:
        return
    machine.hold(ordered(AttemptRef(event.execution, event.step, event.attempt), data, event.time))
