"""The moments of an execution that are shown to people, by the names people know (Hyko's)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from muster.model import catalogue
from muster.model.envelope import Event
from muster.model.names import SCHEDULER

_OUTCOMES = {
    "step.retrying": "Retrying",
    "step.skipped": "Skipped",
    "step.cancelled": "Cancelled",
    "attempt.superseded": "Attempt Superseded",
}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a step, and how long the thing that ended with it took."""

    time: datetime
    label: str
    kind: str
    step: str
    attempt: int | None = None
    machine: str | None = None
    detail: str = ""
    seconds: float | None = None


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
    )


def label(event: Event) -> str:
    """The name of what happened: ``Image Pulled (cached)``, ``Execution Started``; empty where there is none."""
    data = event.data
    if isinstance(data, catalogue.Unknown):
        return ""
    if isinstance(data, catalogue.ImagePulled) and data.cached:
        return f"{data.label} (cached)"
    return data.label or _OUTCOMES.get(event.kind, "")


def detail(event: Event) -> str:
    """What a person wants to know beside the name: the image, the error, why."""
    match event.data:
        case catalogue.ImagePulling(image=image) | catalogue.ImagePulled(image=image):
            return image
        case catalogue.ContainerStarting(image=image):
            return image
        case catalogue.FunctionLoading(function=function) | catalogue.FunctionLoaded(function=function):
            return function
        case catalogue.AttemptFailed(error=error) | catalogue.StepRetrying(error=error):
            return f"{error.name}: {error.message}"
        case catalogue.StepSkipped(reason=reason) | catalogue.StepCancelled(reason=reason):
            return reason
        case catalogue.AttemptStopped(reason=reason) | catalogue.AttemptSuperseded(reason=reason):
            return reason
    return ""


def _seconds(event: Event) -> float | None:
    match event.data:
        case catalogue.ImagePulled(seconds=seconds) | catalogue.FunctionLoaded(seconds=seconds):
            return seconds
        case catalogue.AttemptFinished(seconds=phases):
            return phases.get("run")
    return None
