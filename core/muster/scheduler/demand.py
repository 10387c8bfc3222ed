"""When a leader can be said to owe a decision: what was read by when, and since when nobody decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER
from muster.scheduler.options import ShadowOptions


class Demand:
    """All times named ``*_s`` are readings of the shadow's clock.

    That nothing came says only something about the time up to which the log is known to be read: the end of it that was
    asked for at ``_asked_s`` has been reached.
    """

    def __init__(self, options: ShadowOptions, now_s: float) -> None:
        self._options = options
        self._arrivals: deque[tuple[int, float]] = deque()
        self._upto = 0
        self._asked: tuple[int, float] | None = None
        self._settled: tuple[int, datetime | None] | None = None
        self._listening_s = self._decided_s = self._read_s = now_s

    def restart(self, now_s: float) -> None:
        """What was read came just now: the log is read again, or nobody listened for a while."""
        self._listening_s = self._decided_s = self._read_s = now_s
        self._asked = self._settled = None

    def arrive(self, batch: Sequence[Recorded], now_s: float) -> None:
        """These were read."""
        self._arrivals.append((batch[-1].sequence, now_s))
        self._pass(now_s - self._options.patience_s)
        if any(recorded.event.writer == SCHEDULER for recorded in batch):
            self._decided_s, self._settled = now_s, None

    def reach(self, end: int, sequence: int, asked_s: float) -> None:
        """The log ended at ``end`` when that was asked for; it is read up to ``sequence``."""
        if self._asked is not None and sequence >= self._asked[0]:
            self._read_s, self._asked = self._asked[1], None
        if sequence >= end:
            self._read_s = asked_s
        elif self._asked is None:
            self._asked = (end, asked_s)

    @property
    def quiet(self) -> bool:
        """Whether the newest round is as complete as it will be."""
        return self._read_s - self._decided_s >= self._options.quiet_s

    def due(self, clock: datetime, beating_s: float) -> tuple[int, datetime] | None:
        """What must have been decided: from which events, and as of when on the leader's ``clock``.

        None where it is too early to say, or nothing changed since nothing was owed. ``beating_s`` is since when the
        leader beats without a gap.
        """
        since_s = self._read_s - self._options.patience_s
        if max(self._listening_s, self._decided_s, beating_s) > since_s:
            return None
        self._pass(since_s)
        as_of = clock - timedelta(seconds=self._options.patience_s)
        if self._settled is not None:
            upto, timer = self._settled
            if upto == self._upto and (timer is None or as_of < timer):
                return None
        return self._upto, as_of

    def settle(self, upto: int, timer: datetime | None) -> None:
        """Everything due is told: there is no more before something comes, or this timer is due."""
        self._settled = upto, timer

    def _pass(self, since_s: float) -> None:
        while self._arrivals and self._arrivals[0][1] <= since_s:
            self._upto = self._arrivals.popleft()[0]
