"""What is gone from the log, as the log itself tells it, and what cannot be seen any more because of that."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

import msgspec

from muster.model.log import catalogue as c
from muster.model.log.envelope import Recorded
from muster.model.log.retention import Range, joined


class Span(msgspec.Struct, frozen=True):
    """Where an execution stood that is gone from the log: from its first event to its last.

    On the machines that it ``held`` it took room up to ``until``, where its marker stands.
    """

    first: int
    last: int
    execution: str = ""
    held: tuple[str, ...] = ()
    until: int = 0


def spans(recorded: Recorded) -> list[Span]:
    """What this event says is gone; an erasure that does not say where may be of anything before it."""
    event, data = recorded.event, recorded.event.data
    if isinstance(data, c.LogArchived):
        return [Span(moved.first, moved.last) for moved in data.objects]
    if isinstance(data, c.ExecutionCleared):
        if not data.sequences:
            return [Span(1, recorded.sequence, event.execution)]
        until = recorded.sequence if data.held else 0
        held = tuple(data.held)
        return [Span(data.sequences[0][0], data.sequences[-1][1], event.execution, held, until)]
    return []


class Erased:
    """The spans that are known to be gone, or about to be."""

    def __init__(self) -> None:
        self._spans: dict[Span, None] = {}
        self._ranges: list[Range] = []

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, found: Iterable[Span]) -> None:
        """These as well."""
        self._spans.update(dict.fromkeys(found))
        ranges = [(span.first, span.last) for span in self._spans]
        self._ranges = joined(ranges, len(ranges) + 1)

    def holds(self, execution: str) -> bool:
        """Whether it is known that this execution is gone."""
        return any(span.execution == execution for span in self._spans)

    def held(self, machine: str, sequence: int) -> bool:
        """Whether any of them is known to have held room there, for one who has read to ``sequence``."""
        return any(span.first <= sequence < span.until and machine in span.held for span in self._spans)

    def between(self, first: int, last: int) -> bool:
        """Whether any of them has a place in common with ``first`` to ``last``."""
        at = bisect_right(self._ranges, last, key=lambda range_: range_[0])
        return at > 0 and self._ranges[at - 1][1] >= first

    def tears(self, begun: Mapping[str, int], sequence: int) -> bool:
        """Whether one of these executions, read from where they begin and not to an end, must have ended by now."""
        places = {*begun.values()}
        past = (span for span in self._spans if span.last <= sequence)
        return any(span.execution in begun or span.first in places for span in past)
