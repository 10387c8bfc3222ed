"""Whose a call is, and what it gets instead of an answer when its container ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from muster.model.errors import MusterError
from muster_agents.runtimes.interface import Exit


class EndedError(Exception):
    """The container ended. ``exit`` is how; ``cause`` what is known where nobody can say how.

    ``killed``: by its agent, as a call in it did not end when it was stopped.
    """

    def __init__(self, exit_: Exit | None, cause: MusterError | None = None, *, killed: bool = False) -> None:
        super().__init__("the container of the function ended")
        self.exit, self.cause, self.killed = exit_, cause, killed


class Caller(Protocol):
    """Whose call it is."""

    @property
    def id(self) -> str:
        """The call's, as the function is told it."""
        ...

    def print(self, stream: str, chunk: bytes) -> None:
        """This was printed meanwhile."""
        ...

    def told(self, method: str, params: Mapping[str, Any]) -> None:
        """The function told this of the call."""
        ...
