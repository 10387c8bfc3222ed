"""What every event's data has in common, and the register that the catalogue is."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Literal, TypeVar

import msgspec

Writer = Literal["scheduler", "agent"]


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ``data`` of an event."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    writer: ClassVar[Writer]
    label: ClassVar[str] = ""
    given: ClassVar[bool] = False


class Unknown(msgspec.Struct, frozen=True):
    """The data of an event whose kind or version this release does not know; kept as it came."""

    kind: str
    version: int
    raw: msgspec.Raw


CATALOGUE: Final[dict[str, type[Body]]] = {}
B = TypeVar("B", bound=type[Body])


def event(kind: str, writer: Writer, label: str = "", *, given: bool = False) -> Callable[[B], B]:
    """``label`` is the name people see, where Hyko's words have one.

    ``given``: what the scheduler writes was not decided from the log alone (somebody asked for it, or beats told it),
    so it is recorded in full, and a replay takes it from the record and decides everything else anew.
    """

    def enter(body: B) -> B:
        body.kind, body.writer, body.label, body.given = kind, writer, label, given
        CATALOGUE[kind] = body
        return body

    return enter


class AttemptRef(msgspec.Struct, frozen=True, order=True):
    """Names one attempt."""

    execution: str
    step: str
    attempt: int
