"""Which events are asked for: subjects where the broker can choose, a test of the event where it cannot."""

from __future__ import annotations

from collections.abc import Callable

from muster.model.errors import InvalidArgumentError
from muster.model.log import subjects
from muster.model.log.catalogue import CATALOGUE
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER, check_execution, check_machine

_NOUNS = {kind.partition(".")[0] for kind in CATALOGUE}
_VERBS = {kind.partition(".")[2] for kind in CATALOGUE}


class Filter:
    """Events of one execution, about one machine, of one kind (``step.failed``, ``image``, ``*.failed``), or all."""

    def __init__(
        self, execution: str | None = None, machine: str | None = None, kind: str | None = None
    ) -> None:
        self._execution = "*" if execution is None else check_execution(execution)
        self._machine = None if machine is None else check_machine(machine)
        self._noun, self._verb = _parse(kind)

    @property
    def subjects(self) -> list[str]:
        """What the broker is asked for: what a machine wrote, and what the scheduler may have said about it."""
        writers = ["*"] if self._machine is None else [self._machine, SCHEDULER]
        return [
            subjects.events(writer=writer, execution=self._execution, noun=self._noun, verb=self._verb)
            for writer in writers
        ]

    @property
    def matches(self) -> Callable[[Event], bool]:
        """Whether an event of these subjects is one that was asked for."""
        machine = self._machine
        if machine is None:
            return lambda _: True
        return lambda event: machine in {event.writer, event.machine, getattr(event.data, "machine", None)}


def _parse(kind: str | None) -> tuple[str | None, str | None]:
    if kind is None or kind == "*":
        return None, None
    noun, _, verb = kind.partition(".")
    found = (None if noun == "*" else noun, None if verb in {"", "*"} else verb)
    if (found[0] is not None and found[0] not in _NOUNS) or (found[1] is not None and found[1] not in _VERBS):
        raise InvalidArgumentError(
            f"There is no kind of event {kind!r}.",
            remedy="Name one of docs/events.md, such as step.failed, or a noun alone (image), or *.failed.",
        )
    return found
