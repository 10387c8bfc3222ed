"""The scheduler's own limits, each with its default and the reason."""

from __future__ import annotations

import msgspec

from muster.model.policy import Policy


class SchedulerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Durations are seconds."""

    name: str = "scheduler"
    """What this scheduler is called in ``leader.elected``; the host's name is a good one."""
    policy: Policy = Policy()
    """What decisions rest on."""
    beat_interval_s: float = 1.0
    """How often the leader beats."""
    takeover_after_s: float = 3.0
    """A standby that heard no leader for this long takes over: three beats, so that work goes on within 5 s."""
    tick_s: float = 0.5
    """How often machines are judged by their beats."""
    asleep_s: float = 2.0
    """A tick that comes this much too late means that this process did not listen; no machine is blamed for it."""
    sweep_s: float = 5.0
    """How often commands that nobody obeyed are looked for."""
    rounds_in_flight: int = 4
    """Rounds appended and not acknowledged yet. More would only make rounds smaller."""
    commands_waiting: int = 1024
    """Commands received and not decided yet; beyond this they stay in the broker."""
    sends_at_once: int = 32
    """Command messages under way at once."""
    start_bytes: int = 1 << 20
    """Starts for one machine travel together up to about this size, well below the broker's 8 MB."""
