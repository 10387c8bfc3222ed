"""The result cache: what steps gave, by the key of what they were asked.

Theory of operation. A step with ``cache`` has a key: a hash of all that decides what it gives. ``step.succeeded`` names
it where the outcome was made (then it is kept here) and where it was found here (``reason: cached``). So the cache is
nothing but a fold of the log, and as all state survives any leader.

A step looks into the cache as it was when the step became ready, however much later it is looked: what was kept after
that is not seen, and age is counted up to that time. Whether it finds something is then the same whenever that is
decided, so looking in vain need not leave a trace. Two steps of one key that are ready at once are both run.

What is kept is bounded by number and size; what was not used for longest goes first. What was made in an execution that
is erased goes with it, and what speaks of a file that was. Whoever folds a log whose beginning is in the archive knows
less: then a step is run again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Self

import msgspec

from muster.model.log.decisions import Source, StepSucceeded
from muster.model.log.envelope import Event
from muster.model.plan import artifacts
from muster.model.policy import Policy
from muster.model.values import size

CACHED: Final = "cached"


class Entry(msgspec.Struct, frozen=True):
    """What a step gave, where and when. ``number`` counts what was ever kept; ``owners`` are the executions with which
    it goes: the one that made it, and those whose files it speaks of.
    """

    outputs: dict[str, Any]
    source: Source
    at: datetime
    size: int
    number: int
    owners: frozenset[str]


class Cache:
    """What is kept, least recently used first."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.bytes = 0
        self.number = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self)()
        made.entries, made.bytes, made.number = dict(self.entries), self.bytes, self.number
        return made

    def fold(self, event: Event, data: StepSucceeded, policy: Policy) -> None:
        """A step has succeeded whose key is known."""
        if data.reason == CACHED:
            if (used := self.entries.pop(data.cache_key, None)) is not None:
                self.entries[data.cache_key] = used
            return
        self._drop(data.cache_key)
        self.number += 1
        source = Source(
            execution=event.execution, step=event.step or "", attempt=event.attempt, at=event.time
        )
        files = (artifact.execution for _, artifact in artifacts.inside(data.outputs))
        owners = frozenset((event.execution, *files))
        entry = Entry(data.outputs, source, event.time, size(data.outputs), self.number, owners)
        self.entries[data.cache_key] = entry
        self.bytes += entry.size
        while len(self.entries) > policy.cache_kept or self.bytes > policy.cache_bytes:
            self._drop(next(iter(self.entries)))

    def find(self, key: str, number: int, now: datetime, max_age_s: float | None) -> Entry | None:
        """What was kept under the key when ``number`` had been, and was not older than that ``now``."""
        entry = self.entries.get(key)
        if entry is None or entry.number > number:
            return None
        if max_age_s is not None and now - entry.at > timedelta(seconds=max_age_s):
            return None
        return entry

    def forget(self, execution: str) -> None:
        """Let go of all that was made in this execution, or speaks of its files."""
        for key in [key for key, entry in self.entries.items() if execution in entry.owners]:
            self._drop(key)

    def _drop(self, key: str) -> None:
        if (entry := self.entries.pop(key, None)) is not None:
            self.bytes -= entry.size
