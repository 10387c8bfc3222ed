"""Where an error happened that came up from a child execution: in which execution the step is that it names."""

from __future__ import annotations

from collections.abc import Mapping

from muster.broker.interface import Broker
from muster.cli.errors import FURTHER_MAX, further
from muster.client.follower import ExecutionView
from muster.client.reach import folded
from muster.model.errors import ErrorInfo, ExecutionNotFoundError


async def origin(broker: Broker, view: ExecutionView, stop: int | None = None) -> str:
    """The id of the execution whose step ``view.error`` names: its own, or that of a child of whatever depth.

    ``stop`` is the sequence up to which the log is read.
    """
    return view.id if view.error is None else await _origin(broker, view, view.error, stop)


async def origins(broker: Broker, view: ExecutionView, stop: int | None = None) -> Mapping[str, str]:
    """As origin, for the other steps that failed, by their paths, as far as their errors are told."""
    return {
        step.path: await _below(broker, step.child, step.error, stop) or view.id
        for step in further(view)[:FURTHER_MAX]
        if step.child is not None and step.error is not None
    }


async def _origin(broker: Broker, view: ExecutionView, error: ErrorInfo, stop: int | None) -> str:
    failed = (step.child for step in view.steps.values() if step.child and step.error == error)
    child = next(failed, None)
    return view.id if child is None else await _below(broker, child, error, stop) or view.id


async def _below(broker: Broker, child: str, error: ErrorInfo, stop: int | None) -> str | None:
    """Where in the child; None if it is not the child's own: it was cancelled, or it was cleared since."""
    try:
        view = await folded(broker, child, stop)
    except ExecutionNotFoundError:
        return None
    return await _origin(broker, view, error, stop) if view.error == error else None
