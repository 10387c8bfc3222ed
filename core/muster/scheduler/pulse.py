"""Whether a leader is there to be judged: what its beats say, to one who only listens."""

from __future__ import annotations

from datetime import datetime

from muster.model.log.commands import Heartbeat


class Pulse:
    """The beats of whoever leads. ``since_s`` is when they began to come without a gap longer than ``silent_s``."""

    def __init__(self, silent_s: float, now_s: float) -> None:
        self._silent_s = silent_s
        self._beat: Heartbeat | None = None
        self._left = 0
        self.heard_s = self.since_s = now_s

    def hear(self, beat: Heartbeat, now_s: float) -> None:
        """A scheduler's beat came; one of a leader already replaced says nothing."""
        known = self._beat.session if self._beat is not None else 0
        if beat.session < known:
            return
        if beat.leaving:
            self._left = beat.session
            return
        if beat.session != known or now_s - self.heard_s > self._silent_s:
            self.since_s = now_s
        self._beat, self.heard_s = beat, now_s

    def restart(self, now_s: float) -> None:
        """The listening was interrupted: no silence before now counts, and no beat."""
        self.heard_s = self.since_s = now_s

    def time(self, session: int, now_s: float) -> datetime | None:
        """The clock of the leader elected at ``session``, by its newest beat; None where it does not answer."""
        beat = self._beat
        if beat is None or beat.session != session or self._left == session:
            return None
        return beat.time if now_s - self.heard_s <= self._silent_s else None
