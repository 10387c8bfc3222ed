"""What the in-memory broker keeps beside events: commands, beats and log lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

LINES_KEPT: Final = 100_000
"""Messages of log lines; older ones go."""


@dataclass(eq=False)
class Item:
    """One command that was not acknowledged; nobody gets it before ``hidden_until`` on the loop's clock."""

    verb: str
    payload: bytes
    hidden_until: float = 0.0
    deliveries: int = 0


@dataclass(eq=False)
class Queues:
    """Commands by target, the targets whose queue was created, and the ids already sent."""

    items: dict[str, list[Item]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Listener:
    """Somebody who hears beats while its connection stands."""

    connected: Callable[[], bool]
    waiting: deque[bytes]


@dataclass(eq=False)
class Beats:
    """The newest beats by name, and the listeners of all connections."""

    kept: dict[str, deque[bytes]] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)


@dataclass(eq=False)
class Written:
    """Log lines: (number, subject, lines), the newest messages."""

    count: int = 0
    messages: deque[tuple[int, str, bytes]] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
