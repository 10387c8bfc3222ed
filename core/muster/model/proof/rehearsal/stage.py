"""The stage: a recorded world is played to the real ``decide``, under changed rules.

Theory of operation. Time jumps from one thing that happens to the next: a cue of the script, what an agent says, a
timer of the scheduler. All that happens at one time is folded, then one round is decided, at once and without cost.
What the round orders becomes new things to happen: a start becomes what its attempt will say (``performance``), a stop
an answer. Rules:

1. A machine that is silent neither hears nor is heard: what falls into its silence is moved to its end.
2. A verdict falls when the patience of now is over, unless the silence is over before.
3. When an agent connects anew, it answers for the attempts that it answered for then. For one that did not run there
   then, what became of the others is taken; where there were none, it goes on unless the machine was started anew.
4. Attempts of executions that are not in the record hold room as they did, whatever is decided now.
5. Nobody decides while nobody led (``leadership``).
6. Functions are loaded and unloaded where and when they were, wherever calls go now.

Nothing goes on for ever: attempts are bounded by the rules, and rounds by ``ROUNDS_MAX``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from muster.model.engine.cluster import Machine
from muster.model.engine.decide import decide, next_due
from muster.model.engine.evolve import evolve
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef, Body
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER
from muster.model.policy import Policy
from muster.model.proof.foreign import hold
from muster.model.proof.loads import moved
from muster.model.proof.rehearsal.asking import Answer, give
from muster.model.proof.rehearsal.assumptions import Assumptions
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.leadership import Leadership
from muster.model.proof.rehearsal.performance import LATEST, Line, Performance
from muster.model.proof.rehearsal.script import Cue, Script, attempt_of, more
from muster.model.proof.rehearsal.silences import Verdict, heard_at, verdicts

ROUNDS_MAX: Final = 1_000_000  # some minutes of work; a script that needs more does not end by itself

# After these some attempts may have to stop.
_STOPPING: Final = (c.AttemptSuperseded, c.ExecutionEnding, c.MachineOnline)
_BEYOND: Final = (
    "beyond the end of the record nobody asks for anything, and no machine comes, goes or falls silent"
)
_LOADS: Final = "functions are loaded where and when they were, though calls go to other machines"
_ASKS: Final = (c.ExecutionQueued, c.ExecutionEnding)  # what people asked for

Happening = Callable[[Round], None]


class Stage:
    """One play of a script. ``events`` are what the scheduler wrote, in order.

    A child is called after the event that begins it: ``names`` are what those are called in the record that are called
    otherwise now.
    """

    def __init__(
        self, script: Script, performance: Performance, changes: Changes, leadership: Leadership
    ) -> None:
        self.events: list[Event] = []
        self.names: dict[str, str] = {}
        self.assumed = Assumptions()
        self.rounds = 0
        self._leadership = leadership
        self._script = script
        self._performance = performance
        self._changes = changes
        self._state = State(changes.limits(script.policy or Policy()))
        self._agenda: list[tuple[datetime, int, int, Happening]] = []
        self._number = 0
        self._arrived = False
        self._beyond = False
        self._decided_at: datetime | None = None
        self._undecided: datetime | None = None
        self._foreign: set[AttemptRef] = set()
        self._unheard: dict[AttemptRef, int] = {}
        self._asked: set[tuple[str, AttemptRef]] = set()
        self._noted: set[tuple[AttemptRef, str]] = set()
        self._asks = sum(isinstance(cue.recorded.event.data, _ASKS) for cue in script.cues)

    def play(self, rounds_max: int = ROUNDS_MAX) -> None:
        """From the first cue until every execution has ended, or nothing happens any more."""
        self._prepare()
        while self._asks or self._state.executions:
            now = self._next()
            if now is None:
                return
            if self.rounds >= rounds_max:
                self.assumed.note(
                    f"the play was ended after {rounds_max} rounds; what is open then stays open"
                )
                return
            self._round(now)

    # ---- time

    def _prepare(self) -> None:
        for cue in self._script.cues:
            self._enter(cue)
        for cue in more(self._script.cues, self._changes.more()):
            self._enter(cue)
        for silences in self._script.silences.values():
            for verdict in verdicts(silences, self._changes):
                self._judge(verdict)

    def _judge(self, verdict: Verdict) -> None:
        self._plan(verdict.at, lambda round_: self._verdict(round_, verdict), verdict.sequence)
        if verdict.online_at is not None:
            self._plan(verdict.online_at, lambda round_: self._online(round_, verdict))

    def _plan(self, at: datetime, happening: Happening, sequence: int = LATEST) -> None:
        self._number += 1
        heapq.heappush(self._agenda, (at, sequence, self._number, happening))

    def _next(self) -> datetime | None:
        times = [self._agenda[0][0]] if self._agenda else []
        dues = (next_due(self._state), self._undecided)
        times += [self._leadership.led_at(due, self._decided_at) for due in dues if due is not None]
        return min(times, default=None)

    def _round(self, now: datetime) -> None:
        self.rounds += 1
        if now > self._script.ends and not self._beyond:
            self._beyond = True
            self.assumed.note(_BEYOND)
        round_ = Round(self._state, now)
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[3](round_)
        self._undecided = now
        if self._leadership.led_at(now, self._decided_at) > now:
            return
        self._decided_at = now
        written = self._leadership.cut(round_)
        self._undecided = now if written is not None else None
        if written is None:
            decide(self._state, now, round_)
        for event in written or ():
            evolve(self._state, event)
        made = [*round_.events, *(written or ())]
        self.events += made
        for event in made:
            self._know(event)
            self._ask(event)
        if not self._leadership.dies(now):
            self._send(round_, now)

    def _send(self, round_: Round, now: datetime) -> None:
        for name, orders in round_.starts.items():
            for order in orders:
                self._start(order.ref, name, now)
        if self._arrived or any(isinstance(event.data, _STOPPING) for event in round_.events):
            self._arrived = False
            self._stops(now)

    def _know(self, event: Event) -> None:
        parent = event.data.parent if isinstance(event.data, c.ExecutionQueued) else None
        if parent is not None:
            recorded = self._script.child(self._named(parent.execution), parent.step)
            if recorded is not None and recorded != event.execution:
                self.names[event.execution] = recorded

    def _named(self, execution: str) -> str:
        return self.names.get(execution, execution)

    def _then(self, ref: AttemptRef) -> AttemptRef:
        """What the attempt is called in the record."""
        return AttemptRef(self._named(ref.execution), ref.step, ref.attempt)

    def _ask(self, event: Event) -> None:
        found = self._script.asking.answer(event, self._named(event.execution), self.assumed)
        if found is not None:
            at, answer = found
            self._plan(at, lambda round_: self._given(round_, event.execution, answer), answer.sequence)

    def _given(self, round_: Round, execution: str, answer: Answer) -> None:
        if (led_at := self._leadership.led_at(round_.now)) > round_.now:
            self._plan(led_at, lambda round_: give(self._state, execution, answer, round_))
        else:
            give(self._state, execution, answer, round_)

    # ---- the script

    def _enter(self, cue: Cue) -> None:
        event = cue.recorded.event
        machine = event.writer if event.writer != SCHEDULER else event.machine
        if (
            machine is not None
            and self._changes.absent(machine)
            and not isinstance(event.data, c.ExecutionQueued)
        ):
            return
        self._plan(cue.at, lambda round_: self._happen(cue, round_), cue.recorded.sequence)

    def _happen(self, cue: Cue, round_: Round) -> None:
        event, sequence = cue.recorded.event, cue.recorded.sequence
        self._asks -= isinstance(event.data, _ASKS)
        match event.data:
            case c.LeaderElected(policy=policy):
                data = msgspec.structs.replace(event.data, policy=self._changes.limits(policy or Policy()))
                evolve(self._state, msgspec.structs.replace(event, data=data), sequence)
                for name, machine in self._state.machines.items():
                    if machine.online:
                        self._return(name, round_.now)
            case c.ExecutionQueued(workflow=workflow):
                data_ = msgspec.structs.replace(event.data, workflow=self._changes.workflow(workflow))
                self._write(round_, event, data_)
            case c.ExecutionEnding():
                self._cancel(round_, event)
            case c.MachineConnected():
                self._arrive(cue, event.data, round_.now)
            case c.StepScheduled():
                self._foreign |= {ref} if (ref := attempt_of(event)) else set()
                hold(self._state, event, event.data)
            case c.AttemptSuperseded() | c.MachineDraining() | c.StepSucceeded():
                evolve(self._state, event, sequence)
            case _:
                if isinstance(event.data, c.FunctionLoaded) and moved(self._state, event):
                    self.assumed.note(_LOADS)
                self._say(event.writer, event)

    def _write(self, round_: Round, event: Event, body: Body) -> None:
        round_.write(body, event.cause or "", execution=event.execution, machine=event.machine)

    def _cancel(self, round_: Round, event: Event) -> None:
        execution = self._state.executions.get(event.execution)
        if execution is None:
            self.assumed.note(f"the cancel of {event.execution} came too late: it had ended")
        elif execution.ending != "cancelled":
            self._write(round_, event, event.data)  # type: ignore[arg-type]

    # ---- machines

    def _arrive(self, cue: Cue, data: c.MachineConnected, now: datetime) -> None:
        event = cue.recorded.event
        name = event.writer
        machine = self._state.machines.get(name)
        changed = msgspec.structs.replace(
            data,
            facts=self._changes.facts(name, data.facts),
            interval_s=self._changes.interval_s(name, data.interval_s),
            attempts=self._kept(cue, machine, data) if machine is not None else [],
        )
        n = machine.n if machine is not None else 0
        evolve(self._state, msgspec.structs.replace(event, data=changed, n=n), cue.recorded.sequence)
        self._return(name, now)

    def _kept(self, cue: Cue, machine: Machine, data: c.MachineConnected) -> list[AttemptRef]:
        """The attempts it still answers for, of those that it holds now."""
        listed = set(data.attempts)
        running = data.facts.boot_id == machine.facts.boot_id != ""
        others = cue.held <= listed if cue.held else running
        found = []
        for ref, attempt in machine.held.items():
            known = ref in cue.held
            if ref in listed if known else others:
                found.append(ref)
            if not known and attempt.accepted:
                fate = "goes on" if others else "is lost"
                self.assumed.note(
                    f"an attempt that runs on {machine.name} when its agent connects anew, and did not then, {fate}",
                    ref,
                )
        return found

    def _return(self, name: str, now: datetime) -> None:
        """It hears again the starts that it has not taken up, and whom to stop."""
        self._arrived = True
        machine, arrives = self._state.machines[name], self._heard(name, now)
        for ref, attempt in list(machine.held.items()):
            if attempt.accepted or attempt.superseded or ref in self._foreign or arrives is None:
                continue
            course = self._script.courses.get(self._then(ref))
            if course is None or course.machine != name or course.base_at <= arrives:
                self._start(ref, name, now)
        if self._leadership.led_at(now, self._decided_at) <= now:
            self._stops_on(machine, now)

    def _verdict(self, round_: Round, verdict: Verdict) -> None:
        machine = self._state.machines.get(verdict.machine)
        if (led_at := self._leadership.led_at(round_.now)) > round_.now:
            self._plan(led_at, lambda round_: self._verdict(round_, verdict))
        elif machine is not None and machine.online and machine.session == verdict.evidence.session:
            cause = f"timer:heartbeat:{round_.now.isoformat()}"
            round_.write(c.MachineOffline(evidence=verdict.evidence), cause, machine=machine.name)

    def _online(self, round_: Round, verdict: Verdict) -> None:
        machine = self._state.machines.get(verdict.machine)
        if (led_at := self._leadership.led_at(round_.now)) > round_.now:
            self._plan(led_at, lambda round_: self._online(round_, verdict))
        elif (
            machine is not None
            and machine.status == "offline"
            and machine.session == verdict.evidence.session
        ):
            cause = f"timer:heartbeat:{round_.now.isoformat()}"
            round_.write(c.MachineOnline(evidence=verdict.evidence), cause, machine=machine.name)
            self._return(machine.name, round_.now)

    def _heard(self, name: str, at: datetime) -> datetime | None:
        return heard_at(self._script.silences.get(name, ()), at)

    # ---- attempts

    def _start(self, ref: AttemptRef, name: str, now: datetime) -> None:
        arrives = self._heard(name, now)
        if arrives is None:
            return
        turn = self._unheard[ref] = self._unheard.get(ref, 0) + 1
        for line in self._performance.lines(self._then(ref), name, arrives):
            at = self._heard(name, line.at)
            if at is not None:
                self._plan(at, self._saying(ref, name, turn, line), line.sequence)

    def _saying(self, ref: AttemptRef, name: str, turn: int, line: Line) -> Happening:
        return lambda round_: self._line(round_.now, ref, name, turn, line)

    def _line(self, now: datetime, ref: AttemptRef, name: str, turn: int, line: Line) -> None:
        attempt = self._state.held(name, ref)
        if attempt is None or self._unheard[ref] != turn:
            return
        if line.assumed and attempt.superseded:
            return  # it is only a question of when it stops
        if line.assumed and (ref, line.assumed) not in self._noted:
            self._noted.add((ref, line.assumed))
            self.assumed.note(line.assumed, ref)
        self._answer(now, ref, name, line.body)

    def _answer(self, now: datetime, ref: AttemptRef, name: str, body: Body) -> None:
        if isinstance(body, c.AttemptFailed):
            error = msgspec.structs.replace(body.error, machine=name, attempt=ref.attempt)
            body = msgspec.structs.replace(body, error=error)
        self._number += 1
        event = Event(
            id=f"{name}:{self._number}",
            writer=name,
            time=now,
            data=body,
            execution=ref.execution,
            step=ref.step,
            attempt=ref.attempt,
            machine=name,
        )
        self._say(name, event)

    def _say(self, name: str, event: Event) -> None:
        """The machine's outbox counts on, whatever its numbers were then."""
        machine = self._state.machines.get(name)
        if machine is not None:
            evolve(self._state, msgspec.structs.replace(event, n=machine.n + 1))

    def _stops(self, now: datetime) -> None:
        """Who is to stop, and can hear it, does."""
        for machine in self._state.machines.values():
            self._stops_on(machine, now)

    def _stops_on(self, machine: Machine, now: datetime) -> None:
        for ref, attempt in machine.held.items() if machine.online else ():
            execution = self._state.executions.get(ref.execution)
            wanted = attempt.superseded or execution is None or execution.ending == "cancelled"
            if wanted and ref not in self._foreign and (machine.name, ref) not in self._asked:
                self._stop(ref, machine.name, now)

    def _stop(self, ref: AttemptRef, name: str, now: datetime) -> None:
        arrives = self._heard(name, now)
        if arrives is None:
            return
        self._asked.add((name, ref))
        at = self._heard(name, self._performance.stops_at(self._then(ref), name, arrives))
        if at is not None:
            self._plan(at, lambda round_: self._stopped(round_.now, ref, name))

    def _stopped(self, now: datetime, ref: AttemptRef, name: str) -> None:
        if self._state.held(name, ref) is not None:
            self._answer(now, ref, name, c.AttemptStopped(reason="asked"))
