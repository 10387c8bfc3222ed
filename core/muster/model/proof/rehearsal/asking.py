"""What people answered: each answer comes as long after its question as it did then.

What else people ask for comes at its recorded time. An answer rests on its question: given at that time it could come
before it is asked for, and be lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.envelope import Event
from muster.model.proof.rehearsal.assumptions import Assumptions

_NEVER: Final = "the input for step {}, which nobody is asked for in the record, is never given"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody gave a step that waited for input, so many seconds after it asked."""

    after_s: float
    event: Event
    sequence: int


class Asking(msgspec.Struct, frozen=True):
    """The questions of a record: when each was asked, by execution and step, and how it was answered."""

    asked: dict[tuple[str, str], datetime] = {}
    answers: dict[tuple[str, str], Answer] = {}

    def heard(self, event: Event, sequence: int) -> None:
        """Learn from the next event of the record."""
        place, data = (event.execution, event.step or ""), event.data
        if isinstance(data, c.StepWaiting) and data.reason == "input":
            self.asked[place] = event.time
        elif isinstance(data, c.StepResumed) and place in self.asked:
            after_s = (event.time - self.asked[place]).total_seconds()
            self.answers[place] = Answer(after_s=after_s, event=event, sequence=sequence)

    def answer(self, event: Event, execution: str, assumed: Assumptions) -> tuple[datetime, Answer] | None:
        """When the question that was just asked is answered, and how; None where it never is.

        ``execution`` is what the asking one is called in the record.
        """
        if not isinstance(event.data, c.StepWaiting) or event.data.reason != "input":
            return None
        place = (execution, event.step or "")
        if place not in self.asked:
            assumed.note(_NEVER.format(place[1]), AttemptRef(*place, 1))
        found = self.answers.get(place)
        return (event.time + timedelta(seconds=found.after_s), found) if found is not None else None


def give(state: State, execution: str, answer: Answer, round_: Round) -> None:
    """Record the answer, if it is still waited for."""
    event, found = answer.event, state.executions.get(execution)
    step = found.steps.get(event.step or "") if found is not None else None
    if step is not None and step.asks:
        round_.write(event.data, event.cause or "", execution=execution, step=event.step)  # type: ignore[arg-type]
