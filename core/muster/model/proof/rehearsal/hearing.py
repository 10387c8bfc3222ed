"""When things happened, on one clock: the scheduler's.

Theory of operation. A fact bears its machine's clock, a decision the scheduler's. Of each fact two times are wanted:
when it was *made*, and when the scheduler *heard* it. Decisions show which facts they rest on, which bounds both:

- The round of the first decision whose basis reaches the fact had heard it; the round before that had not.
- An attempt cannot answer before it was ordered. With the first rule, that bounds how wrong a machine's clock may be.
  A clock that need not be wrong is taken to be right.

Rounds that decided nothing left no trace, so the first bound may be far off; where it is, the time on the (corrected)
clock is taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from muster.model.errors import FixtureInvalidError
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Basis, Recorded
from muster.model.log.names import SCHEDULER

PROMPT: Final = timedelta(seconds=0.25)  # a round within this of a fact is the one the fact woke
SKEW_TOLD: Final = timedelta(seconds=1)  # a smaller error of a machine's clock is not worth a sentence


class Moment(msgspec.Struct, frozen=True):
    """When a fact was made, and when it was heard; of a decision both are when it was made."""

    made: datetime
    heard: datetime


class Hearing:
    """Reads all records once; then it tells each one's moment."""

    def __init__(self, records: Iterable[Recorded]) -> None:
        self._reach: list[int] = []
        self._nows: list[datetime] = []
        facts, ordered = self._read(records)
        self.skews = self._skews(facts, ordered)

    def moment(self, recorded: Recorded) -> Moment:
        """When this was made and heard, on the scheduler's clock."""
        event = recorded.event
        if event.writer == SCHEDULER:
            return Moment(event.time, event.time)
        made = event.time - self.skews.get(event.writer, timedelta())
        before, after = self._around(recorded.sequence)
        if after is not None and (after - made <= PROMPT or (before is not None and made <= before)):
            return Moment(min(made, after), after)
        return Moment(made, max(made, before) if before is not None else made)

    def _read(self, records: Iterable[Recorded]) -> tuple[list[Recorded], dict[AttemptRef, datetime]]:
        facts: list[Recorded] = []
        ordered: dict[AttemptRef, datetime] = {}
        for recorded in records:
            event = recorded.event
            if event.writer != SCHEDULER:
                facts.append(recorded)
                continue
            if isinstance(event.data, c.StepScheduled) and event.step and event.attempt:
                ordered[AttemptRef(event.execution, event.step, event.attempt)] = event.time
            if event.basis is not None:
                basis = _basis(event.basis, recorded.sequence)
                self._reach.append(max(basis.sequence, self._reach[-1] if self._reach else 0))
                self._nows.append(basis.now)
        return facts, ordered

    def _around(self, sequence: int) -> tuple[datetime | None, datetime | None]:
        """The last round that did not know of ``sequence``, and the first that did."""
        place = bisect_left(self._reach, sequence)
        before = self._nows[place - 1] if place else None
        return before, self._nows[place] if place < len(self._nows) else None

    def _skews(self, facts: Iterable[Recorded], ordered: dict[AttemptRef, datetime]) -> dict[str, timedelta]:
        least: dict[str, timedelta] = {}
        most: dict[str, timedelta] = {}
        for recorded in facts:
            event = recorded.event
            name = event.writer
            _, after = self._around(recorded.sequence)
            if after is not None:
                least[name] = max(least.get(name, timedelta.min), event.time - after)
            order = ordered.get(AttemptRef(event.execution, event.step or "", event.attempt or 0))
            if order is not None:
                most[name] = min(most.get(name, timedelta.max), event.time - order)
        none = timedelta()
        found = {name: ahead for name, ahead in least.items() if ahead > none}
        return found | {name: behind for name, behind in most.items() if behind < none}


def _basis(text: str, sequence: int) -> Basis:
    try:
        return Basis.parse(text)
    except ValueError:
        raise FixtureInvalidError(f"The event at sequence {sequence}: {text!r} is no basis.") from None
