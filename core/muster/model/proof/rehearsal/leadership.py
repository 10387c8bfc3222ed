"""Who decides: nobody, while nobody led.

Theory of operation. The record shows when a leader was elected, and not when the one before it died. So the unchanged
play finds it out: where it would decide something after the last trace of one leader and before the first of the next,
who has to read the log when it is elected, and the record has no such decision, nobody led from then on. A leader may
also die while it writes a round; then the record has the beginning of it, and what it ordered was not sent. What was
found holds for the changed play too.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Final

import msgspec

from muster.model.engine.decide import decide
from muster.model.engine.round import Round
from muster.model.log.envelope import Event

_INSTANT: Final = timedelta(microseconds=1)


class Gap(msgspec.Struct, frozen=True):
    """From the last round of one leader, of which the record has ``written`` events, to the first of the next.

    It ends with the election where the record has no round of the next.
    """

    begins: datetime
    ends: datetime
    written: int


class Leadership:
    """Made from the ``gaps`` of a record, it finds out; made from what another found (``unled``), it knows."""

    def __init__(self, gaps: Sequence[Gap] = (), unled: Sequence[tuple[datetime, datetime]] = ()) -> None:
        self._gaps = gaps
        self.unled = [*unled]

    @property
    def missing_s(self) -> float:
        """How long nobody led."""
        return sum((ends - begins).total_seconds() for begins, ends in self.unled)

    def led_at(self, at: datetime, decided_at: datetime | None = None) -> datetime:
        """When somebody leads who can decide what is to be decided at ``at``; the last round was at ``decided_at``."""
        if decided_at is not None and at <= decided_at and self.dies(decided_at):
            at = decided_at + _INSTANT
        return next((ends for begins, ends in self.unled if begins <= at < ends), at)

    def dies(self, now: datetime) -> bool:
        """Whether the leader is gone before the orders of its round of ``now`` are sent."""
        after = now + _INSTANT
        return self.led_at(after) > after

    def cut(self, round_: Round) -> list[Event] | None:
        """What was written of a round that was not made, or not to its end; None of one that was."""
        now = round_.now
        gap = next((gap for gap in self._gaps if gap.begins <= now < gap.ends), None)
        if gap is None:
            return None
        probe = deepcopy(round_)
        decide(probe.state, now, probe)
        written = max(gap.written if now == gap.begins else 0, len(round_.events))
        if len(probe.events) <= written:
            return None
        self.unled.append((now if written == 0 else now + _INSTANT, gap.ends))
        return probe.events[len(round_.events) : written]
