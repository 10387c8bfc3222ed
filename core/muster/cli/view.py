"""The view the projections keep, reached through the entry point ``query``: core imports nothing above it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

FRESH_WAIT_S = (
    0.5  # projections are some milliseconds behind; half a second behind means that they are not there
)
_LOOK_AGAIN_S = 0.02


class ExecutionRow(Protocol):
    """What the list shows of an execution."""

    id: str
    workflow: str
    status: str
    steps: int
    steps_ended: int
    created_at: Any
    ended_at: Any
    reason: Any
    labels: Any


class View(Protocol):
    """An open view; its calls block."""

    @property
    def sequence(self) -> int:
        """The view reflects every event up to this one."""
        ...

    def executions(
        self,
        limit: int = 50,
        *,
        status: str | None = None,
        workflow: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[ExecutionRow]:
        """The newest executions first."""
        ...

    def reruns(self, execution: str) -> list[str]:
        """The executions that are reruns of this one, in the order in which they were queued."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_view(path: Path) -> View:
    """The view at ``path``. Raises a MusterError where there is none, LookupError where none can be read."""
    for point in entry_points(group="muster.services", name="query"):
        return cast("View", point.load()(path))
    raise LookupError("the read side of the projections is not installed; reinstall muster-engine")


async def current_view(path: Path, sequence: int) -> View | None:
    """The view once it has come to ``sequence``, or None where it is missing or does not come that far soon."""
    try:
        view = await asyncio.to_thread(open_view, path)
    except Exception:  # missing, outdated, locked: the log answers instead
        return None
    try:
        for _ in range(int(FRESH_WAIT_S / _LOOK_AGAIN_S)):
            if await asyncio.to_thread(lambda: view.sequence) >= sequence:
                return view
            await asyncio.sleep(_LOOK_AGAIN_S)
    except BaseException:
        view.close()
        raise
    view.close()
    return None
