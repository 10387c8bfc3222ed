"""Which runtime an agent uses."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from muster.model.errors import MusterError
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Runtime
from muster_agents.runtimes.noop import NoopRuntime
from muster_agents.runtimes.process import ProcessRuntime

log = logging.getLogger(__name__)


async def choose(options: AgentOptions, folder: Path, created: datetime, slots: int) -> Runtime:
    """The runtime of ``options``, opened. ``created`` tells this cluster's containers from another's."""
    if options.runtime == "noop":
        return NoopRuntime()
    if options.runtime == "process":
        return await _process(options, folder)
    from muster_agents.runtimes.docker import DockerRuntime  # takes 0.2 s that a process agent need not spend

    docker = DockerRuntime(options, cluster=created, slots=slots)
    try:
        await docker.open()
    except MusterError as error:
        await docker.close()
        if options.runtime == "docker":
            raise
        log.warning(f"no container engine: {error.message} Attempts run as plain processes.")
        return await _process(options, folder)
    except BaseException:
        await docker.close()
        raise
    return docker


async def _process(options: AgentOptions, folder: Path) -> ProcessRuntime:
    runtime = ProcessRuntime(options, folder / "work")
    try:
        await runtime.open()
    except BaseException:
        await runtime.close()
        raise
    return runtime
