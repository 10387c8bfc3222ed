"""Attempts as plain processes of this machine: no image, no isolation. For development, tests, and ``muster up``.

The step's image, user, network_mode and read_only mean nothing here; cpus and GPUs are counted and not enforced.
``resources.memory`` bounds the address space of each process (RLIMIT_AS), only where a step asks for it: a program
that reserves more than it uses, as most garbage-collected ones do, may need more than in a container.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muster.model.log.commands import AttemptOrder
from muster_agents.options import AgentOptions
from muster_agents.runtimes.environment import folder_name
from muster_agents.runtimes.interface import Ears, Found, FoundServing, Launch
from muster_agents.runtimes.process_run import ProcessRun
from muster_agents.runtimes.process_serving import ProcessServing
from muster_agents.runtimes.spawning import kill_strays
from muster_agents.runtimes.threads import Threads

THREADS = 4  # for what blocks a moment: making folders, starting, removing

log = logging.getLogger(__name__)


class ProcessRuntime:
    """A ``Runtime``. Its processes die with the agent, so there is never anything to find."""

    name = "process"
    reports_containers = True

    def __init__(self, options: AgentOptions, folder: Path) -> None:
        self._options = options
        self._folder = folder
        # A child is killed by the kernel when the thread that made it ends: these live until ``close``.
        self._threads = Threads(THREADS, "muster-process")
        self._runs: dict[ProcessRun | ProcessServing, None] = {}

    async def open(self) -> None:
        """See ``Runtime.open``."""
        log.warning("attempts run as plain processes: nothing isolates them from this machine")
        await self._threads.call(self._clean)

    def _clean(self) -> None:
        kill_strays(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)  # it may be a disk of its own

    async def facts(self) -> Mapping[str, Any]:
        """See ``Runtime.facts``."""
        return {"engine": "process"}

    async def find(self) -> list[Found]:
        """See ``Runtime.find``."""
        return []

    def run(self, order: AttemptOrder, ears: Ears) -> ProcessRun:
        """See ``Runtime.run``."""
        folder = self._folder / folder_name(order)
        run = ProcessRun(order, ears, self._threads, folder, self._options.output_bytes, self._gone)
        self._runs[run] = None
        return run

    def adopt(self, order: AttemptOrder, found: Found, ears: Ears) -> ProcessRun:
        """See ``Runtime.adopt``."""
        raise NotImplementedError("processes end with their agent")

    async def discard(self, found: Found) -> None:
        """See ``Runtime.discard``."""

    def serve(self, launch: Launch, ears: Ears) -> ProcessServing:
        """See ``Runtime.serve``."""
        # The two dots cannot stand in the name of an attempt's folder.
        folder = self._folder / f"function..{launch.instance}"
        serving = ProcessServing(launch, ears, self._threads, folder, self._gone)
        self._runs[serving] = None
        return serving

    async def find_servings(self) -> list[FoundServing]:
        """See ``Runtime.find_servings``."""
        return []

    def adopt_serving(self, launch: Launch, found: FoundServing, ears: Ears) -> ProcessServing:
        """See ``Runtime.adopt_serving``."""
        raise NotImplementedError("processes end with their agent")

    async def discard_serving(self, found: FoundServing) -> None:
        """See ``Runtime.discard_serving``."""

    async def digest(self, image: str) -> str | None:  # noqa: ARG002 - there are no images
        """See ``Runtime.digest``."""
        return ""

    async def close(self) -> None:
        """Kill what still runs: nobody would answer for it."""
        try:
            for run in list(self._runs):
                await run.stop(0.0)
                try:
                    await run.remove()
                except OSError as error:
                    log.error(f"what a process left could not be removed, the next agent does: {error}")
        finally:
            self._threads.close()

    def _gone(self, run: ProcessRun | ProcessServing) -> None:
        self._runs.pop(run, None)
