"""All rules, tried one after the other, and what came of each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

import msgspec

from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import MusterError
from muster_agents.conformance.rules import CALLING, FIRST, SECOND, Rule, Trial, title
from muster_agents.conformance.subject import BrokenError, Show, Subject, UntriedError
from muster_agents.runtimes.interface import ServesFunctions

Outcome = Literal["kept", "broken", "not tried"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Of one rule; ``why`` says how it was broken, or why it was not tried."""

    rule: int
    title: str
    outcome: Outcome
    why: str = ""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried. ``limit_s`` bounds each answer."""

    spec: ContainerSpec
    inputs: Mapping[str, Any]
    message_bytes: int
    limit_s: float


async def examine(runtime: ServesFunctions, what: Examination, show: Show) -> AsyncGenerator[Verdict]:
    """Each verdict as it is known. Raises what keeps the container from starting."""
    async with Subject(runtime, what.spec, what.message_bytes, what.limit_s, show) as subject:
        trial = Trial(subject, what.inputs)
        lost, uncalled = "", set[int]()
        for number, rule in FIRST.items():
            why = lost or ("calls are not answered as they should be" if number in uncalled else "")
            verdict = _untried(number, why) if why else await _tried(number, rule, trial)
            if verdict.outcome == "broken" and (number == 1 or subject.exit is not None):
                lost = "it is not loaded" if number == 1 else f"its process ended at rule {number}"
            if number == 7 and verdict.outcome == "broken":
                uncalled = set(CALLING)
            yield verdict
    async with Subject(runtime, what.spec, what.message_bytes, what.limit_s, show) as subject:
        trial = Trial(subject, what.inputs)
        for number, rule in SECOND.items():
            yield await _tried(number, rule, trial)


async def _tried(number: int, rule: Rule, trial: Trial) -> Verdict:
    try:
        await rule(trial)
    except UntriedError as error:
        return _untried(number, str(error))
    except BrokenError as error:
        return Verdict(rule=number, title=title(number), outcome="broken", why=str(error))
    except MusterError as error:
        return Verdict(rule=number, title=title(number), outcome="broken", why=error.message)
    return Verdict(rule=number, title=title(number), outcome="kept")


def _untried(number: int, why: str) -> Verdict:
    return Verdict(rule=number, title=title(number), outcome="not tried", why=why)
