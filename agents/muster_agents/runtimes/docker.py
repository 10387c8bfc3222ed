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
from muster_agents.runtimes.docker_pull import local
from muster_agents.runtimes.docker_run import DockerRun
from muster_agents.runtimes.docker_serving import DockerServing
from muster_agents.runtimes.interface import Ears, Found, FoundServing, Launch
from muster_agents.runtimes.threads import Threads

INSTANCE: Final = f"{LABEL}instance"
SPARE: Final = 8
"""Threads and connections beyond one call and one watch for each slot: for removals behind the attempts."""
SERVINGS: Final = 1024
"""Threads that listen to functions, each made when it is needed: the agent bounds how many containers it keeps."""
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
        self._listeners = Threads(SERVINGS, "muster-docker-function")
        self._runs: dict[DockerRun | DockerServing, None] = {}

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

    # ---- functions

    def serve(self, launch: Launch, ears: Ears) -> DockerServing:
        """See ``Runtime.serve``."""
        return self._serving(launch, ears, "")

    async def find_servings(self) -> list[FoundServing]:
        """See ``Runtime.find_servings``."""
        containers = await self._calls.call(self._engine.find, self._labels)
        return [found for container in containers if (found := _found_serving(container)) is not None]

    def adopt_serving(self, launch: Launch, found: FoundServing, ears: Ears) -> DockerServing:
        """See ``Runtime.adopt_serving``."""
        return self._serving(launch, ears, found.container)

    async def discard_serving(self, found: FoundServing) -> None:
        """See ``Runtime.discard_serving``."""
        await self._calls.call(self._engine.remove, found.container)

    async def digest(self, image: str) -> str | None:
        """See ``Runtime.digest``. Raises ImagePullError where the engine does not say."""
        found = await self._calls.call(local, self._engine, image)
        return None if found is None else found.digest

    def _serving(self, launch: Launch, ears: Ears, container: str) -> DockerServing:
        serving = DockerServing(
            launch,
            ears,
            self._engine,
            self._calls,
            self._listeners,
            name=f"muster.{self._options.name}.function.{launch.instance}",
            labels=self._labels | {INSTANCE: launch.instance},
            pids=self._options.pids,
            gone=self._gone,
            container=container,
        )
        self._runs[serving] = None
        return serving

    async def close(self) -> None:
        """See ``Runtime.close``."""
        for run in list(self._runs):
            run.close()
        self._calls.close()
        self._watchers.close()
        self._listeners.close()
        self._engine.close()

    def _gone(self, run: DockerRun | DockerServing) -> None:
        self._runs.pop(run, None)


def _found_serving(container: Mapping[str, Any]) -> FoundServing | None:
    instance, state = (container.get("Labels") or {}).get(INSTANCE), str(container.get("State"))
    if instance is None or state == "removing":
        return None
    return FoundServing(instance=instance, container=str(container["Id"]), running=state in RUNNING)


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
