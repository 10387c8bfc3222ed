"""Turns where executions that a fixture does not hold claim the same keys.

A fixture of one execution says of them only what its own events say: who came before it (``execution.deferred``), when
it had its turn (``execution.started``), and for whom it was cancelled (``execution.ending``). What depended on others
is taken from there, behind as many decisions of its own as in the record; where everybody is known it is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from muster.model import catalogue as c
from muster.model.envelope import Event
from muster.model.turns import Turns, Who


class SharedTurns(Turns):
    """The lines of all keys, with others in them that nothing else is known of."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, c.ExecutionDeferred] = {}
        self._begins: dict[str, int] = {}
        self._replaced: list[tuple[int, str, str]] = []
        self._ours: Callable[[], int] = int

    def hold(self, event: Event, known: set[str]) -> None:
        """Where others come first who are not known, the execution waits until its own record goes on."""
        data = event.data
        if isinstance(data, c.ExecutionDeferred) and not known.issuperset(data.by):
            self._told[event.execution] = data
        elif isinstance(data, c.ExecutionStarted):
            self._told.pop(event.execution, None)

    def share(self, events: Sequence[Event], known: set[str], ours: Callable[[], int]) -> None:
        """Before a round is decided: what of it depended on others; ``ours`` counts what was decided of it so far."""
        self._ours, self._replaced, place = ours, [], 0
        self._begins.clear()
        for event in events:
            if event.execution not in known:
                continue
            data = event.data
            if isinstance(data, c.ExecutionEnding) and data.replaced_by and data.replaced_by not in known:
                self._replaced.append((place, event.execution, data.replaced_by))
            elif isinstance(data, c.ExecutionStarted) and event.execution in self._told:
                self._begins[event.execution] = place
            elif isinstance(data, c.ExecutionDeferred):
                self.hold(event, known)
            place += 1

    @property
    def stirred(self) -> bool:
        """Whether a line has to be looked at, or the record says that others changed one."""
        return super().stirred or any(place <= self._ours() for place in self._places())

    def _places(self) -> list[int]:
        return [*self._begins.values(), *(place for place, _, _ in self._replaced)]

    def taken(self) -> list[str]:
        """As ``Turns.taken``."""
        found = set(super().taken())
        for who in (*self._begins, *(who for _, who, _ in self._replaced)):
            found |= {key for key in self.keys() if self.waits(key, who) or self.under_way(key, who)}
        return sorted(found)

    def surplus(self, key: str) -> list[tuple[Who, Who]]:
        """As ``Turns.surplus``, and those that are cancelled for others."""
        due = [(who, by) for place, who, by in self._replaced if place <= self._ours()]
        mine = [(who, by) for who, by in due if self.waits(key, who) or self.under_way(key, who)]
        self._replaced = [each for each in self._replaced if each[1:] not in mine]
        return [*super().surplus(key), *mine]

    def next(self, key: str) -> Who | None:
        """As ``Turns.next``; whoever waits for others has its turn when its record says so."""
        for who, place in self._begins.items():
            if place <= self._ours() and self.waits(key, who):
                del self._begins[who]
                return who
        found = super().next(key)
        return None if found in self._told else found

    def before(self, key: str, who: Who | None = None) -> tuple[int, list[Who]]:
        """As ``Turns.before``, and those that are told of."""
        told = self._told.get(who) if who is not None else None
        return super().before(key, who) if told is None else (told.ahead, told.by)

    def rest(self) -> None:
        """After a round."""
        self._begins.clear()
        self._replaced = []
