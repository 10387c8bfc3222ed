"""How an execution ended."""

from __future__ import annotations

from typing import Any

import msgspec

from muster.client.follower import ExecutionView
from muster.model.errors import ErrorInfo, MusterError, from_info


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an execution. ``error`` is set exactly where ``status`` is failed; ``reason`` says why cancelled."""

    execution: str
    status: str
    outputs: dict[str, Any] = {}
    error: ErrorInfo | None = None
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether every step ended well."""
        return self.status == "succeeded"

    def check(self) -> dict[str, Any]:
        """The outputs; raises the execution's error where it failed, and says so where it was cancelled."""
        if self.error is not None and not self.succeeded:
            raise from_info(self.error)
        if not self.succeeded:
            raise MusterError(
                f"The execution {self.execution} was cancelled.",
                remedy=self.reason and f"The reason given: {self.reason}",
            )
        return self.outputs


def result_of(view: ExecutionView) -> Result:
    """The result of a finished execution."""
    return Result(
        execution=view.id,
        status=view.status,
        outputs=view.outputs,
        error=view.error if view.status == "failed" else None,
        reason=view.reason if view.status == "cancelled" else "",
    )
