"""The clock: the one place from which the engine reads the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Wall time for what is recorded, monotonic seconds for what is measured. Tests replace it."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Monotonic seconds from some fixed moment."""
        return time.monotonic()
