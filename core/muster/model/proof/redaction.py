"""Redaction: a fixture that can be shared, because values in it have stand-ins, and that replays as the original did.

Theory of operation. Stand-ins are put into every event (``muster.model.proof.confidential``), which settles what
people, agents and programs wrote. What the scheduler decided is then decided again from those
(``muster.model.proof.replay``): the outputs of a workflow are computed by its expressions, a message may quote a
value or be cut to a length, and only this way all of it agrees. It is done only to decisions that come out the same
in the original, so that what is wrong there is seen in the redacted fixture as well.

An expression that computes with values (``inputs.n > 3``, ``size()``, a pattern) may come out otherwise with stand-ins.
Where that changes what is decided, and not only a value, a ``Remark`` says so: then the fixture does not replay to zero
differences, unless what the expression looks at is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from muster.model.definition.workflow import Workflow
from muster.model.errors import InvalidArgumentError
from muster.model.expressions.template import compile_template, references, templates
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, Recorded, decode, encode
from muster.model.plan.lowering import conditions, lower
from muster.model.plan.outline import find
from muster.model.plan.tree import templated
from muster.model.proof.confidential import Confidential
from muster.model.proof.disguise import names
from muster.model.proof.pseudonyms import Pseudonyms
from muster.model.proof.replay import Recomputed, Replay, gone, same
from muster.model.reuse.outcomes import digest


class Remark(msgspec.Struct, frozen=True):
    """With stand-ins something else is decided at ``sequence``. ``computed`` is what expressions compute with."""

    sequence: int
    execution: str
    step: str | None
    then: str
    now: str
    computed: tuple[str, ...]

    def __str__(self) -> str:
        what = self.step or "the execution"
        text = f"with stand-ins {what} comes out as {self.now} at {self.sequence}, where it was {self.then}"
        if not self.computed:
            return text + "."
        options = " ".join(f"--keep {name}" for name in self.computed)
        return f"{text}: its expressions compute with values. Keep those that may be told: {options}"


class Redacted(msgspec.Struct, frozen=True):
    """A fixture that can be shared, and what had to be said about it."""

    records: list[Recorded]
    remarks: list[Remark]


def redact(records: Sequence[Recorded], key: bytes, keep: Iterable[str] = ()) -> Redacted:
    """The fixture with stand-ins. Whoever has ``key`` can tell whether a guess at a value is right: nobody else can.

    ``keep`` names inputs and outputs that stay: ``inputs.NAME``, ``steps.STEP.outputs.NAME``. Raises
    InvalidArgumentError where no definition has one of that name.
    """
    kept = frozenset(keep)
    _check_kept(records, kept)
    stand_ins = Pseudonyms(key, _clear(records, kept))
    confidential = Confidential(stand_ins, kept, _lists(records))
    made = [Recorded(recorded.sequence, confidential.event(recorded.event)) for recorded in records]
    return _DecidedAgain(records, made).settled()


def _check_kept(records: Iterable[Recorded], kept: frozenset[str]) -> None:
    """One that is misspelt would be redacted, and that is not seen in the result."""
    known: dict[str, None] = {}
    for recorded in records:
        if isinstance(recorded.event.data, c.ExecutionQueued):
            workflow = recorded.event.data.workflow
            known |= dict.fromkeys(f"inputs.{name}" for name in workflow.inputs)
            for step in workflow.steps:
                known |= dict.fromkeys(f"steps.{step.id}.outputs.{name}" for name in step.outputs)
    if unknown := sorted(kept - set(known)):
        raise InvalidArgumentError(
            f"There is no {unknown[0]} to keep.",
            remedy=f"Name one of {', '.join(known)}."
            if known
            else "The workflow has neither inputs nor outputs.",
        )


def _lists(records: Iterable[Recorded]) -> dict[str, list[Any]]:
    """What loops went over, by digest."""
    started = (r.event.data for r in records if isinstance(r.event.data, c.StepStarted))
    return {digest(data.members): data.members for data in started if data.members is not None}


def _clear(records: Iterable[Recorded], kept: frozenset[str]) -> set[str]:
    """Names that stay wherever they are found, and the strings of what is kept."""
    found: set[str] = set()
    for recorded in records:
        event, data = recorded.event, recorded.event.data
        if isinstance(data, c.ExecutionQueued | c.ScheduleSet):
            found.update(names(msgspec.to_builtins(data.workflow)))
            found.update(_strings([part for name, part in data.inputs.items() if f"inputs.{name}" in kept]))
        elif isinstance(data, c.AttemptFinished):
            prefix = f"steps.{event.step}.outputs."
            found.update(_strings([part for name, part in data.outputs.items() if prefix + name in kept]))
    return found


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _strings(part)


class _DecidedAgain:
    """Replaces recorded decisions by those that follow from the redacted record."""

    def __init__(self, originals: Sequence[Recorded], made: list[Recorded]) -> None:
        self._made = made
        self._at = {recorded.sequence: place for place, recorded in enumerate(made)}
        self._workflows = {
            recorded.event.execution: recorded.event.data.workflow
            for recorded in originals
            if isinstance(recorded.event.data, c.ExecutionQueued)
        }
        self._remarks: dict[int, Remark] = {}
        self._sound: set[int] = set()
        self._odd: set[int] = set()
        self._each(originals, self._learn)

    def settled(self) -> Redacted:
        """The record with its decisions made again."""
        self._each(self._made, self._settle)
        return Redacted(self._made, list(self._remarks.values()))

    def _each(self, records: Sequence[Recorded], look: Any) -> None:
        """Replay; where ``look`` finds that the state is not what the record says, fold that and go on behind it."""
        folded_to: int | None = 0
        while folded_to is not None:
            folded_to = self._replay(records, folded_to, look)

    def _replay(self, records: Sequence[Recorded], folded_to: int, look: Any) -> int | None:
        fold = Replay(folded_to=folded_to, doubt=gone(records))
        for recorded in records:
            round_ = fold.take(recorded)
            if round_ is not None and not look(round_):
                return round_.last
        round_ = fold.close()
        if round_ is not None and not look(round_):
            return round_.last
        return None

    def _learn(self, round_: Recomputed) -> bool:
        """Note which decisions come out the same in the original."""
        for then, now in zip(round_.recorded, round_.decided, strict=False):
            if not same(then.event, now):
                break
            self._sound.add(then.sequence)
        if round_.differs_at is not None:
            self._odd.add(round_.last)
        return round_.whole

    def _settle(self, round_: Recomputed) -> bool:
        for then, now in zip_longest(round_.recorded, round_.decided):
            if then is None:
                if not round_.cut and round_.last not in self._odd:
                    self._remark(round_.last, None, now)
                return False
            if then.sequence not in self._sound:
                return round_.whole
            if now is None or _course(then.event) != _course(now):
                self._remark(then.sequence, then.event, now)
                return False
            self._made[self._at[then.sequence]] = Recorded(then.sequence, decode(encode(now)))
        return True

    def _remark(self, sequence: int, then: Event | None, now: Event | None) -> None:
        event = then or now
        assert event is not None
        workflow = self._workflows.get(event.execution)
        self._remarks[sequence] = Remark(
            sequence=sequence,
            execution=event.execution,
            step=event.step,
            then=_said(then),
            now=_said(now),
            computed=tuple(_computed(workflow, event.step)) if workflow is not None else (),
        )


def _course(event: Event) -> tuple[Any, ...]:
    """What of a decision says what else happens: not the values in it."""
    data = event.data
    if not isinstance(data, c.StepStarted):
        return event.id, event.kind
    return event.id, event.kind, data.branch, data.child, len(data.members or ())


def _said(event: Event | None) -> str:
    if event is None:
        return "nothing"
    branch = event.data.branch if isinstance(event.data, c.StepStarted) else None
    return event.kind if branch is None else f"{event.kind} ({branch or 'no branch'})"


def _computed(workflow: Workflow, step: str | None) -> dict[str, None]:
    """What the expressions of a step (of the outputs, where None) look at that do more than pass a value on."""
    plan = find(lower(workflow), step) if step else None
    fields = (
        [workflow.outputs] if step is None else [templated(plan.step), *conditions(plan.step)] if plan else []
    )
    found: dict[str, None] = {}
    for _, text in templates(fields):
        template = compile_template(text)
        if not all(expression.plain for expression in template.expressions):
            for reference in references(template):
                length = {"inputs": 1, "steps": 3}.get(reference.root, 0)
                if length and len(reference.path) >= length:
                    found[".".join([reference.root, *map(str, reference.path[:length])])] = None
    return found
