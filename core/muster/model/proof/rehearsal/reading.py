"""Reading a script out of a record.

The record is folded as a scheduler would, event by event, and each is looked at just before: what then stands tells
which attempts a machine held when it connected, under which policy a verdict fell, and which facts count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from muster.model.engine.cluster import Machine
from muster.model.engine.evolve import evolve
from muster.model.engine.state import State
from muster.model.errors import FixtureInvalidError
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef, Body
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.proof.foreign import hold
from muster.model.proof.rehearsal.hearing import PROMPT, SKEW_TOLD, Hearing, Moment
from muster.model.proof.rehearsal.leadership import Gap
from muster.model.proof.rehearsal.script import LOST_REASONS, Course, Cue, Script, attempt_of
from muster.model.proof.rehearsal.silences import Silence

AFTER_END_S: Final = (
    1.0  # what had ended before it could be stopped would have taken longer than this to stop
)
_ATTEMPT_FACTS: Final = (c.AttemptAccepted, c.ImagePulled, c.AttemptStarted)
_ATTEMPT_ENDS: Final = (c.AttemptFinished, c.AttemptFailed, c.AttemptStopped)


class _Draft(msgspec.Struct, kw_only=True):
    """An attempt as far as it is read."""

    ref: AttemptRef
    machine: str
    scheduled_at: datetime
    facts: list[tuple[Moment, Body]] = []
    sequences: list[int] = []
    end: tuple[Moment, Body] | None = None
    returns: list[datetime] = []
    given_up: Event | None = None
    unwanted: bool = False
    asked_at: datetime | None = None

    def ask(self, at: datetime, machine: Machine | None) -> None:
        """It is not wanted any more, and told so once its machine can hear it."""
        self.unwanted = True
        if self.asked_at is None and machine is not None and machine.online:
            self.asked_at = at


def read(records: Sequence[Recorded]) -> Script:
    """The script in the record. Raises FixtureInvalidError where it cannot be made out."""
    if not records:
        raise FixtureInvalidError("The record holds no event.")
    reading = _Reading(records)
    for recorded in records:
        reading.take(recorded)
    return reading.finished()


class _Reading:
    def __init__(self, records: Sequence[Recorded]) -> None:
        self._hearing = Hearing(records)
        self._state = State()
        self._drafts: dict[AttemptRef, _Draft] = {}
        self._live: dict[AttemptRef, _Draft] = {}
        self._open: dict[str, Silence] = {}
        self._last_heard: dict[str, datetime] = {}
        self._connected: dict[str, datetime] = {}
        self._round: list[Event] = []
        self._gapes = False
        moments = [self._hearing.moment(recorded).heard for recorded in records]
        self.script = Script(begins=min(moments), ends=max(moments), machines=self._state.machines)

    def take(self, recorded: Recorded) -> None:
        """The next event of the record."""
        event = recorded.event
        if isinstance(event.data, c.Unknown):
            return
        moment = self._hearing.moment(recorded)
        if event.writer == SCHEDULER:
            self._decision(recorded, moment.heard)
        elif isinstance(event.data, c.MachineConnected):
            self._arrival(recorded, event.data, moment.heard)
        elif self._counts(event):
            self._fact(recorded, moment)
        self._fold(recorded)

    def _fold(self, recorded: Recorded) -> None:
        event = recorded.event
        if self._foreign(event) and isinstance(event.data, c.StepScheduled):
            hold(self._state, event, event.data)
            return
        try:
            evolve(self._state, event, recorded.sequence)
        except Exception:  # as the scheduler: what an agent says is passed over where it makes no sense
            if event.writer == SCHEDULER:
                raise

    def _counts(self, event: Event) -> bool:
        machine = self._state.machines.get(event.writer)
        return machine is not None and event.n is not None and event.n > machine.n

    def _foreign(self, event: Event) -> bool:
        return event.execution != NO_EXECUTION and event.execution not in self.script.known

    def _cue(self, at: datetime, recorded: Recorded, **fields: object) -> None:
        self.script.cues.append(Cue(at=at, recorded=recorded, **fields))  # type: ignore[arg-type]

    # ---- what the scheduler wrote

    def _decision(self, recorded: Recorded, at: datetime) -> None:
        event = recorded.event
        self._crowded(event)
        self._led(event)
        match event.data:
            case c.LeaderElected(policy=policy):
                self.script.policy = self.script.policy or policy
                self._elected(recorded, at)
            case c.ExecutionQueued():
                self._queued(recorded, event.data, at)
            case c.ExecutionEnding(outcome="cancelled", replaced_by=by):
                if not self._foreign(event) and by not in self.script.known:
                    self._cue(at, recorded)
                self._asked(event, at)
            case c.MachineOffline():
                self._silent(recorded, event.data, at)
            case c.MachineOnline():
                self._ends(event.machine or "", at, online=True)
                self._returns(event.machine or "", at)
            case c.MachineDraining():
                self._cue(at, recorded)
            case c.StepScheduled() | c.StepSucceeded():
                self._scheduled(recorded, event.data, at)
            case c.AttemptSuperseded():
                self._superseded(recorded, at)
            case c.StepWaiting() | c.StepResumed():
                self.script.asking.heard(event, recorded.sequence)
        if event.basis is not None and not self._foreign(event):
            new = not self._round or self._round[-1].basis != event.basis
            self._round = [event] if new else [*self._round, event]

    def _queued(self, recorded: Recorded, data: c.ExecutionQueued, at: datetime) -> None:
        decided = data.parent is not None and data.parent.execution in self.script.known
        self.script.known[recorded.event.execution] = data
        if data.parent is not None:
            self.script.children[data.parent.execution, data.parent.step] = recorded.event.execution
        if not decided:
            self._cue(at, recorded)

    def _crowded(self, event: Event) -> None:
        """Whether others come first under a key of whom nothing else is known."""
        by = event.data.by if isinstance(event.data, c.ExecutionDeferred | c.StepWaiting) else []
        if any(name.partition("/")[0] not in self.script.known for name in by):
            self.script.crowded.add(event.execution)

    def _led(self, event: Event) -> None:
        """The first round of whoever was elected ends the gap: before it nothing was decided."""
        if event.basis is not None and self._gapes:
            gap = self.script.gaps[-1]
            self.script.gaps[-1] = msgspec.structs.replace(gap, ends=max(gap.ends, event.time))
            self._gapes = False

    def _elected(self, recorded: Recorded, at: datetime) -> None:
        if self._round and self._round[-1].time < at:
            self.script.gaps.append(Gap(self._round[-1].time, at, len(self._round)))
            self._gapes = True
        self._cue(at, recorded)
        for name, machine in self._state.machines.items():
            if machine.online:
                self._returns(name, at)

    def _scheduled(self, recorded: Recorded, data: c.StepScheduled | c.StepSucceeded, at: datetime) -> None:
        """An attempt begins; of another execution also what it gave, which was found in the cache."""
        event = recorded.event
        if self._foreign(event):
            self.script.foreign += isinstance(data, c.StepScheduled)
            self._cue(at, recorded, foreign=True)
        elif isinstance(data, c.StepScheduled) and (ref := attempt_of(event)) is not None:
            draft = _Draft(ref=ref, machine=data.machine, scheduled_at=at)
            self._drafts[ref] = self._live[ref] = draft

    def _superseded(self, recorded: Recorded, at: datetime) -> None:
        event = recorded.event
        if self._foreign(event):
            self._cue(at, recorded, foreign=True)
        elif (ref := attempt_of(event)) is not None and ref in self._drafts:
            draft = self._drafts[ref]
            draft.given_up = event
            draft.ask(at, self._state.machines.get(draft.machine))

    def _asked(self, event: Event, at: datetime) -> None:
        """A cancel: every attempt that is live is asked to stop."""
        for draft in self._live.values():
            if draft.ref.execution == event.execution:
                draft.ask(at, self._state.machines.get(draft.machine))

    # ---- how machines came and went

    def _silent(self, recorded: Recorded, data: c.MachineOffline, at: datetime) -> None:
        name = recorded.event.machine or ""
        policy, interval_s = self._state.policy, data.evidence.interval_s
        patience_s = interval_s * policy.beats_missed_max + policy.beat_slack_s
        beat_at = at - timedelta(seconds=patience_s)
        heard_at = self._last_heard.get(name)
        self._open[name] = silence = Silence(
            machine=name,
            sequence=recorded.sequence,
            verdict_at=at,
            patience_s=patience_s,
            policy=policy,
            evidence=data.evidence,
            since=beat_at if heard_at is None else max(beat_at, heard_at + PROMPT),
            connected_at=self._connected.get(name, at),
        )
        self.script.silences.setdefault(name, []).append(silence)

    def _ends(self, name: str, at: datetime, *, online: bool = False) -> None:
        silence = self._open.pop(name, None)
        if silence is not None:
            silence.flows_at = silence.flows_at or at
            silence.ended_at = at
            silence.online_at = at if online else None

    def _arrival(self, recorded: Recorded, data: c.MachineConnected, at: datetime) -> None:
        name = recorded.event.writer
        machine = self._state.machines.get(name)
        held = {ref for ref, attempt in machine.held.items() if attempt.accepted} if machine else set()
        if machine is not None and machine.online:
            self.script.restarts.append((name, at))
        self._ends(name, at)
        self._returns(name, at)
        self._connected[name] = self._last_heard[name] = at
        self._cue(at, recorded, held=frozenset(held | set(data.attempts)))

    def _returns(self, name: str, at: datetime) -> None:
        """The machine hears again what it did not: starts it has not taken up, and stops it has not obeyed."""
        for draft in self._live.values():
            if draft.machine == name and not draft.facts and draft.given_up is None:
                draft.returns.append(at)
            if draft.machine == name and draft.unwanted and draft.asked_at is None:
                draft.asked_at = at

    # ---- what agents said

    def _fact(self, recorded: Recorded, moment: Moment) -> None:
        event, name = recorded.event, recorded.event.writer
        if name in self._open and self._open[name].flows_at is None:
            self._open[name].flows_at = moment.heard
        self._last_heard[name] = moment.heard
        ref = attempt_of(event)
        if isinstance(event.data, c.MachineDisconnected):
            self._ends(name, moment.heard)
            self._cue(moment.heard, recorded)
        elif isinstance(event.data, c.FunctionLoaded | c.FunctionUnloaded):
            self._cue(moment.heard, recorded)
        elif ref is None or not isinstance(event.data, _ATTEMPT_FACTS + _ATTEMPT_ENDS):
            return
        elif self._foreign(event):
            self._cue(moment.heard, recorded, foreign=True)
        elif (draft := self._drafts.get(ref)) is not None and draft.machine == name and draft.end is None:
            draft.sequences.append(recorded.sequence)
            if isinstance(event.data, _ATTEMPT_ENDS):
                draft.end = moment, event.data
                del self._live[ref]
            else:
                draft.facts.append((moment, event.data))

    # ---- courses

    def finished(self) -> Script:
        """The script, when all has been read."""
        script = self.script
        script.skews = {name: by for name, by in self._hearing.skews.items() if abs(by) >= SKEW_TOLD}
        for draft in self._drafts.values():
            script.courses[draft.ref] = self._course(draft)
        return script

    def _course(self, draft: _Draft) -> Course:
        told = [*draft.facts, *([draft.end] if draft.end is not None else [])]
        base_at = draft.scheduled_at
        if told:
            reached = [self._arrives(draft, at) for at in (base_at, *draft.returns)]
            base_at = max([base_at, *(at for at in reached if at <= told[0][0].heard)])
        given_up = draft.given_up
        return Course(
            ref=draft.ref,
            machine=draft.machine,
            scheduled_at=draft.scheduled_at,
            base_at=base_at,
            facts=tuple((self._offset(draft, moment, base_at), body) for moment, body in draft.facts),
            sequences=tuple(draft.sequences),
            known_until=self._known_until(draft),
            cut_by=_cut_by(draft),
            ignored=given_up is not None and (given_up.cause or "").startswith("timer:accept:"),
            **self._end(draft, base_at),
        )

    def _end(self, draft: _Draft, base_at: datetime) -> dict[str, Any]:
        """The fields of a course that say how it ended."""
        asked: dict[str, Any] = {}
        unstopped: dict[str, Any] = {}
        if draft.asked_at is not None:
            until = draft.end[0].heard if draft.end is not None else self.script.ends
            asked_at = min(self._arrives(draft, draft.asked_at), until)
            asked = {"asked_at": asked_at, "stop_s": (until - asked_at).total_seconds()}
            unstopped = asked | {"stop_s": asked["stop_s"] + AFTER_END_S}
        if draft.end is None:
            return unstopped
        moment, body = draft.end
        lost = isinstance(body, c.AttemptFailed) and body.reason in LOST_REASONS
        if isinstance(body, c.AttemptFinished | c.AttemptFailed) and not lost:
            return {"end": body, "end_s": self._offset(draft, moment, base_at)} | unstopped
        if isinstance(body, c.AttemptStopped) and asked:
            return asked
        return {"accident": body, "accident_at": moment.heard}

    def _arrives(self, draft: _Draft, at: datetime) -> datetime:
        """When what was sent to the attempt's machine at ``at`` was heard there, as far as is known."""
        for silence in self.script.silences.get(draft.machine, ()):
            if silence.covers(at) and silence.flows_at is not None:
                return silence.flows_at
        return at

    def _offset(self, draft: _Draft, moment: Moment, base_at: datetime) -> float:
        """What was said in a silence came late; otherwise what counts is when it was heard."""
        silences = self.script.silences.get(draft.machine, ())
        silent = any(one.covers(moment.made) for one in silences)
        return max(0.0, ((moment.made if silent else moment.heard) - base_at).total_seconds())

    def _known_until(self, draft: _Draft) -> datetime:
        """How long it is known to have gone on, if it did not end by itself."""
        known = [draft.scheduled_at, *(moment.heard for moment, _ in draft.facts)]
        known += [draft.given_up.time] if draft.given_up is not None else []
        known += [draft.end[0].heard] if draft.end is not None else []
        return max(known) if draft.given_up is not None or draft.end is not None else self.script.ends


def _cut_by(draft: _Draft) -> str:
    if draft.given_up is not None:
        return f"it was given up: {_reason(draft.given_up)}"
    if draft.end is not None:
        return "it was stopped"
    return "the record says no more of it"


def _reason(given_up: Event) -> str:
    return given_up.data.reason if isinstance(given_up.data, c.AttemptSuperseded) else ""
