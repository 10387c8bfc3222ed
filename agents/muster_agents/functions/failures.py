"""Why a function gave no answer, in the words of the taxonomy. ``loaded``: to a call, not to its load."""

from __future__ import annotations

from typing import Final

from muster.model.errors import (
    AttemptLostError,
    FunctionCrashedError,
    FunctionLoadError,
    MusterError,
    OutOfMemoryError,
    OutputError,
)
from muster.model.plan import calls
from muster_agents.functions.caller import EndedError
from muster_agents.functions.wire import RefusedError, TooLargeError

NOTHING_TO_RUN: Final = (126, 127)
"""What a container's init says of a program that is not there, or cannot be run: trying again does not help."""


def refused(
    error: RefusedError | TooLargeError, function: str, *, loaded: bool, bytes_max: int
) -> MusterError:
    """It answered with an error, or with more than ``bytes_max``."""
    if isinstance(error, TooLargeError):
        text = f"{function}: it answered with {error.size} bytes, more than {bytes_max}."
        return OutputError(text, remedy=calls.AS_FILE) if loaded else FunctionLoadError(text)
    return calls.refused(error.code, error.message, error.data, function, loaded=loaded)


def crashed(error: EndedError, function: str, tail: list[str], *, loaded: bool, memory: int) -> MusterError:
    """Its container ended; ``tail`` is what it printed last, ``memory`` what it might use, in bytes."""
    exited = error.exit
    if exited is None:
        return error.cause or AttemptLostError("The container of the function is gone.")
    if exited.oom_killed:
        return OutOfMemoryError(exit_code=exited.exit_code, memory=memory)
    if loaded and error.killed:
        return FunctionCrashedError(
            f"{function}: its container was killed, as another call in it did not end when it was stopped.",
            remedy="Let the function heed a cancel, or let it take one call at a time (concurrency).",
            function=function,
            exit_code=exited.exit_code,
            tail=tail,
        )
    failed = calls.unanswered(function, exited.exit_code, tail, loaded=loaded)
    if not loaded and exited.exit_code in NOTHING_TO_RUN:
        failed.data["retriable"] = False
    return failed
