"""What a shadow tells beside disagreements: what happened, and where it stands."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["caught_up", "leads", "silent", "answers", "late", "again"]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth saying that is no disagreement."""

    kind: Kind
    sequence: int
    text: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far the shadow is and what it found. ``doubtful`` rounds rest on what is gone from the log.

    ``repeated`` rounds lack what was reported before; ``unanswered_s`` is how long no leader was heard.
    """

    version: str
    leader: str
    software: str
    sequence: int
    end: int
    caught_up: bool
    rounds: int
    decisions: int
    doubtful: int
    disagreements: int
    repeated: int
    unanswered_s: float
