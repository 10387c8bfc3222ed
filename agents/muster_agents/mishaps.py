"""What nobody foresaw: a full disk, a folder that was removed, no more open files, a defect. Whom it concerns decides
what it ends.

Theory of operation
-------------------
The attempts of a machine share one process, one disk and one table of open files. None may fall over another's:

1. What happens on an attempt's way (its files, its container or call, what it prints, its end) fails that attempt,
   with AgentFailedError, which may be tried again: later, or elsewhere, there is room. The agent goes on with the
   others. Its own output has a line about what the system refused, and the traceback of anything else, which is a
   defect.
2. What cannot be stopped or removed at once is removed as soon as it can be, and never keeps the end from being told.
3. What cannot be written to the journal is not told, and holds back only whom it is about: a fact waits, and its
   attempt with it, until the disk has room; an order is not taken up, stays in the broker's queue, and comes again. So
   an outcome is written, or its attempt still stands in the journal as one that the agent answers for, and the next
   agent does: nothing is forgotten. An agent that ends does not wait for room: its last facts go to the log from
   memory.
4. What else goes wrong is the agent's own (its place in the log, the sending of its facts, its start) and ends it, seen
   and at once: it cannot vouch for what it would say.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from muster.model.errors import AgentFailedError

ROOM: Final = (
    "Give the disk of the agent's data directory room, and the agent the right to write there; or name another "
    "directory with MUSTER_DATA_DIR."
)

log = logging.getLogger(__name__)


def failed(error: Exception, what: str) -> AgentFailedError:
    """What ``what`` fails with, said in the agent's own output, too."""
    if isinstance(error, OSError):
        log.error(f"{what} failed: {error}")
        return AgentFailedError(f"The system of this machine refused what the agent needs: {reason(error)}.")
    log.error("%s failed in an unforeseen way", what, exc_info=error)
    return AgentFailedError(f"The agent failed: {type(error).__name__}: {error}")


def reason(error: OSError) -> str:
    """What the system said, and of which file."""
    text = error.strerror or str(error) or type(error).__name__
    return f"{text} ({error.filename})" if error.filename else text


@contextlib.contextmanager
def opening(folder: Path) -> Iterator[None]:
    """The agent's own ``folder`` is opened. Raises AgentFailedError where the system does not let it be."""
    try:
        yield
    except OSError as error:
        raise AgentFailedError(
            f"The agent's folder {folder} cannot be used: {reason(error)}.", remedy=ROOM
        ) from error
