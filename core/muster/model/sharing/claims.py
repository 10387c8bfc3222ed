"""Claims on a key: of all that claim the same key only so many are under way at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from muster.model import values
from muster.model.definition.workflow import Concurrency
from muster.model.errors import InvalidArgumentError
from muster.model.plan.order import placed

KEY_LENGTH_MAX: Final = 200  # characters; it stands in events and in views
CONCURRENCY: Final = "concurrency"  # the reason for which a step waits for its turn
NAMED_MAX: Final = 10  # of those that hold a key, so many are named


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """``limit`` may be under way with this key at once; ``on_conflict`` says what becomes of one more."""

    key: str
    limit: int = 1
    on_conflict: Literal["queue", "cancel_running", "reject"] = "queue"


def turn(ahead: int, key: str) -> str:
    """Why something has not begun, in words."""
    return f"waits for {ahead} of the key {key}"


def claim(written: Concurrency, scope: Mapping[str, Any], otherwise: str, place: str = "") -> Claim:
    """The claim that is written at ``place``, its key evaluated; ``otherwise`` is the key where none is written.

    Raises InvalidArgumentError where the key is empty or too long, and what evaluating raises.
    """
    field = f"{place}concurrency.key"
    key = otherwise if written.key is None else values.text(placed(field, written.key, scope))
    if not 0 < len(key) <= KEY_LENGTH_MAX:
        raise InvalidArgumentError(
            f"{field}: a key has 1 to {KEY_LENGTH_MAX} characters, not {len(key)}.",
            remedy="Make it of a name or an id.",
        )
    return Claim(key=key, limit=written.limit, on_conflict=written.on_conflict)
