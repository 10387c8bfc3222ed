"""Replay: every recorded decision is made again from what it was made from, and compared.

Theory of operation. The log holds facts (what agents report, and who was elected), what was *given* to the scheduler
(commands and verdicts from beats, see ``Body.given``), and what it decided. Each event of a scheduler names its basis:
how far it had read, what time it was, and which round it was. So a round can be made again: fold the facts up to its
basis, take what was given, ask ``decide``, and compare what it says with what stands in the log. Three things need
care:

- *Rounds that decided nothing left no trace.* Replay does not make them. ``decide`` does not depend on them.
- *A leader may die in the middle of a round.* Then the log holds the beginning of it, followed by an election: what was
  cut off is no difference. A leader that is elected again goes on with the same round under the same basis, so that
  the events of one basis are one round, wherever the election stands.
- *A fixture may hold only one execution, and of others only what took room on machines*
  (``muster.model.proof.recording``). An execution without its ``execution.queued`` is *foreign*: its attempts hold
  room where the record says so, and nothing is decided about it.

After a round that was cut, or that came out differently, the state holds decisions that never were; it is then folded
from the record again, as a new leader does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from muster.model.engine.decide import decide
from muster.model.engine.evolve import evolve
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.errors import FixtureInvalidError
from muster.model.log import catalogue as c
from muster.model.log.envelope import Basis, Event, Recorded, encode
from muster.model.log.erasure import Erased, spans
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.policy import Policy
from muster.model.proof.foreign import SharedQueue, hold
from muster.model.proof.foreign_turns import SharedStepTurns, SharedTurns
from muster.model.proof.grounds import grounds

Key = tuple[str, str, str | None, int | None]
"""What a decision is about, whatever it says: its kind, execution, step and attempt."""


def key(event: Event) -> Key:
    """What the decision is about."""
    return event.kind, event.execution, event.step, event.attempt


class Recomputed(msgspec.Struct, frozen=True, kw_only=True):
    """One round, as it was recorded and as it comes out now; what was given is in neither.

    ``cut``: the record ends, or another scheduler was elected, right behind it, so that its end may be missing.
    """

    basis: Basis
    last: int
    given: int
    recorded: list[Recorded]
    decided: list[Event]
    cut: bool

    @property
    def differs_at(self) -> int | None:
        """The place in the round of the first decision that is not the same, or None."""
        for place, (then, now) in enumerate(zip(self.recorded, self.decided, strict=False)):
            if not same(then.event, now):
                return place
        short = len(self.recorded) < len(self.decided)
        if len(self.recorded) == len(self.decided) or (short and self.cut):
            return None
        return min(len(self.recorded), len(self.decided))

    @property
    def whole(self) -> bool:
        """Whether the state now is what the record says."""
        return self.differs_at is None and len(self.recorded) == len(self.decided)


def same(then: Event, now: Event) -> bool:
    """Whether two decisions say the same, in all that stands in the envelope and in the data."""
    return encode(msgspec.structs.replace(then, line=None)) == encode(now)


def given(event: Event, known: Container[str] = ()) -> bool:
    """Whether a scheduler's event records what it was asked for or told by beats.

    So does the beginning of an execution whose schedule is not among those that are ``known``: a fixture of one
    execution holds no schedules.
    """
    data = event.data
    if isinstance(data, c.ExecutionEnding):
        return data.outcome == "cancelled" and not data.with_parent and not data.replaced_by
    if isinstance(data, c.ExecutionQueued):
        due = data.schedule
        return data.parent is None and (due is None or due.triggered or due.name not in known)
    return not isinstance(data, c.Unknown) and data.given


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first decision of a round that comes out differently: ``then`` or ``now`` is None where only one has it.

    ``grounds`` is what the decision rests on, as plain values: the state before the round was decided.
    """

    sequence: int
    basis: Basis
    then: Event | None
    now: Event | None
    grounds: dict[str, Any]


