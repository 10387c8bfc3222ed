"""What a container may say of itself beside that it went well: by ``$result`` in the file $MUSTER_OUTPUT.

    {"$result": "skip", "reason": "nothing new"}
    {"$result": "retry", "wait_min": "1s", "wait_max": "10s", "max_retries": 3, "reason": "busy"}
    {"$result": "check_later", "wait_for": "30s", "context": {"job": 17}}
    {"$result": "failure", "reason": "no such user", "value": {"code": 4}}

``retry`` asks to be run again after a while, drawn between the two waits; when its own ``max_retries`` are used up the
step fails. ``check_later`` asks for it without being counted; the next run finds ``context`` in the file
$MUSTER_CONTEXT.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from muster.model import values
from muster.model.definition.quantities import seconds
from muster.model.errors import OutputError
from muster.model.limits import ATTEMPTS_MAX, SECONDS_MAX
from muster.model.log.names import meant

KEY: Final = "$result"
MAX_RETRIES: Final = 3  # where a container asks to be run again and does not say how often

_KEYS: Final = {
    "skip": ("reason",),
    "retry": ("wait_min", "wait_max", "max_retries", "reason"),
    "check_later": ("wait_for", "context", "reason"),
    "failure": ("reason", "value"),
}


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said. Waits are seconds; ``context`` is None where nothing is to be carried on."""

    kind: Literal["skip", "retry", "check_later", "failure"]
    reason: str = ""
    wait_min: float = 0.0
    wait_max: float = 0.0
    max_retries: int = MAX_RETRIES
    context: Any = None
    value: Any = None


def read(document: bytes | None) -> Result | None:
    """The result in what stands in $MUSTER_OUTPUT; None where there are only outputs. Raises OutputError."""
    if not document or f'"{KEY}"'.encode() not in document:
        return None
    try:
        found = msgspec.json.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # whoever reads the outputs says what is wrong with it
    if not isinstance(found, dict) or KEY not in found:
        return None
    return _result(found)


def _result(found: dict[str, Any]) -> Result:
    kind = found.pop(KEY)
    if kind not in _KEYS:
        raise _wrong(f"{KEY} is {values.shown(kind)}", f"It can be {', '.join(_KEYS)}.")
    for key in found:
        if key not in _KEYS[kind]:
            raise _wrong(
                f"{kind} has no key {key}", meant(key, _KEYS[kind]) or f"It has {', '.join(_KEYS[kind])}."
            )
    if reason := values.defect(found):
        raise _wrong(f"it cannot travel as JSON: {reason}", "Leave it out.")
    shortest = _seconds(found, "wait_for" if kind == "check_later" else "wait_min", 0.0)
    return Result(
        kind=kind,
        reason=values.text(found.get("reason", "")),
        wait_min=shortest,
        wait_max=max(shortest, _seconds(found, "wait_max", 1.0 if kind == "retry" else shortest)),
        max_retries=_count(found.get("max_retries", MAX_RETRIES)),
        context=found.get("context"),
        value=found.get("value"),
    )


def _seconds(found: dict[str, Any], key: str, otherwise: float) -> float:
    written = found.get(key)
    if written is None:
        return otherwise
    try:
        wait_s = seconds(written)
    except ValueError as error:
        raise _wrong(f"{key}: {error}", "Write it like 500ms, 10s or 5m, or as seconds.") from None
    if wait_s > SECONDS_MAX:
        raise _wrong(f"{key} is longer than a year", "Ask for less.")
    return wait_s


def _count(written: Any) -> int:
    if written is None:
        return MAX_RETRIES
    if type(written) is not int or not 0 <= written <= ATTEMPTS_MAX:
        raise _wrong(
            f"max_retries is {values.shown(written)}", f"Give a whole number from 0 to {ATTEMPTS_MAX}."
        )
    return written


def _wrong(what: str, remedy: str) -> OutputError:
    return OutputError(f"the result in $MUSTER_OUTPUT cannot be used: {what}.", remedy=remedy)
