"""What the archive asks of a place to keep its objects in.

Three implementations: a directory (``muster.archive.directory``), a bucket of the broker's object store
(``muster.broker.nats.objects``) and memory (``muster.broker.memory.objects``). An object is written once and never
again: whoever finds its name taken looks at what is there. So a leader that was replaced, and does not know it yet,
can destroy nothing.

An object is handed over whole. It is the compressed history of one execution, some kilobytes as a rule and bounded by
the scheduler's ``archive_object_bytes``; what is large is its content, and that is unpacked as it is read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec


class Head(msgspec.Struct, frozen=True, gc=False):
    """An object without opening it: the execution it is named by, and the sequence of its first event."""

    name: str
    first: int


class Objects(Protocol):
    """A place. Everything raises ArchiveUnavailableError where it cannot be reached, BrokerError where it is away."""

    @property
    def place(self) -> str:
        """What ``log.archived`` calls it: ``nats:<bucket>`` or ``file://<directory>``."""
        ...

    async def put(self, name: str, data: bytes) -> bool:
        """Keep the object for good; False where the name is taken, whatever it holds. Makes the place if it is new."""
        ...

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """The objects of these names in this order; None for one that is not there."""
        ...

    async def delete(self, name: str) -> None:
        """Leave nothing of the object, and of one that was half put; harmless where there is none."""
        ...

    def heads(self, *, anew: bool = False) -> AsyncGenerator[list[Head], None]:
        """The objects there are, in no order; without ``anew`` only those not told of before by this instance."""
        ...
