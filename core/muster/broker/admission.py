"""What is checked, and encoded, before anything of an append is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from muster.broker.interface import Fence, Outcome, Refused
from muster.model.log import envelope, subjects
from muster.model.log.envelope import Event

TOO_LARGE: Final = 10054
"""JetStream's own code for a message above the limit; the same is used where Muster finds out first."""

Message = tuple[str, str, bytes]
"""Subject, event id, line."""


def messages(events: Sequence[Event], fence: Fence | None) -> list[Message]:
    """The events as they go over the wire. An event on the fence's own subject must be alone: ValueError."""
    found = [(subjects.event(event), event.id, envelope.encode(event)) for event in events]
    if fence is not None and len(found) > 1 and any(subject == fence.subject for subject, _, _ in found):
        raise ValueError(f"an event on the fence's subject {fence.subject} must be appended alone")
    return found


def too_large(found: Sequence[Message], limit: int) -> list[Outcome] | None:
    """Refusals for the whole call if one message is larger than ``limit`` bytes, else None.

    Nothing of such a call is sent: what came after the large event would stand before it once it is mended.
    """
    sizes = [len(line) for _, _, line in found]
    if not sizes or max(sizes) <= limit:
        return None
    return [
        Refused(
            TOO_LARGE,
            f"the event has {size} bytes and the broker takes at most {limit}: keep large values as artifacts"
            if size > limit
            else "not sent, because another event of the same call is too large",
        )
        for size in sizes
    ]