class Replayed(msgspec.Struct, kw_only=True):
    """What came of a replay. ``given`` and ``decisions`` count events; only the latter were made again."""

    events: int = 0
    rounds: int = 0
    given: int = 0
    decisions: int = 0
    differences: list[Difference] = []


def replay(records: Sequence[Recorded], *, limit: int = 1) -> Replayed:
    """Make every recorded decision again; stop at the ``limit``-th round that comes out differently."""
    found = Replayed(events=len(records))
    folded_to: int | None = 0
    while folded_to is not None and len(found.differences) < limit:
        folded_to = _replay(records, folded_to, found)
    return found


def _replay(records: Sequence[Recorded], folded_to: int, found: Replayed) -> int | None:
    """Replay what stands above ``folded_to``; where the state has to be folded anew, up to where."""
    fold = Replay(folded_to=folded_to, doubt=gone(records))
    rounds = (fold.take(recorded) for recorded in records)
    for round_ in _and_then(rounds, fold.close):
        if round_ is None:
            continue
        found.rounds += 1
        found.given += round_.given
        found.decisions += len(round_.recorded)
        if round_.differs_at is not None:
            found.differences.append(difference(round_, records))
        if not round_.whole:
            return round_.last
    return None


def gone(records: Sequence[Recorded]) -> Erased:
    """Where runs of schedules, and children, stood that were cleared: what was decided beside is not decided again."""
    found, begun = Erased(), set[str]()
    for recorded in records:
        event, data = recorded.event, recorded.event.data
        if isinstance(data, c.ScheduleFired):
            begun.add(data.execution)
        elif isinstance(data, c.StepStarted) and data.child is not None:
            begun.add(data.child)
        elif isinstance(data, c.ExecutionQueued):
            begun.discard(event.execution)
        elif isinstance(data, c.ExecutionCleared) and event.execution in begun:
            found.add(spans(recorded))
    return found


def _and_then(
    rounds: Iterable[Recomputed | None], last: Callable[[], Recomputed | None]
) -> Iterator[Recomputed | None]:
    yield from rounds
    yield last()


def difference(round_: Recomputed, records: Iterable[Recorded]) -> Difference:
    """The first difference of ``round_``, with the state it rests on folded from the records once more."""
    place = round_.differs_at
    assert place is not None
    then = round_.recorded[place] if place < len(round_.recorded) else None
    now = round_.decided[place] if place < len(round_.decided) else None
    about = then.event if then is not None else now
    assert about is not None
    before = Replay(folded_to=round_.last)
    for recorded in records:
        before.take(recorded)
        if before.reached(round_.basis):
            break
    before.fold_facts(round_.basis.sequence)
    return Difference(
        sequence=then.sequence if then is not None else round_.last,
        basis=round_.basis,
        then=then.event if then is not None else None,
        now=now,
        grounds=grounds(before.state, about),
    )


def _basis(text: str, sequence: int) -> Basis:
    try:
        return Basis.parse(text)
    except ValueError:
        raise FixtureInvalidError(
            f"The event at sequence {sequence} cannot be decided again: {text!r} is no basis "
            "(<sequence>/<time>/<round>)."
        ) from None


def _elected(recorded: Recorded) -> bool:
    return isinstance(recorded.event.data, c.LeaderElected)


