"""Machines that fell silent: what is heard of them, and when they are given up.

Of a silence the record has the verdict, with the policy it was drawn under: that tells when the last beat was heard.
Under another policy the verdict falls sooner or later by as much as the patience is shorter or longer, or not at all
where the silence was over before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from muster.model.log import catalogue as c
from muster.model.policy import Policy
from muster.model.proof.rehearsal.changes import Changes


class Silence(msgspec.Struct, kw_only=True):
    """A machine's beats failed to come until a verdict fell, ``patience_s`` after the last one.

    Nothing was heard of it from ``since`` to ``flows_at``; ``ended_at`` is when it beat again (then ``online_at`` too),
    connected anew or said goodbye. None where the record ends before.
    """

    machine: str
    sequence: int
    verdict_at: datetime
    patience_s: float
    policy: Policy
    evidence: c.Evidence
    since: datetime
    connected_at: datetime
    flows_at: datetime | None = None
    online_at: datetime | None = None
    ended_at: datetime | None = None

    def covers(self, moment: datetime) -> bool:
        """Whether what the machine said then was not heard at once."""
        return self.since < moment and (self.flows_at is None or moment < self.flows_at)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """When a silent machine counts as offline, on what evidence, and when it is seen to be online again."""

    machine: str
    at: datetime
    sequence: int
    evidence: c.Evidence
    online_at: datetime | None


def heard_at(silences: Iterable[Silence], at: datetime) -> datetime | None:
    """When something that is said at ``at``, by the machine or to it, arrives; None where never."""
    silence = next((silence for silence in silences if silence.covers(at)), None)
    return at if silence is None else silence.flows_at


def verdicts(silences: Iterable[Silence], changes: Changes) -> Iterator[Verdict]:
    """What falls under the patience of now."""
    for silence in silences:
        if changes.absent(silence.machine):
            continue
        interval_s = changes.interval_s(silence.machine, silence.evidence.interval_s)
        limits = changes.limits(silence.policy)
        patience_s = interval_s * limits.beats_missed_max + limits.beat_slack_s
        falls_at = silence.verdict_at + timedelta(seconds=patience_s - silence.patience_s)
        at = max(falls_at, silence.connected_at)
        if silence.ended_at is None or at < silence.ended_at:
            missed = int(patience_s / interval_s)
            yield Verdict(
                machine=silence.machine,
                at=at,
                sequence=silence.sequence,
                evidence=msgspec.structs.replace(silence.evidence, interval_s=interval_s, missed=missed),
                online_at=silence.online_at,
            )
