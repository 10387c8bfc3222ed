"""The moments of an execution that are shown to people, by the names people know (Hyko's)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from muster.model.log import catalogue
from muster.model.log.body import Body
from muster.model.log.decisions import Source
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER

CONTAINER: Final = 12
"""How much of a container's id people read: as much as engines show."""

_WAITS = {
    "input": "Waiting for Input",
    "timer": "Sleeping",
    "check_later": "Checked Later",
    "concurrency": "Waits for its Turn",
}
_OUTCOMES = {
    "step.resumed": "Input Given",
    "step.retrying": "Retrying",
    "step.skipped": "Skipped",
    "step.cancelled": "Cancelled",
    "attempt.superseded": "Attempt Superseded",
    "function.unloaded": "Function Unloaded",
}


_ENDS = (catalogue.AttemptFinished, catalogue.AttemptFailed, catalogue.AttemptStopped)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a step, and how long the thing that ended with it took.

    Of the end of an attempt ``phases`` has the seconds of each.
    """

    time: datetime
    label: str
    kind: str
    step: str
    attempt: int | None = None
    machine: str | None = None
    detail: str = ""
    seconds: float | None = None
    phases: dict[str, float] = {}


def moment(event: Event) -> Moment | None:
    """The moment of ``event``, or None where people have no name for it."""
    if event.step is None or not (text := label(event)):
        return None
    return Moment(
        time=event.time,
        label=text,
        kind=event.kind,
        step=event.step,
        attempt=event.attempt,
        machine=event.machine or (None if event.writer == SCHEDULER else event.writer),
        detail=detail(event),
        seconds=_seconds(event),
        phases=getattr(event.data, "seconds", {}) if isinstance(event.data, _ENDS) else {},
    )


def label(event: Event) -> str:
    """The name of what happened: ``Image Pulled (cached)``, ``Execution Started``; empty where there is none."""
    data = event.data
    if isinstance(data, catalogue.Unknown):
        return ""
    if isinstance(data, catalogue.ImagePulled) and data.cached:
        return f"{data.label} (cached)"
    if isinstance(data, catalogue.StepStarted):
        return _begun(data)
    if isinstance(data, catalogue.StepSucceeded | catalogue.StepSkipped) and data.source is not None:
        return "Cached" if data.reason == "cached" else "Taken Over"
    if isinstance(data, catalogue.StepWaiting):
        return _WAITS.get(data.reason, "Waiting")
    return data.label or _OUTCOMES.get(event.kind, "")


def _begun(data: catalogue.StepStarted) -> str:
    """How a control step began; a container says itself how it goes with it."""
    if data.members is not None:
        return "Loop Started"
    if data.branch is not None:
        return "Branch Chosen"
    return "Child Started" if data.child is not None else ""


def detail(event: Event) -> str:
    """What a person wants to know beside the name: the image, the error, why."""
    match event.data:
        case catalogue.ImagePulling(image=image) | catalogue.ImagePulled(image=image):
            return image
        case catalogue.ContainerStarting(image=image):
            return image
        case catalogue.AttemptFailed(error=error) | catalogue.StepRetrying(error=error):
            return f"{error.name}: {error.message}"
        case (
            catalogue.StepSucceeded(source=Source() as source)
            | catalogue.StepSkipped(source=Source() as source)
        ):
            return f"from {source.execution}"
        case catalogue.StepSkipped(reason=reason, message=message) if message:
            return f"{reason}: {message}"
        case catalogue.StepSkipped(reason=reason) | catalogue.StepCancelled(reason=reason):
            return reason
        case catalogue.StepStarted(members=members, branch=branch, child=child):
            return branch or child or ("" if members is None else f"{len(members)} items")
        case catalogue.StepWaiting() as data:
            return _wait(data, event.time)
        case catalogue.AttemptStopped(reason=reason) | catalogue.AttemptSuperseded(reason=reason):
            return reason
    return _call(event.data)


def _call(data: Body | catalogue.Unknown) -> str:
    """What concerns a function: which, and in which container."""
    match data:
        case catalogue.FunctionLoading(function=function) | catalogue.FunctionLoaded(function=function):
            return function
        case catalogue.FunctionUnloaded(function=function, reason=reason):
            return f"{function} ({reason})"
        case catalogue.AttemptStarted(container=container, warm=warm) if container:
            return f"in {container[:CONTAINER]}{', warm' if warm else ''}"
    return ""


def _wait(data: catalogue.StepWaiting, now: datetime) -> str:
    """What is asked or said, and how long at most it waits."""
    left = "" if data.due_at is None else f"for {_long(max((data.due_at - now).total_seconds(), 0))}"
    return ", ".join(part for part in (data.prompt or data.said, left) if part)


def _long(seconds: float) -> str:
    """A wait as it would be written in a workflow: ``24h``, ``90s``, ``0.5s``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.3g}s"


def _seconds(event: Event) -> float | None:
    match event.data:
        case catalogue.ImagePulled(seconds=seconds) | catalogue.FunctionLoaded(seconds=seconds):
            return seconds
        case catalogue.AttemptFinished(seconds=phases):
            return phases.get("run")
        case catalogue.AttemptFailed(seconds=phases, phase=phase):
            return phases.get(phase)
    return None
