"""Giving a step the input it waits for: found by its path or its token, given once."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from muster.broker.interface import Broker
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import ExecutionNotFoundError, InvalidArgumentError
from muster.model.log import catalogue, subjects
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an input. ``changed`` is False where the step had its input, or its outcome, before."""

    execution: str
    step: str
    changed: bool
    status: str


async def holder(broker: Broker, token: str) -> str:
    """The execution that a step of waited under this token, by the log.

    Raises InvalidArgumentError where there is none.
    """
    found = await _asked(broker, token) if token else None
    if found is None:
        raise InvalidArgumentError(
            "No step waits for input under this token.",
            remedy="Check the token; what was erased has none any more. muster list --status awaiting_input shows "
            "what waits.",
        )
    return found.execution


async def _asked(broker: Broker, token: str) -> Event | None:
    """Every wait there was is looked at, which is what a token costs that comes without its execution."""
    waits = [subjects.events(writer=SCHEDULER, noun="step", verb="waiting")]
    async with aclosing(broker.history.read(subjects=waits)) as batches:
        async for batch in batches:
            for recorded in batch:
                data = recorded.event.data
                if isinstance(data, catalogue.StepWaiting) and data.token == token:
                    return recorded.event
    return None


def addressed(view: ExecutionView, step: str | None, token: str | None) -> StepView:
    """The step that is meant: the one named, the one of the token, or the only one that asks.

    Raises InvalidArgumentError where there is none, or more than one, and says which steps ask.
    """
    if not view.known:
        raise ExecutionNotFoundError(execution=view.id)
    asked = [
        each
        for each in view.steps.values()
        if each.token and step in (None, each.path) and token in (None, each.token)
    ]
    asking = [each for each in asked if each.asks and not view.finished]
    if len(asking) == 1:
        return asking[0]
    if asked and not asking and (len(asked) == 1 or view.finished):
        return asked[-1]
    waiting = ", ".join(each.path for each in view.asking)
    if asking:
        raise InvalidArgumentError(
            f"More than one step of {view.id} waits for input: {waiting}.",
            remedy="Name the step (--step), or give its token (--token).",
        )
    raise InvalidArgumentError(
        f"{_nobody(view, step, token)} It waits for input in: {waiting or 'no step'}.",
        remedy=f"See what it does: muster show {view.id}",
    )


def _nobody(view: ExecutionView, step: str | None, token: str | None) -> str:
    if token is not None:
        return f"No step of {view.id}{'' if step is None else f' that is called {step}'} has this token."
    if step is not None and step not in view.steps:
        return (
            f"The execution {view.id} has no step {step} yet."
            if not view.finished
            else f"{view.id} has no {step}."
        )
    return f"{'No step' if step is None else f'The step {step}'} of {view.id} waits for input."
