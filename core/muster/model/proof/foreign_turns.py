"""Turns where others that a fixture does not hold claim the same keys.

A fixture of one execution says of them only what its own events say: who came first (``execution.deferred``,
``step.waiting``), when it had its turn (``execution.started``, ``step.admitted``), for whom it had to end, and that it
was refused. What depended on others is taken from there, behind as many decisions of its own as in the record; where
everybody is known it is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from muster.model.errors import ConcurrencyLimitError
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event
from muster.model.log.names import NO_EXECUTION
from muster.model.sharing.claims import CONCURRENCY
from muster.model.sharing.turns import StepTurns, Turns, Who

Said = tuple[Literal["waits", "begins", "replaced", "refused"], Who, Any]
"""What an event says: of whom (of which key, where one was refused), and who the others are."""


class _Shared(Turns):
    """The lines of all keys, with others in them that nothing else is known of."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[Who, tuple[int, list[str]]] = {}
        self._refused: dict[str, tuple[int, list[str]]] = {}
        self._begins: dict[Who, int] = {}
        self._replaced: list[tuple[int, Who, str]] = []
        self._ours: Callable[[], int] = int

    def said(self, event: Event) -> Said | None:
        """What the event says of turns."""
        raise NotImplementedError

    def hold(self, event: Event, known: set[str]) -> None:
        """Where others come first who are not known, it waits until its own record goes on."""
        match self.said(event):
            case ("waits", who, (ahead, by)) if not _known(by, known):
                self._told[who] = ahead, by
            case ("begins", who, _):
                self._told.pop(who, None)

    def share(self, events: Sequence[Event], known: set[str], ours: Callable[[], int]) -> None:
        """Before a round is decided: what of it depended on others; ``ours`` counts what was decided of it so far."""
        self.rest()
        self._ours = ours
        own = [event for event in events if event.execution in known or event.execution == NO_EXECUTION]
        for place, event in enumerate(own):
            match self.said(event):
                case ("waits", _, _):
                    self.hold(event, known)
                case ("begins", who, _) if who in self._told:
                    self._begins[who] = place
                case ("replaced", who, by) if not _known([by], known):
                    before = own[place - 1].data if place else None
                    self._replaced.append((place - isinstance(before, c.AttemptSuperseded), who, by))
                case ("refused", key, (count, by)) if not _known(by, known):
                    self._refused[key] = count, by

    def rest(self) -> None:
        """After a round."""
        self._ours, self._replaced = int, []
        self._begins.clear()
        self._refused.clear()

    @property
    def stirred(self) -> bool:
        """Whether a line has to be looked at, or the record says that others changed one."""
        places = [*self._begins.values(), *(place for place, _, _ in self._replaced)]
        return super().stirred or any(place <= self._ours() for place in places)

    def taken(self) -> list[str]:
        """As ``Turns.taken``."""
        found = set(super().taken())
        for who in (*self._begins, *(who for _, who, _ in self._replaced)):
            found |= {key for key in self.keys() if self.claims(key, who)}
        return self.ordered(found)

    def surplus(self, key: str) -> list[tuple[Who, str]]:
        """As ``Turns.surplus``, and those that have to end for others."""
        due = [(who, by) for place, who, by in self._replaced if place <= self._ours()]
        mine = [(who, by) for who, by in due if self.claims(key, who)]
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

    def before(self, key: str, who: Who | None = None) -> tuple[int, list[str]]:
        """As ``Turns.before``, and those that are told of."""
        told = self._told.get(who) if who is not None else None
        if told is None and not self.waits(key, who):
            told = self._refused.get(key)
        return super().before(key, who) if told is None else told


class SharedTurns(_Shared):
    """Those of executions."""

    def said(self, event: Event) -> Said | None:
        """As ``_Shared.said``."""
        match event.data:
            case c.ExecutionDeferred(ahead=ahead, by=by):
                return "waits", event.execution, (ahead, by)
            case c.ExecutionStarted():
                return "begins", event.execution, None
            case c.ExecutionEnding(replaced_by=by) if by:
                return "replaced", event.execution, by
            case c.StepFailed() as data:
                return _refused(data)
        return None


class SharedStepTurns(_Shared, StepTurns):
    """Those of steps."""

    def said(self, event: Event) -> Said | None:
        """As ``_Shared.said``."""
        who = event.execution, event.step
        match event.data:
            case c.StepWaiting(reason=reason, ahead=ahead, by=by) if reason == CONCURRENCY:
                return "waits", who, (ahead, by)
            case c.StepAdmitted():
                return "begins", who, None
            case c.StepFailed(error=error) if error.code == ConcurrencyLimitError.code:
                winner = error.details.get("replaced_by")
                return ("replaced", who, winner) if isinstance(winner, str) else _refused(event.data)
        return None


def _refused(data: c.StepFailed) -> Said | None:
    details = data.error.details
    if data.error.code != ConcurrencyLimitError.code or not isinstance(details.get("held_by"), list):
        return None
    return "refused", details.get("key"), (details.get("count", 0), details["held_by"])


def _known(names: Sequence[str], known: set[str]) -> bool:
    return all(name.partition("/")[0] in known for name in names)