class Replay:
    """Takes the events of a log one after another. What stands at or below ``folded_to`` is folded, not decided, and so
    is a round beside what is in ``doubt``.
    """

    def __init__(
        self, policy: Policy | None = None, *, folded_to: int = 0, doubt: Erased | None = None
    ) -> None:
        self.state = State(policy)
        self._queue = SharedQueue(self.state)
        self.state.queue = self._queue
        self._turns = SharedTurns(), SharedStepTurns()
        self.state.turns, self.state.step_turns = self._turns
        self._folded_to = folded_to
        self._doubt = doubt or Erased()
        self.gone = doubt or Erased()  # what is known to be gone, whatever is in doubt
        self._facts: deque[Recorded] = deque()
        self._round: list[Recorded] = []
        self._basis: str | None = None
        self._known: set[str] = set()
        self.sequence = 0

    def take(self, recorded: Recorded) -> Recomputed | None:
        """Take the next event; where it shows that a round is complete, that round."""
        self.sequence = recorded.sequence
        event = recorded.event
        if event.writer != SCHEDULER or event.basis is None:
            self._facts.append(recorded)
            return None
        found = None
        if event.basis != self._basis:
            last = self._round[-1].sequence if self._round else 0
            found = self.close(cut=any(_elected(fact) and fact.sequence > last for fact in self._facts))
            self._basis = event.basis
        self._round.append(recorded)
        return found

    def close(self, *, cut: bool = True) -> Recomputed | None:
        """The round that was not known to be complete: nothing more comes, or it has been quiet for long enough."""
        events, self._round = self._round, []
        if not events or self._basis is None:
            return None
        basis, self._basis = _basis(self._basis, events[0].sequence), None
        found = None
        last = max(events[-1].sequence, self.sequence - 1)
        if (
            events[-1].sequence <= self._folded_to
            or basis.sequence < self._folded_to
            or self._doubt.between(basis.sequence + 1, last)
        ):
            self._fold_recorded(events)
        else:
            self.fold_facts(basis.sequence)
            found = self._decide(basis, events, cut=cut)
        self._settle(whole=not cut)
        return found

    def _settle(self, *, whole: bool) -> None:
        """What a whole round says is begun has been, and so has what is known to be gone from the log."""
        schedules = self.state.schedules
        for execution in list(schedules.owed):
            if whole or self.gone.holds(execution):
                schedules.end(execution)

    def reached(self, basis: Basis) -> bool:
        """Whether the round of this basis comes next."""
        return self._basis == str(basis)

    def fold_facts(self, sequence: int) -> None:
        """Fold what is not the scheduler's, up to ``sequence``."""
        while self._facts and self._facts[0].sequence <= sequence:
            self._fold(self._facts.popleft())

    # ---- rounds

    def _fold_recorded(self, events: list[Recorded]) -> None:
        for recorded in events:
            self.fold_facts(recorded.sequence)
            self._enter(recorded)

    def _decide(self, basis: Basis, events: list[Recorded], *, cut: bool) -> Recomputed:
        state = self.state
        state.sequence, state.round = basis.sequence, basis.round - 1
        round_ = Round(state, basis.now)
        count = self._give(round_, events)
        self._known |= {r.event.execution for r in events if isinstance(r.event.data, c.ExecutionQueued)}
        own = [recorded for recorded in events[count:] if not self._foreign(recorded.event)]
        decided = [recorded.event for recorded in events[count:]]
        self._queue.share(round_, decided, self._known)
        for turns in self._turns:
            turns.share(decided, self._known, lambda: len(round_.events) - count)
        decide(state, basis.now, round_)
        self._queue.rest()
        for turns in self._turns:
            turns.rest()
        return Recomputed(
            basis=basis,
            last=events[-1].sequence,
            given=count,
            recorded=own,
            decided=round_.events[count:],
            cut=cut,
        )

    def _give(self, round_: Round, events: list[Recorded]) -> int:
        """What was given stands at the beginning of its round."""
        for recorded in events:
            if not given(recorded.event, self.state.schedules.by_name):
                break
            self._enter(recorded)
            round_.events.append(recorded.event)
        return len(round_.events)

    def _enter(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event.data, c.ExecutionQueued):
            self._known.add(event.execution)
        for turns in self._turns:
            turns.hold(event, self._known)
        if self._foreign(event) and isinstance(event.data, c.StepScheduled):
            hold(self.state, event, event.data)
        else:
            self._fold(recorded)

    def _fold(self, recorded: Recorded) -> None:
        try:
            evolve(self.state, recorded.event, recorded.sequence)
        except Exception:  # as the scheduler: what an agent says is passed over where it makes no sense
            if recorded.event.writer == SCHEDULER:
                raise

    def _foreign(self, event: Event) -> bool:
        return event.execution != NO_EXECUTION and event.execution not in self._known
