"""What is gone from the log, or is about to be: the marks that archiving and clearing leave in it."""

from __future__ import annotations

from contextlib import aclosing

from muster.broker.interface import LogReader
from muster.model.log import subjects
from muster.model.log.erasure import Span, spans


class Erasures:
    """The spans of what is gone, as of the last look."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._looked_to = 0
        self.found: list[Span] = []

    async def look(self) -> list[Span]:
        """Look for marks that are new; all that is known. Raises BrokerError."""
        end = (await self._log.position()).last
        if end > self._looked_to:
            wanted = [subjects.CLEARED, subjects.ARCHIVED]
            reading = self._log.read(self._looked_to + 1, subjects=wanted, stop=end)
            async with aclosing(reading) as batches:
                async for batch in batches:
                    self.found += [span for recorded in batch for span in spans(recorded)]
            self._looked_to = end
        return self.found
