"""How each attempt goes this time.

Theory of operation. An attempt goes as recorded under its number, wherever it runs now. Where the record does not say
how it would have gone (there never was such an attempt, or its machine was lost and now is not), something is assumed:
that it goes *again* as the last one of its step that came to an end, or that it *succeeds* after the median of what
its step took. A cut attempt that is on its own machine goes on at least as long as until it was cut, so that whatever
cut it, if it comes again, cuts it again. Each line is told only once somebody hears it and it counts.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from muster.model.definition.filetypes import MEDIA_TYPES
from muster.model.definition.workflow import Port
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef, Body
from muster.model.plan.artifacts import ALGORITHM, Artifact
from muster.model.proof.rehearsal.script import Course, Script

Assume = Literal["repeat", "succeed"]
AFTER_CUT_S: Final = (
    1.0  # a cut attempt does not end just when it was cut: what cut it may come a little later now
)
STOP_S: Final = 0.1  # how long an attempt takes to stop where no stop is recorded
LATEST: Final = 1 << 62  # behind everything recorded
_EMPTY: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # the hash of no content
_STAND_INS: Final[dict[str, Any]] = {
    "string": "", "integer": 0, "number": 0.0, "boolean": False, "array": [], "any": None,
}  # fmt: skip


class Line(msgspec.Struct, frozen=True):
    """What an agent will say of an attempt, when, and what has to be assumed for it.

    Of what happens at the same time, that comes first which has the lower ``sequence``, its place in the record.
    """

    at: datetime
    body: Body
    assumed: str = ""
    sequence: int = LATEST


class Performance:
    """The courses of all attempts under a script."""

    def __init__(self, script: Script, assume: Assume) -> None:
        self._script = script
        self._assume = assume
        self._by_step: dict[tuple[str, str], list[Course]] = defaultdict(list)
        self._alike: dict[tuple[str, str], list[Course]] = defaultdict(list)
        for ref, course in script.courses.items():
            if course.end is not None:
                self._by_step[ref.execution, ref.step].append(course)
                self._alike[self._kind(ref)].append(course)

    def stops_at(self, ref: AttemptRef, machine: str, asked_at: datetime) -> datetime:
        """When the attempt has stopped if asked to at ``asked_at``: as recorded, where it was being asked just then."""
        own = self._script.courses.get(ref)
        if own is None or own.asked_at is None:
            return _at(asked_at, STOP_S)
        stopped_at = _at(own.asked_at, own.stop_s)
        if own.machine == machine and own.asked_at <= asked_at <= stopped_at:
            return stopped_at
        return _at(asked_at, own.stop_s)

    def lines(self, ref: AttemptRef, machine: str, start: datetime) -> list[Line]:
        """All that will be said of the attempt, in order, if its order reaches ``machine`` at ``start``."""
        own = self._script.courses.get(ref)
        if own is None:
            why = f"step {ref.step}: an attempt that never was in the record"
            return self._assumed(ref, start, (), start, why)
        home = own.machine == machine
        begin = max(start, own.base_at) if home and own.base_at > own.scheduled_at else start
        elsewhere = "" if home else "attempts that run on another machine than recorded take as long there"
        places = own.sequences if home else (LATEST,) * len(own.sequences)
        said = [
            Line(_at(begin, offset), body, elsewhere, place)
            for (offset, body), place in zip(own.facts, places, strict=False)
        ]
        if own.end is not None:
            return [*said, Line(_at(begin, own.end_s), own.end, elsewhere, places[-1])]
        if home and own.accident is not None and own.accident_at is not None and begin <= own.accident_at:
            return [*said, Line(own.accident_at, own.accident, sequence=places[-1])]
        if home and own.ignored:
            return said
        why = f"step {ref.step}: an attempt of which the end is not recorded ({own.cut_by})"
        return self._assumed(ref, begin, tuple(said), self._floor(own, begin, home=home), why)

    def _floor(self, own: Course, begin: datetime, *, home: bool) -> datetime:
        """Until when it is known to go on: as long as it was heard of, and on its own machine until it was cut."""
        if home:
            return begin + (own.known_until - own.base_at) + timedelta(seconds=AFTER_CUT_S)
        return _at(begin, max((offset for offset, _ in own.facts), default=0.0))

    # ---- what is assumed

    def _assumed(
        self, ref: AttemptRef, begin: datetime, said: tuple[Line, ...], floor: datetime, why: str
    ) -> list[Line]:
        facts, end, end_s, how = self._like(ref)
        text = f"{why} {how}"
        kinds = {type(line.body) for line in said}
        lines = [*said]
        lines += [
            Line(max(_at(begin, offset), floor), body, text)
            for offset, body in facts
            if type(body) not in kinds
        ]
        return [*lines, Line(max(_at(begin, end_s), floor), end, text)]

    def _like(self, ref: AttemptRef) -> tuple[tuple[tuple[float, Body], ...], Body, float, str]:
        """Facts and end of the course that an attempt without one takes, and what that is in words."""
        own, alike = self._by_step.get((ref.execution, ref.step), []), self._alike.get(self._kind(ref), [])
        if self._assume == "repeat" and (own or alike):
            model = max(own, key=lambda course: course.ref.attempt) if own else alike[-1]
            assert model.end is not None
            whose = "" if own else f" of {model.ref.execution}"
            how = f"goes like attempt {model.ref.attempt}{whose} ({model.how})"
            return model.facts, model.end, model.end_s, how
        well = [course for course in alike if isinstance(course.end, c.AttemptFinished)]
        took_s = median([course.end_s for course in well or alike] or [0.0])
        outputs, of = self._outputs(ref, well)
        how = f"succeeds after {took_s:.3g} s, {_source(well, alike)}, with {of}"
        facts = ((0.0, c.AttemptAccepted()), (0.0, c.AttemptStarted()))
        return facts, c.AttemptFinished(outputs=outputs, exit_code=0), took_s, how

    def _outputs(self, ref: AttemptRef, well: list[Course]) -> tuple[dict[str, Any], str]:
        """The outputs of the last success, or values that stand in for them."""
        own = [course for course in well if course.ref.execution == ref.execution]
        for course in reversed(own or well):
            assert isinstance(course.end, c.AttemptFinished)
            return course.end.outputs, "the outputs of its last success"
        declared = self._script.step(ref).outputs
        if not declared:
            return {}, "no outputs"
        found = {name: _stand_in(output) for name, output in declared.items()}
        return found, "defaults or empty values as outputs, as none are recorded"

    def _kind(self, ref: AttemptRef) -> tuple[str, str]:
        """Steps of this name in executions of the same workflow are alike."""
        queued = self._script.known.get(ref.execution)
        return (queued.workflow.name if queued is not None else "", ref.step)


def _source(well: list[Course], alike: list[Course]) -> str:
    if well:
        return "the median of its successes"
    return "the median of its attempts" if alike else "as none of its attempts ended in the record"


def _stand_in(port: Port) -> Any:
    """An empty value that fits the port."""
    if port.default is not UNSET or not port.required:
        return None if port.default is UNSET else port.default
    if port.type == "object":
        return {name: _stand_in(inner) for name, inner in port.properties.items()}
    if port.type in MEDIA_TYPES:
        return Artifact(
            address=ALGORITHM + _EMPTY, size=0, media_type=MEDIA_TYPES[port.type], execution=""
        ).value()
    return _STAND_INS[port.type]


def _at(begin: datetime, seconds: float) -> datetime:
    return begin + timedelta(seconds=seconds)
