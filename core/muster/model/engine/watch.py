"""Who is missing: verdicts from heartbeats.

Beats are not in the log; the verdicts drawn from them are, with their evidence. A scheduler that was not
listening must not blame the machines: a silence counts only from when it began to listen without a break, on
its own clock. All times named ``*_s`` are readings of that clock (monotonic seconds).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from muster.model.engine.cluster import Machine
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.commands import Heartbeat


class _Heard(msgspec.Struct):
    sequence: int
    session: int
    sent_at: datetime
    heard_s: float


class Watch:
    """What was heard, and since when there was anybody to hear it."""

    def __init__(self, listening_s: float) -> None:
        self.listening_s = listening_s
        self._sound_s = listening_s
        self._heard: dict[str, _Heard] = {}
        self._met: dict[str, tuple[int, float]] = {}

    def sound(self, clock_s: float) -> None:
        """Something was heard, of whomever: the leader's own beats come back to it as all others do.

        A connection can be mute without being broken. Silence counts only for as long as there is a sign of hearing.
        """
        self._sound_s = clock_s

    def restart(self, clock_s: float) -> None:
        """The listening was interrupted: no silence before now counts."""
        self.listening_s = clock_s

    def hear(self, beat: Heartbeat, clock_s: float) -> None:
        """A beat came; one of a connection that was replaced says nothing about the present one."""
        self.sound(clock_s)
        known = self._heard.get(beat.name)
        if known is not None and known.session > beat.session:
            return
        self._heard[beat.name] = _Heard(beat.sequence, beat.session, beat.time, clock_s)

    def silence_s(self, machine: Machine, clock_s: float) -> float:
        """How long nothing was heard of the machine's present connection while somebody listened."""
        session, met_s = self._met.get(machine.name, (0, 0.0))
        if session != machine.session:
            self._met[machine.name] = machine.session, (met_s := clock_s)
        since = max(self.listening_s, met_s)
        heard = self._heard.get(machine.name)
        if heard is not None and heard.session == machine.session:
            since = max(since, heard.heard_s)
        return max(0.0, min(clock_s, self._sound_s) - since)

    def evidence(self, machine: Machine, clock_s: float) -> c.Evidence:
        """What there is to be said about the machine."""
        heard = self._heard.get(machine.name)
        if heard is not None and heard.session != machine.session:
            heard = None
        return c.Evidence(
            session=machine.session,
            last_beat=heard.sequence if heard else None,
            last_beat_at=heard.sent_at if heard else None,
            interval_s=machine.interval_s,
            missed=int(self.silence_s(machine, clock_s) / machine.interval_s),
            watched_s=round(clock_s - self.listening_s, 3),
        )

    def answers(self, machine: Machine, clock_s: float, limit_s: float) -> bool:
        """Whether a beat of the present connection was heard within ``limit_s``."""
        heard = self._heard.get(machine.name)
        if heard is None or heard.session != machine.session:
            return False
        return self.silence_s(machine, clock_s) < limit_s and heard.heard_s >= self.listening_s


def judge(round_: Round, watch: Watch, clock_s: float) -> None:
    """Write the verdicts that are due."""
    state = round_.state
    for machine in state.machines.values():
        if machine.gone_id is not None:
            continue
        limit_s = patience_s(state, machine)
        evidence = watch.evidence(machine, clock_s)
        late_s = watch.silence_s(machine, clock_s) - limit_s
        if machine.online and late_s > 0:
            cause = f"timer:heartbeat:{(round_.now - timedelta(seconds=late_s)).isoformat()}"
            round_.write(c.MachineOffline(evidence=evidence), cause, machine=machine.name)
        elif not machine.online and watch.answers(machine, clock_s, limit_s):
            cause = f"timer:heartbeat:{round_.now.isoformat()}"
            round_.write(c.MachineOnline(evidence=evidence), cause, machine=machine.name)


def patience_s(state: State, machine: Machine) -> float:
    """How long a machine may be silent before it counts as offline."""
    return machine.interval_s * state.policy.beats_missed_max + state.policy.beat_slack_s
