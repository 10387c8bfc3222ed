"""The errors of an execution as lines for people: its own, and those of the other steps that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from muster.cli.overview import ordered
from muster.cli.words import value
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import ErrorInfo

FURTHER_MAX: Final = 5  # steps whose errors are told beside that of the execution
VALUE_MAX: Final = 500  # characters of what was given with a failure


def further(view: ExecutionView) -> list[StepView]:
    """The steps that failed by themselves, but for the one whose error is that of the execution.

    What a step only has from one inside of it is told of that one.
    """
    failed = {path: step for path, step in view.steps.items() if step.status == "failed" and step.error}
    passed_on = {
        above
        for path, step in failed.items()
        for above in _above(path)
        if above in failed and failed[above].error == step.error
    }
    own = ordered(step for path, step in failed.items() if path not in passed_on)
    first = next((step for step in own if step.error == view.error), None)
    return [step for step in own if step is not first]


def further_lines(view: ExecutionView, places: Mapping[str, str] | None = None) -> list[str]:
    """Their errors, of the first few of them, without what stands in their logs.

    ``places`` are the executions where they happened, by the steps, where these are others.
    """
    steps, found = further(view), list[str]()
    for step in steps[:FURTHER_MAX]:
        if step.error is None:
            continue
        first, *rest = error_lines(step.error, view.id, (places or {}).get(step.path), brief=True)
        found += [first if step.error.step == step.path else f"{step.path}: {first}"]
        found += [f"  {line}" for line in rest]
    if (more := len(steps) - FURTHER_MAX) > 0:
        found.append(f"… and {more} more {'step' if more == 1 else 'steps'} that failed; --json shows all")
    return found


def error_lines(
    error: ErrorInfo, execution: str, place: str | None = None, *, tail: bool = False, brief: bool = False
) -> list[str]:
    """The error by its name: what, where, what to do, and what caused it.

    ``execution`` is the one that is looked at, ``place`` that where it happened, if it is another.
    ``tail``: also what was printed last; ``brief``: without the traceback.
    """
    place = place or execution
    step = error.step if error.step is None or place == execution else f"{error.step} of {place}"
    places = (
        ("phase", error.phase),
        ("step", step),
        ("attempt", error.attempt),
        ("machine", error.machine),
    )
    where = ", ".join(f"{what} {name}" for what, name in places if name is not None)
    found = [
        f"{error.name} ({error.code}){': ' + where if where else ''}",
        *(error.message.splitlines() or [""]),
    ]
    if (given := error.details.get("value")) is not None:
        text = value(given)
        found.append(f"It gave {text if len(text) <= VALUE_MAX else text[:VALUE_MAX] + '…'}")
    if error.remedy:
        remedy = error.remedy.replace("EXECUTION", place).replace("STEP", error.step or "STEP")
        found.append(f"What to do: {remedy}")
    traceback = error.details.get("traceback")
    if isinstance(traceback, str) and not brief:
        found += traceback.rstrip().splitlines()
    last = error.details.get("tail")
    if tail and isinstance(last, list) and last:
        found += ["The last lines it printed:", *(f"  {line}" for line in last)]
    if error.cause is not None:
        first, *rest = error_lines(error.cause, execution, place, tail=tail, brief=brief)
        found += [f"Caused by {first}", *(f"  {line}" for line in rest)]
    return found


def _above(path: str) -> list[str]:
    """The paths of what the step stands in."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
