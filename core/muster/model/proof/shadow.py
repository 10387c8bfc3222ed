"""Deciding beside a leader: each of its rounds is made again as it comes, and compared.

Theory of operation. Two folds go through the log side by side. The *record* folds every round as it stands there; the
*trial* decides it (``muster.model.proof.replay``) and goes on from what it decided. As long as both come to the
same they hold the same. Where they do not, the record still has the state from which the round was decided, which
is shown, and a copy of it becomes the next trial: one disagreement does not cause others, and nothing has to be
read again. Memory is that of two states, whatever the length of the log.

What was erased from the log, or moved into the archive, took room on machines while it lived, and nobody can see that
any more. So a round is *in doubt* if such an execution lived at its basis: it is folded, and not decided again. Whoever
reads while something is erased may have read the beginning of an execution whose end is gone; such a record is *torn*
and has to be read anew. What outlasts such an execution (its images, what it loaded, and room that its machine has not
given back) is told by what the leader made of it: see ``muster.model.proof.unseen``.

The newest round may lack its end: more of it may be on its way. ``look`` compares what there is of it without closing
it, and ``owed`` tells what this version would have decided by now and the log does not hold. Both work on copies.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muster.model.engine.decide import next_due
from muster.model.log import catalogue as c
from muster.model.log.envelope import Basis, Recorded
from muster.model.proof.grounds import grounds
from muster.model.proof.record import Record, copied
from muster.model.proof.replay import Difference, Key, Recomputed, Replay, key
from muster.model.proof.unseen import Unseen


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """``decided``: a round comes out differently. ``owed``: the leader did not decide what is due. ``failed``: this
    version cannot decide, or not even fold, what the log holds; ``error`` says why.
    """

    kind: Literal["decided", "owed", "failed"]
    difference: Difference
    error: str = ""
    leader: str = ""
    software: str = ""
    lacking: frozenset[Key] = frozenset()

    @property
    def key(self) -> Key | None:
        """What it is about, where the log still lacks it: every later round will lack it too."""
        now = self.difference.now
        return key(now) if now is not None and key(now) in self.lacking else None


class Comparison:
    """Takes the events of a log one after another. Rounds that rest on what stands below ``start`` are not compared.

    ``rounds`` and ``decisions`` count what was compared, ``doubtful`` the rounds that could not be. ``elected`` is the
    newest election that was read, and its place.
    """

    def __init__(self, start: int = 0) -> None:
        self.record = Record()
        self.rounds = self.decisions = self.doubtful = 0
        self.elected: tuple[int, c.LeaderElected] | None = None
        self._start = start
        self._trial: Replay | None = None
        self.erased = self.record.gone
        self._unseen = Unseen(self.record, self.erased)
        self._looked: tuple[str, int] = ("", 0)
        self._told = ""

    @property
    def sequence(self) -> int:
        """The newest event that was taken."""
        return self.record.sequence

    @property
    def torn(self) -> bool:
        """Whether an execution counts as open of which the end must have been read: it was erased under the reader."""
        return self.erased.tears(self.record.open(), self.sequence)

    # ---- rounds

    def take(self, recorded: Recorded) -> Disagreement | None:
        """Take the next event; where it shows that a round is complete and came out differently, that round.

        Raises whatever the record cannot be folded for.
        """
        pending = self.record.pending
        if self._trial is None and pending is not None and self._compares(pending, recorded.sequence - 1):
            self._trial = self.record.trial()
        found, error = None, ""
        if self._trial is not None:
            try:
                found = self._trial.take(recorded)
            except Exception as raised:  # whatever it is, it is what this version would do if it led
                error = f"{type(raised).__name__}: {raised}"
        disagreement = self._judge(found, error, pending, recorded.sequence)
        if isinstance(recorded.event.data, c.LeaderElected):
            self.elected = (recorded.sequence, recorded.event.data)
        before = self.record.rounds
        self._unseen.take(recorded)
        self.record.take(recorded)
        if self.record.rounds > before and found is None and not error:
            self.doubtful += pending is not None and pending.sequence >= self._start
        if error or (found is not None and not found.whole):
            self._trial = None
        return disagreement

    def _compares(self, basis: Basis, last: int) -> bool:
        return basis.sequence >= self._start and not self.erased.between(basis.sequence + 1, last)

    def _judge(
        self, found: Recomputed | None, error: str, pending: Basis | None, sequence: int
    ) -> Disagreement | None:
        if pending is None or (found is None and not error):
            return None
        if not self._compares(pending, sequence - 1):
            self.doubtful += 1
            self._trial = None
            return None
        self.rounds += 1
        self.decisions += len(found.recorded) if found is not None else 0
        if str(pending) == self._told:
            return None
        return self._failed(pending, error) if found is None else self._differs(found)

    def look(self) -> Disagreement | None:
        """Compare what there is of the newest round, once. What is missing in it may still come."""
        record, pending = self.record, self.record.pending
        if pending is None or (str(pending), record.size) == self._looked:
            return None
        self._looked = (str(pending), record.size)
        if str(pending) == self._told or not self._compares(pending, self.sequence):
            return None
        try:
            found = record.trial().close(cut=True)
        except Exception as raised:
            disagreement: Disagreement | None = self._failed(pending, f"{type(raised).__name__}: {raised}")
        else:
            disagreement = self._differs(found) if found is not None else None
        self._told = str(pending) if disagreement is not None else self._told
        return disagreement

    def _differs(self, found: Recomputed) -> Disagreement | None:
        place = found.differs_at
        if place is None or self._unseen.explains(found):
            return None
        then = found.recorded[place] if place < len(found.recorded) else None
        now = found.decided[place] if place < len(found.decided) else None
        about = then.event if then is not None else now
        assert about is not None
        self.record.fold_facts(found.basis.sequence)
        difference = Difference(
            sequence=then.sequence if then is not None else found.last,
            basis=found.basis,
            then=then.event if then is not None else None,
            now=now,
            grounds=grounds(self.record.state, about),
        )
        there = {key(recorded.event) for recorded in found.recorded}
        lacking = frozenset(key(event) for event in found.decided) - there
        return self._disagreement("decided", difference, lacking=lacking)

    def _failed(self, basis: Basis, error: str) -> Disagreement:
        difference = Difference(sequence=self.sequence, basis=basis, then=None, now=None, grounds={})
        return self._disagreement("failed", difference, error=error)

    def _disagreement(
        self, kind: Literal["decided", "owed", "failed"], difference: Difference, **more: Any
    ) -> Disagreement:
        record = self.record
        return Disagreement(
            kind=kind, difference=difference, leader=record.leader, software=record.software, **more
        )

    # ---- what the leader owes

    def owed(self, upto: int, as_of: datetime) -> tuple[list[Disagreement], datetime | None]:
        """What this version would have decided ``as_of`` then from what stands up to ``upto``, and the log lacks.

        Also when there may be more to decide, even if nothing comes.
        """
        pending = self.record.pending
        if pending is not None and not self._compares(pending, self.sequence):
            return [], None
        basis = Basis(self.sequence, as_of, self.record.state.round + 1)
        try:
            events, state = self._unseen.due(lambda: self._ahead(upto).state, upto, as_of)
        except Exception as raised:  # as in take
            return [self._failed(basis, f"{type(raised).__name__}: {raised}")], None
        if not events:
            return [], next_due(state)
        before, lacking = self._ahead(upto).state, frozenset(key(event) for event in events)
        found = [
            Difference(
                sequence=self.sequence, basis=basis, then=None, now=event, grounds=grounds(before, event)
            )
            for event in events
        ]
        return [self._disagreement("owed", each, lacking=lacking) for each in found], next_due(state)

    def _ahead(self, upto: int) -> Record:
        """The record as if the newest round were complete and everything up to ``upto`` folded."""
        ahead = copied(self.record)
        ahead.close()
        ahead.fold_facts(upto)
        return ahead
