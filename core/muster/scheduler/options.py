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
    archive_after_s: float = 30 * 86_400.0
    """Executions that ended longer ago move to the archive: a month is looked back upon often, more seldom."""
    archive_every_s: float = 60.0
    """How often it is looked whether some are due; 0 archives nothing but what is asked for (muster log archive)."""
    archive_batch: int = 100
    """Executions moved together: one event in the log names all of them, with 150 bytes each."""
    archive_object_bytes: int = 64 << 20
    """A compressed history larger than this stays in the log: an object is held in memory as a whole."""
    archive_sweep_s: float = 3600.0
    """How often objects are looked for that a leader put which was replaced while it did."""


class ShadowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Durations are seconds."""

    quiet_s: float = 1.0
    """The newest round is compared when nothing of it came for this long: a leader writes a round in one go, and what
    is missing at its end is not held against it yet."""
    patience_s: float = 10.0
    """A leader that beats and has not decided for this long what is due owes it. Twice the time after which a leader
    gives up an append that hangs, and stops beating."""
    silent_s: float = 3.0
    """A leader that was not heard for this long does not answer: three beats. What it does not decide is then no
    disagreement."""
    tick_s: float = 0.5
    """How often the end of the log and the leader's beats are looked at."""
    asleep_s: float = 2.0
    """A tick that comes this much too late means that this process did not listen; patience begins again."""
    rest: int = 9
    """What is owed is worked out on a copy of the state. After each, the shadow lets this many times as long pass, so
    that a large state costs it a tenth of a processor at most."""
    settle_s: float = 1.0
    """What was erased while it was read makes the log be read again, after this long: by then the erasure is done."""
    again_max: int = 3
    """Readings in a row that end at the same place; then what was found there is reported as it is."""
