"""A runtime that runs nothing: what is left is the cost of Muster itself. For benchmarks and the simulator only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from muster.model.log.commands import AttemptOrder
from muster_agents.runtimes.interface import Ears, Exit, Found, FoundServing, Launch
from muster_agents.runtimes.noop_serving import NoopServing

_EXIT = Exit(container="", exit_code=0, document=b"{}")


class NoopRun:
    """An attempt that is over at once. It fits every phase of ``Run``."""

    async def pull(self) -> None:
        """See ``Run.pull``."""

    def bring(self, files: Mapping[str, Path]) -> None:
        """See ``Run.bring``."""

    def use(self, gpus: Sequence[str]) -> None:
        """See ``Run.use``."""

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:  # noqa: ARG002
        """It makes no files."""
        return None

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

    def run(self, order: AttemptOrder, ears: Ears) -> NoopRun:  # noqa: ARG002 - nothing
        """See ``Runtime.run``."""
        return NoopRun()

    def adopt(self, order: AttemptOrder, found: Found, ears: Ears) -> NoopRun:  # noqa: ARG002 - nothing
        """See ``Runtime.adopt``."""
        return NoopRun()

    async def discard(self, found: Found) -> None:
        """See ``Runtime.discard``."""

    def serve(self, launch: Launch, ears: Ears) -> NoopServing:
        """See ``Runtime.serve``."""
        return NoopServing(launch, ears)

    async def find_servings(self) -> list[FoundServing]:
        """See ``Runtime.find_servings``."""
        return []

    def adopt_serving(self, launch: Launch, found: FoundServing, ears: Ears) -> NoopServing:  # noqa: ARG002
        """See ``Runtime.adopt_serving``."""
        return NoopServing(launch, ears)

    async def discard_serving(self, found: FoundServing) -> None:
        """See ``Runtime.discard_serving``."""

    async def digest(self, image: str) -> str | None:  # noqa: ARG002 - there are no images
        """See ``Runtime.digest``."""
        return ""

    async def close(self) -> None:
        """See ``Runtime.close``."""
