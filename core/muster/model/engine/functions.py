"""Folding what agents say of functions: which stay loaded where, and so can be called at once.

These are facts about a machine, whatever becomes of the attempt for which a function was loaded. They decide nothing
but which of several machines with room a call goes to (``muster.model.engine.placement``), so a container of which the
log knows no more, because its load was erased with the execution it was for, does no harm: the call finds it anyway,
if it comes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from muster.model.engine.cluster import Loaded, Machine
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event


def listed(machine: Machine, functions: list[c.LoadedFunction] | None) -> None:
    """The agent says all that is loaded; None: it keeps nothing."""
    for container in list(machine.loaded):
        machine.unload(container)
    machine.keeps = functions is not None
    for each in functions or ():
        if each.container and each.concurrency > 0:
            loaded = Loaded(each.function, each.image, each.concurrency, each.execution)
            machine.load(each.container, loaded)


def _loaded(state: State, event: Event, data: c.FunctionLoaded, _: int) -> None:
    machine = state.machines.get(event.writer)
    if machine is None:
        return
    machine.unload(data.container)
    if not data.container or data.concurrency < 1 or data.isolation == "call":
        return
    execution = event.execution if data.isolation == "execution" else ""
    machine.load(data.container, Loaded(data.function, data.image, data.concurrency, execution))


def _unloaded(state: State, event: Event, data: c.FunctionUnloaded, _: int) -> None:
    machine = state.machines.get(event.writer)
    if machine is not None:
        machine.unload(data.container)


FOLDS: Final[dict[type, Callable[[State, Event, Any, int], None]]] = {
    c.FunctionLoaded: _loaded,
    c.FunctionUnloaded: _unloaded,
}
