"""The event catalogue: every kind of fact and decision, its version, who writes it, and what its data means.

A kind is ``<noun>.<verb>``. Times are UTC; durations are seconds; sizes are bytes. The page
``docs/events.md`` is generated from this module.
"""

from __future__ import annotations

from typing import Final

from muster.model.body import CATALOGUE, AttemptRef, Body, Unknown
from muster.model.decisions import (
    AttemptSuperseded,
    CommandRefused,
    Evidence,
    ExecutionCancelled,
    ExecutionDeferred,
    ExecutionEnding,
    ExecutionFailed,
    ExecutionQueued,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSucceeded,
    ExecutionWaiting,
    LeaderElected,
    MachineDrained,
    MachineDraining,
    MachineOffline,
    MachineOnline,
    MachineRemoved,
    StepCancelled,
    StepFailed,
    StepResumed,
    StepRetrying,
    StepScheduled,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from muster.model.facts import (
    AttemptAccepted,
    AttemptFailed,
    AttemptFinished,
    AttemptProgress,
    AttemptStarted,
    AttemptStopped,
    ContainerExited,
    ContainerStarted,
    ContainerStarting,
    FunctionLoaded,
    FunctionLoading,
    Gpu,
    ImagePulled,
    ImagePulling,
    MachineConnected,
    MachineDisconnected,
    MachineFacts,
)
from muster.model.retention import ExecutionCleared, LogArchived, Moved
from muster.model.timetable import (
    ScheduleFired,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
    ScheduleSkipped,
)

HYKO: Final = tuple(
    CATALOGUE[kind]
    for kind in (
        "image.pulling",
        "image.pulled",
        "container.starting",
        "function.loading",
        "function.loaded",
        "attempt.started",
        "attempt.finished",
    )
)
"""Hyko's seven lifecycle events, in the order in which they are shown."""

__all__ = [
    "CATALOGUE",
    "HYKO",
    "AttemptAccepted",
    "AttemptFailed",
    "AttemptFinished",
    "AttemptProgress",
    "AttemptRef",
    "AttemptStarted",
    "AttemptStopped",
    "AttemptSuperseded",
    "Body",
    "CommandRefused",
    "ContainerExited",
    "ContainerStarted",
    "ContainerStarting",
    "Evidence",
    "ExecutionCancelled",
    "ExecutionCleared",
    "ExecutionDeferred",
    "ExecutionEnding",
    "ExecutionFailed",
    "ExecutionQueued",
    "ExecutionResumed",
    "ExecutionStarted",
    "ExecutionSucceeded",
    "ExecutionWaiting",
    "FunctionLoaded",
    "FunctionLoading",
    "Gpu",
    "ImagePulled",
    "ImagePulling",
    "LeaderElected",
    "LogArchived",
    "MachineConnected",
    "MachineDisconnected",
    "MachineDrained",
    "MachineDraining",
    "MachineFacts",
    "MachineOffline",
    "MachineOnline",
    "MachineRemoved",
    "Moved",
    "ScheduleFired",
    "SchedulePaused",
    "ScheduleRemoved",
    "ScheduleResumed",
    "ScheduleSet",
    "ScheduleSkipped",
    "StepCancelled",
    "StepFailed",
    "StepResumed",
    "StepRetrying",
    "StepScheduled",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
    "StepWaiting",
    "Unknown",
]
