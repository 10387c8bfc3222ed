"""Whether this scheduler has been listening all the time: only then is silence a sign of anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from muster.broker.interface import Broker
from muster.clock import Clock
from muster.scheduler.options import SchedulerOptions


class Wakefulness:
    """Notices that nobody listened: the connection was away, or this process did not run. Then it calls ``lapsed``.

    Whoever is about to judge by a silence looks first: after a sleep nobody knows which task wakes up first.
    """

    def __init__(
        self, broker: Broker, options: SchedulerOptions, clock: Clock, lapsed: Callable[[float], None]
    ) -> None:
        self._broker = broker
        self._options = options
        self._clock = clock
        self._lapsed = lapsed
        self._looked_s = clock.seconds()
        self._reconnects = broker.reconnects

    def look(self) -> None:
        """See whether there was a lapse since the last look."""
        now_s, reconnects = self._clock.seconds(), self._broker.reconnects
        late_s = now_s - self._looked_s - self._options.tick_s
        away = reconnects != self._reconnects or not self._broker.connected
        self._looked_s, self._reconnects = now_s, reconnects
        if away or late_s > self._options.asleep_s:
            self._lapsed(now_s)

    async def keep(self) -> None:
        """Look at every tick, until cancelled."""
        while True:
            await asyncio.sleep(self._options.tick_s)
            self.look()
