"""What a function says of itself when it is loaded."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muster.model.errors import FunctionLoadError
from muster.model.plan.calls import PROTOCOL

CONCURRENCY_MAX: Final = 1024
"""Calls at once in one container: more than any machine has slots."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``load``; see docs/function-protocol.md. What it says of its ports is for people."""

    protocol: int
    concurrency: int = 1
    name: str = ""
    marks: bool = False
    inputs: Any = None
    outputs: Any = None


def loaded(document: bytes, function: str) -> Loaded:
    """The answer, read. Raises FunctionLoadError with what was heard."""
    try:
        found = msgspec.json.decode(document, type=Loaded)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _stranger(function, f"what it answered to load cannot be read: {error}", document) from None
    if found.protocol != PROTOCOL:
        raise _stranger(function, f"it speaks version {found.protocol} of the protocol", document)
    if not 1 <= found.concurrency <= CONCURRENCY_MAX:
        raise _stranger(function, f"it takes {found.concurrency} calls at once", document)
    return found


def _stranger(function: str, what: str, document: bytes) -> FunctionLoadError:
    return FunctionLoadError(
        f"{function}: {what}.",
        remedy=f"Muster speaks version {PROTOCOL} (docs/function-protocol.md); try muster function check IMAGE.",
        function=function,
        heard=document[:1000].decode("utf-8", "replace"),
        retriable=False,
    )
