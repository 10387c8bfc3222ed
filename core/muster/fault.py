"""Points at which tests halt a process to kill it there. In production ``point`` returns at once.

``MUSTER_FAULT=scheduler.append.before:3`` stops the whole process (SIGSTOP) the third time that point is reached, so
that a test can wait for the stop, kill it with ``-9`` and know exactly what had and had not happened.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

POINTS: Final = (
    "scheduler.append.before",
    "scheduler.append.after",
    "scheduler.send.before",
    "scheduler.send.after",
    "scheduler.ack.before",
    "scheduler.ack.after",
    "scheduler.elect.before",
    "scheduler.elect.after",
    "scheduler.beat.before",
    "scheduler.beat.after",
    "scheduler.archive.put",
    "scheduler.archive.tell",
    "scheduler.archive.erase",
    "scheduler.archive.done",
    "scheduler.clear.erase",
    "scheduler.clear.log",
    "scheduler.clear.done",
    "agent.accept.before",
    "agent.accept.after",
    "agent.append.before",
    "agent.append.after",
    "agent.ack.before",
    "agent.ack.after",
    "agent.beat.before",
    "agent.beat.after",
    "agent.call.before",
    "agent.call.after",
    "agent.upload.before",
    "agent.upload.piece",
    "agent.upload.after",
    "projections.exchange.before",
    "projections.exchange.after",
    "projections.rename.before",
    "projections.rename.after",
)

_name, _, _count = os.environ.get("MUSTER_FAULT", "").partition(":")
_left = int(_count or 1)


async def point(name: str) -> None:
    """Halt here if a test asked for it."""
    halt(name)


def halt(name: str) -> None:
    """As ``point``, in a thread."""
    global _left  # noqa: PLW0603 - one counter for the life of the process
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        # To this thread: a signal to the process may reach another first, and this one would go on for a moment.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
