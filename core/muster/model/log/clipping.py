"""Errors cut to what may be told again: each stands in every event it causes, and all must fit the broker's limit."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muster.model.errors import ErrorInfo

MESSAGE_MAX: Final = 4_000  # characters; what is longer is a dump, and belongs into the logs
WORD_MAX: Final = 200  # characters of a code, a name or a path
INFO_BYTES_MAX: Final = 64 << 10  # as JSON; several of them must fit one event


def clipped(info: ErrorInfo) -> ErrorInfo:
    """``info``, or where it is too large what can be told of it."""
    if len(msgspec.json.encode(info)) <= INFO_BYTES_MAX:
        return info
    message = info.message if len(info.message) <= MESSAGE_MAX else f"{info.message[:MESSAGE_MAX]} …"
    cause = None if info.cause is None else clipped(info.cause)
    clip: dict[str, Any] = {"message": message, "cause": cause, "remedy": info.remedy[:MESSAGE_MAX]}
    for name in ("code", "name", "phase", "step", "machine"):
        value = getattr(info, name)
        clip[name] = value[:WORD_MAX] if value else value
    return msgspec.structs.replace(info, details={"clipped": True}, **clip)
