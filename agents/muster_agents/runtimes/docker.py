"""Attempts as containers of Docker or Podman."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import AttemptOrder
from muster_agents.options import AgentOptions
from muster_agents.runtimes.docker_engine import Engine
from muster_agents.runtimes.docker_gpus import LABEL, labelled_gpus
from muster_agents.runtimes.docker_run import DockerRun
from muster_agents.runtimes.interface import Ears, Found
from muster_agents.runtimes.threads import Threads

SPARE: Final = 8
"""Threads and connections beyond one call and one watch for each slot: for removals behind the attempts."""
RUNNING: Final = frozenset({"running", "paused", "restarting"})


class DockerRuntime:
    """A ``Runtime``.

    ``cluster`` is when the event log was made. Containers carry it as a label, so that two clusters may use one engine
    and neither removes the other's containers as orphans.
    """

    name = "docker"
    reports_containers = True

    def __init__(self, options: AgentOptions, *, cluster: datetime, slots: int) -> None:
        self._options = options
        self._labels = {f"{LABEL}machine": options.name, f"{LABEL}log": cluster.isoformat()}
        self._engine = Engine(2 * slots + SPARE)
        self._calls = Threads(slots + SPARE, "muster-docker-call")
        self._watchers = Threads(slots + SPARE, "muster-docker-watch")
        self._runs: dict[DockerRun, None] = {}

    async def open(self) -> None:
        """See ``Runtime.open``."""
        await self._calls.call(self._engine.open)

    async def facts(self) -> Mapping[str, Any]:
        """See ``Runtime.facts``."""
        return await self._calls.call(self._engine.facts)

    async def find(self) -> list[Found]:
        """See ``Runtime.find``."""
        containers = await self._calls.call(self._engine.find, self._labels)
        return [found for container in containers if (found := _found(container)) is not None]

    def run(self, order: AttemptOrder, ears: Ears) -> DockerRun:
        """See ``Runtime.run``."""
        return self._run(order, ears, "")

    def adopt(self, order: AttemptOrder, found: Found, ears: Ears) -> DockerRun:
        """See ``Runtime.adopt``."""
        return self._run(order, ears, found.container)

    def _run(self, order: AttemptOrder, ears: Ears, container: str) -> DockerRun:
        path = order.step.replace("/", ".")
        run = DockerRun(
            order,
            ears,
            self._engine,
            self._calls,
            self._watchers,
            name=f"muster.{self._options.name}.{order.execution}.{path}.{order.attempt}",
            labels=self._labels
            | {
                f"{LABEL}execution": order.execution,
                f"{LABEL}step": order.step,
                f"{LABEL}attempt": str(order.attempt),
            },
            pids=self._options.pids,
            output_bytes=self._options.output_bytes,
            gone=self._gone,
            container=container,
        )
        self._runs[run] = None
        return run

    async def discard(self, found: Found) -> None:
        """See ``Runtime.discard``."""
        await self._calls.call(self._engine.remove, found.container)

    async def close(self) -> None:
        """See ``Runtime.close``."""
        for run in list(self._runs):
            run.close()
        self._calls.close()
        self._watchers.close()
        self._engine.close()

    def _gone(self, run: DockerRun) -> None:
        self._runs.pop(run, None)


def _found(container: Mapping[str, Any]) -> Found | None:
    labels, state = container.get("Labels") or {}, str(container.get("State"))
    try:
        ref = AttemptRef(labels[f"{LABEL}execution"], labels[f"{LABEL}step"], int(labels[f"{LABEL}attempt"]))
    except (KeyError, ValueError):
        return None
    if state == "removing":
        return None
    return Found(
        ref=ref,
        container=str(container["Id"]),
        running=state in RUNNING,
        started=state != "created",
        gpus=labelled_gpus(labels),
    )
