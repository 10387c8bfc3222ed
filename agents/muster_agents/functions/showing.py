"""Containers of functions as others are told of them."""

from __future__ import annotations

from muster.model.log.catalogue import LoadedFunction
from muster.model.log.commands import FunctionStatus
from muster_agents.functions import kinds
from muster_agents.functions.instance import Instance
from muster_agents.functions.ledger import Entry
from muster_agents.runtimes.interface import FoundServing, Launch


def status(one: Instance) -> FunctionStatus:
    """A container as a beat says it."""
    return FunctionStatus(
        function=one.function,
        image=one.launch.container.image,
        container=one.container,
        state="loading" if not one.ready else "busy" if one.calls else "idle",
        concurrency=one.concurrency,
        running=len(one.calls),
        calls=one.count,
        failed=one.failed,
        load_s=one.load_s,
        call_s=round(one.busy_s / one.count, 6) if one.count else 0.0,
        since=one.since,
        used_at=one.used_at,
        execution=one.launch.execution,
        params=kinds.short(one.launch.container),
    )


def for_one_call(launch: Launch) -> bool:
    """Whether it goes with the one call that it was made for."""
    return launch.container.isolation == "call"


def loaded_function(entry: Entry, found: FoundServing) -> LoadedFunction:
    """A container that was found, as its machine says it at its connection."""
    spec = entry.launch.container
    return LoadedFunction(
        function=spec.function or "",
        image=spec.image,
        container=found.container,
        concurrency=1 if entry.loaded is None else entry.loaded.concurrency,
        execution=entry.launch.execution,
    )
