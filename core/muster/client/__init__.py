"""Submit, watch and end executions from Python: everything is read from the log, nothing from a view."""

from __future__ import annotations

from muster.client.client import Client
from muster.client.definition import serialize, workflow_of
from muster.client.follower import ExecutionView, TransitionView
from muster.client.result import Result
from muster.client.schedules import ScheduleView
from muster.client.steps import Progress, StepView
from muster.client.sync import SyncClient
from muster.client.timeline import Moment

__all__ = [
    "Client",
    "ExecutionView",
    "Moment",
    "Progress",
    "Result",
    "ScheduleView",
    "StepView",
    "SyncClient",
    "TransitionView",
    "serialize",
    "workflow_of",
]
