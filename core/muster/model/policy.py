"""The scheduler's policy: every limit that decisions rest on, with its default and the reason."""

from __future__ import annotations

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Durations are seconds."""

    beats_missed_max: int = 3
    """Beats that may fail to come before a machine counts as offline: one may be lost, two may be bad luck."""
    beat_slack_s: float = 1.5
    """Added to that, for delivery and a busy machine. With beats every 3 s the verdict falls after 10.5 s."""
    placement_timeout_s: float = 30.0
    """How long a step waits for the machine it names: an agent that restarts is back by then."""
    offline_timeout_s: float = 600.0
    """How long a step waits while every machine that could hold it is away, before it fails."""
    lost_max: int = 3
    """Attempts of a step that may be lost with their machine before the step fails. Does not spend its retries."""
    accept_timeout_s: float = 120.0
    """How long a machine that answers may leave a start unaccepted, through every resending, before the attempt counts
    as lost: an agent whose commands do not reach it must not hold a step for ever."""
    ending_timeout_s: float = 60.0
    """How long a cancelled execution waits, beyond the longest grace period, for its containers to be gone."""
    handler_timeout_s: float = 3600.0
    """How long what is run at the end of an execution may take, all together, before it is given up."""
    resend_after_s: float = 10.0
    """A start that no agent accepted by then is sent again; agents ignore what they already have."""
    cache_kept: int = 10_000
    """Results of steps with ``cache`` that are kept; what was not used for longest is let go."""
    cache_bytes: int = 64 << 20
    """... and of how many bytes as JSON, all together: they are held in memory."""
    ended_kept: int = 100_000
    """Ended executions whose ids are kept in memory to recognise a repeated submit (some 200 bytes each)."""
    steps_max: int = 100_000
    """Steps of one workflow: the definition must fit into one event."""
    schedule_late_s: float = 60.0
    """How late a run of a schedule that makes up for nothing may still begin: a new leader is there long before. With 0
    none would ever begin, since every run is late by some milliseconds."""
    schedule_catch_up_max: int = 100
    """Runs that a schedule with ``catch_up: all`` makes up for after a time without scheduler, the newest: four days of
    an hourly one, and no more than one round can hold."""
    schedule_running_max: int = 1000
    """Executions of one schedule that wait or run; above it nothing new is begun. One that is due more often than it
    can be done, and queues, would fill the log."""
    schedules_max: int = 1000
    """Schedules at once: their definitions are held in memory."""
    function_tags: dict[str, list[str]] = {}
    """Tags that functions require, by globs over their names: an execution must hold those of each that matches. None
    by default: what a function needs, only the operator knows."""
