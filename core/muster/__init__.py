"""Muster: the model, the broker adapters, the scheduler, the client and the command line.

    from muster import Client

    async with Client() as client:
        result = await client.run(Path("workflow.yaml"), {"text": "…"})

What is named in ``__all__`` is the public face; it is imported when it is first asked for, so that the
command line starts quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muster.client.client import Client
    from muster.client.definition import serialize, workflow_of
    from muster.client.follower import ExecutionView, StepView, TransitionView
    from muster.client.result import Result
    from muster.client.sync import SyncClient
    from muster.model.envelope import Event, Recorded
    from muster.model.errors import ErrorInfo, MusterError
    from muster.model.workflow import (
        Backoff,
        Input,
        MachineSelector,
        Output,
        Resources,
        Retry,
        Step,
        Timeouts,
        Workflow,
    )
    from muster.settings import Settings

__all__ = [
    "Backoff",
    "Client",
    "ErrorInfo",
    "Event",
    "ExecutionView",
    "Input",
    "MachineSelector",
    "MusterError",
    "Output",
    "Recorded",
    "Resources",
    "Result",
    "Retry",
    "Settings",
    "Step",
    "StepView",
    "SyncClient",
    "Timeouts",
    "TransitionView",
    "Workflow",
    "serialize",
    "workflow_of",
]

_HOMES = {
    "muster.client.client": {"Client"},
    "muster.client.definition": {"serialize", "workflow_of"},
    "muster.client.follower": {"ExecutionView", "StepView", "TransitionView"},
    "muster.client.result": {"Result"},
    "muster.client.sync": {"SyncClient"},
    "muster.model.envelope": {"Event", "Recorded"},
    "muster.model.errors": {"ErrorInfo", "MusterError"},
    "muster.model.workflow": {
        "Backoff", "Input", "MachineSelector", "Output", "Resources", "Retry", "Step", "Timeouts", "Workflow",
    },
    "muster.settings": {"Settings"},
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
