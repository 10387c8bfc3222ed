"""Which events tell what is loaded on a machine, for recordings (``muster.model.proof.recording``)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import Workflow
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Event, Recorded


def calls(workflow: Workflow) -> bool:
    """Whether it calls any function, or one that it runs does: else it does not matter what is loaded."""
    named = any(step.function is not None for _, step in members(workflow))
    return named or any(calls(inner) for inner in workflow.workflows.values())


class Loads(msgspec.Struct):
    """What is loaded on a machine, by the events since its connection, which itself lists what there was then.

    So of a container one event is enough: its load, or, where the connection lists it, that it is gone.
    """

    listed: frozenset[str] = frozenset()
    told: dict[str, Recorded] = {}

    def connected(self, data: c.MachineConnected) -> None:
        """The agent says all that is loaded."""
        self.listed = frozenset(each.container for each in data.functions or ())
        self.told = {}

    def tell(self, recorded: Recorded) -> None:
        """A function was loaded, or is not any more."""
        data = recorded.event.data
        if isinstance(data, c.FunctionLoaded):
            self.told.pop(data.container, None)
            self.told[data.container] = recorded
        elif isinstance(data, c.FunctionUnloaded):
            self.told.pop(data.container, None)
            if data.container in self.listed:
                self.told[data.container] = recorded

    def all(self) -> Iterator[Recorded]:
        """The events that have to be kept."""
        yield from self.told.values()


def moved(state: State, event: Event) -> bool:
    """Whether the attempt that a function was loaded for is on another machine than it was then."""
    if event.step is None or event.attempt is None:
        return False
    ref = AttemptRef(event.execution, event.step, event.attempt)
    return any(ref in machine.held for machine in state.machines.values() if machine.name != event.writer)
