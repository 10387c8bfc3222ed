"""A runtime that runs nothing: what is left is the cost of Muster itself. For benchmarks and the simulator only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muster.model.commands import AttemptOrder
from muster_agents.runtimes.interface import Ears, Exit, Found

_EXIT = Exit(container="", exit_code=0, document=b"{}")


class NoopRun:
    """An attempt that is over at once. It fits every phase of ``Run``."""

    async def pull(self) -> None:
        """See ``Run.pull``."""

    async def start(self) -> None:
        """See ``Run.start``."""

    async def wait(self) -> Exit:
        """See ``Run.wait``."""
        return _EXIT

    async def stop(self, grace_s: float) -> None:
        """See ``Run.stop``."""

    async def remove(self) -> None:
        """See ``Run.remove``."""


class NoopRuntime:
    """A ``Runtime``."""

    name = "noop"
    reports_containers = False

    async def open(self) -> None:
        """See ``Runtime.open``."""

    async def facts(self) -> Mapping[str, Any]:
        """See ``Runtime.facts``."""
        return {}

    async def find(self) -> list[Found]:
        """See ``Runtime.find``."""
        return []

    def run(self, order: AttemptOrder, ears: Ears) -> NoopRun:  # noqa: ARG002 - it runs nothing
        """See ``Runtime.run``."""
        return NoopRun()

    def adopt(self, order: AttemptOrder, found: Found, ears: Ears) -> NoopRun:  # noqa: ARG002 - as above
        """See ``Runtime.adopt``."""
        return NoopRun()

    async def discard(self, found: Found) -> None:
        """See ``Runtime.discard``."""

    async def close(self) -> None:
        """See ``Runtime.close``."""
