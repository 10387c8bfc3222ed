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
    from muster.build import (
        call,
        case,
        chain,
        default,
        fail,
        for_each,
        get,
        group,
        if_,
        log,
        map_each,
        parallel,
        return_,
        set_,
        sleep,
        sleep_until,
        step,
        switch,
        wait_for_input,
        workflow,
    )
    from muster.client.client import Client
    from muster.client.definition import serialize, workflow_of
    from muster.client.follower import ExecutionView, TransitionView
    from muster.client.result import Result
    from muster.client.steps import StepView
    from muster.client.sync import SyncClient
    from muster.model.definition.printing import to_yaml
    from muster.model.definition.schedule import Schedule
    from muster.model.definition.terms import (
        Term,
        cel,
        error,
        execution,
        inputs,
        item,
        machine,
        steps,
        variables,
    )
    from muster.model.definition.workflow import (
        Backoff,
        Cache,
        Case,
        Concurrency,
        ForEach,
        Input,
        Limits,
        MachineSelector,
        Map,
        Output,
        Port,
        Resources,
        Retry,
        Step,
        Timeouts,
        WaitForInput,
        Workflow,
    )
    from muster.model.errors import ErrorInfo, MusterError
    from muster.model.log.envelope import Event, Recorded
    from muster.settings import Settings

__all__ = [
    "Backoff",
    "Cache",
    "Case",
    "Client",
    "Concurrency",
    "ErrorInfo",
    "Event",
    "ExecutionView",
    "ForEach",
    "Input",
    "Limits",
    "MachineSelector",
    "Map",
    "MusterError",
    "Output",
    "Port",
    "Recorded",
    "Resources",
    "Result",
    "Retry",
    "Schedule",
    "Settings",
    "Step",
    "StepView",
    "SyncClient",
    "Term",
    "Timeouts",
    "TransitionView",
    "WaitForInput",
    "Workflow",
    "call",
    "case",
    "cel",
    "chain",
    "default",
    "error",
    "execution",
    "fail",
    "for_each",
    "get",
    "group",
    "if_",
    "inputs",
    "item",
    "log",
    "machine",
    "map_each",
    "parallel",
    "return_",
    "serialize",
    "set_",
    "sleep",
    "sleep_until",
    "step",
    "steps",
    "switch",
    "to_yaml",
    "variables",
    "wait_for_input",
    "workflow",
    "workflow_of",
]

_HOMES = {
    "muster.build": {
        "call", "case", "chain", "default", "fail", "for_each", "get", "group", "if_", "log", "map_each", "parallel",
        "return_", "set_", "sleep", "sleep_until", "step", "switch", "wait_for_input", "workflow",
    },
    "muster.client.client": {"Client"},
    "muster.client.definition": {"serialize", "workflow_of"},
    "muster.client.follower": {"ExecutionView", "TransitionView"},
    "muster.client.steps": {"StepView"},
    "muster.client.result": {"Result"},
    "muster.client.sync": {"SyncClient"},
    "muster.model.log.envelope": {"Event", "Recorded"},
    "muster.model.errors": {"ErrorInfo", "MusterError"},
    "muster.model.definition.printing": {"to_yaml"},
    "muster.model.definition.schedule": {"Schedule"},
    "muster.model.definition.terms": {
        "Term", "cel", "error", "execution", "inputs", "item", "machine", "steps", "variables",
    },
    "muster.model.definition.workflow": {
        "Backoff", "Cache", "Case", "Concurrency", "ForEach", "Input", "Limits", "MachineSelector", "Map",
        "Output", "Port", "Resources", "Retry", "Step", "Timeouts", "WaitForInput", "Workflow",
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
