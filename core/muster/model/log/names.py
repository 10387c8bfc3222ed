"""Names and paths: what may be called what, refused before anything is sent; and which one was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from muster.model.errors import NameInvalidError

SCHEDULER: Final = "scheduler"
NO_EXECUTION: Final = "-"
PATH_LENGTH_MAX: Final = 200  # characters; a path is one token of a NATS subject and of a container label
NAME_SEARCHED_MAX: Final = 100  # characters; looking for what is like a name of megabytes would take seconds
_CANDIDATES_MAX: Final = 500  # comparing takes some 10 microseconds for each
SCHEDULE_LENGTH_MAX: Final = 40  # the id of an execution is its name, the time, and what children add to it

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_EXECUTION = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z_-]{0,63}\Z")


def check_name(what: str, name: str) -> str:
    """Return ``name`` if it is a legal machine, workflow or step name, else raise NameInvalidError."""
    if not _NAME.match(name):
        raise NameInvalidError(what=what, name=name)
    return name


def check_machine(name: str) -> str:
    """As check_name; ``scheduler`` is reserved for the writer of decisions."""
    if name == SCHEDULER:
        raise NameInvalidError(
            f"the machine name {name!r} is reserved for the scheduler", what="machine", name=name
        )
    return check_name("machine", name)


def check_schedule(name: str) -> str:
    """As check_name; a schedule's name is shorter."""
    if len(name) > SCHEDULE_LENGTH_MAX:
        raise NameInvalidError(
            f"the schedule name {name[:100]!r} is longer than {SCHEDULE_LENGTH_MAX} characters",
            remedy="Give it a shorter one: muster schedules add FILE --name NAME.",
            what="schedule",
            name=name,
        )
    return check_name("schedule", name)


def check_execution(execution: str) -> str:
    """Return ``execution`` if it can be an execution id (a UUIDv7, or letters, digits, ``_``, ``-``)."""
    if not _EXECUTION.match(execution):
        raise NameInvalidError(what="execution id", name=execution)
    return execution


def meant(name: Any, known: Iterable[str]) -> str:
    """The question that ends most searches for a mistake, or the empty string."""
    text = str(name)[:NAME_SEARCHED_MAX]
    candidates = sorted(known, key=lambda one: abs(len(one) - len(text)))[:_CANDIDATES_MAX]
    close = get_close_matches(text, candidates, n=1)
    return f"Did you mean {close[0]}?" if close else ""
