"""Whether a workflow's schedule says when, and gives the inputs it can."""

from __future__ import annotations

from typing import Final

import msgspec

from muster.model.definition.problems import Report
from muster.model.definition.schedule import Schedule
from muster.model.definition.workflow import Workflow
from muster.model.errors import MusterError
from muster.model.expressions.template import OPENING, templates
from muster.model.plan import inputs
from muster.model.schedules import calendar

_REMEDIES: Final = {
    "cron": 'Write five fields, such as cron: "30 6 * * MON-FRI", or every: 1h.',
    "every": "Write a time such as every: 10m, or cron.",
    "timezone": "Write a name of the time zone database, such as Europe/Berlin; it goes with cron.",
}


def check(workflow: Workflow, report: Report) -> None:
    """Report what is wrong with the schedule."""
    schedule = workflow.schedule
    if schedule is None:
        return
    for field, wrong in calendar.defects(schedule):
        path = ("schedule",) if getattr(schedule, field) is None else ("schedule", field)
        report.add(path, f"the schedule's {field}: {wrong}.".replace("?.", "?"), _REMEDIES[field])
    if workflow.concurrency is not None and schedule.overlap != "skip":
        message = f"the workflow's concurrency says what overlaps, and so does overlap: {schedule.overlap}."
        report.add(("schedule", "overlap"), message, "Leave one of them out.")
    _inputs(workflow, schedule, report)


def check_inner(workflow: Workflow, report: Report) -> None:
    """Report a schedule of a workflow that is run by others."""
    if workflow.schedule is not None:
        message = f"{workflow.name} is run by a step, and its schedule would never be looked at."
        report.add(("schedule",), message, "Remove it, or put it into the workflow around this one.")


def _inputs(workflow: Workflow, schedule: Schedule, report: Report) -> None:
    """What is missing may still be given where the schedule is set."""
    for name, value in schedule.inputs.items():
        path = ("schedule", "inputs", name)
        if any(OPENING in text for _, text in templates(value)):
            report.add(
                path, f"the input {name} of the schedule cannot be an expression.", "Write the value itself."
            )
            continue
        declared = {name: workflow.inputs[name]} if name in workflow.inputs else workflow.inputs
        try:
            inputs.accept(msgspec.structs.replace(workflow, inputs=declared), {name: value})
        except MusterError as error:
            report.add_error(path, error)
