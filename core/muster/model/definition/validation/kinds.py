"""Whether a step does exactly one thing, and has only the keys that go with it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, UNSET

from muster.model.definition.problems import Path, Report
from muster.model.definition.workflow import Case, Step
from muster.model.expressions.template import OPENING
from muster.model.plan.lowering import case_name

ACTIONS: Final = (
    *("image", "switch", "for_each", "map", "chain", "group", "parallel"),
    *("wait_for_input", "sleep", "sleep_until", "workflow", "set", "get", "return", "error", "log"),
)
"""What a step can do, beside ``then`` and ``else`` with ``if``."""
CONTAINER: Final = (
    *(
        "function",
        "params",
        "isolation",
        "command",
        "entrypoint",
        "environment",
        "working_dir",
        "user",
        "network_mode",
        "read_only",
        "pull_policy",
    ),
    *(
        "stop_grace_period",
        "accepts",
        "outputs",
        "gives_result",
        "retry",
        "timeouts",
        "machine",
        "resources",
        "cache",
    ),
)
CALL: Final = frozenset(("inputs", "cache"))
"""What a ``workflow`` step has as well."""
_FIELDS: Final = {field.encode_name: field for field in msgspec.structs.fields(Step)}


def value(step: Step, key: str) -> Any:
    """What was written under the key, or its default."""
    return getattr(step, _FIELDS[key].name)


def written(step: Step, key: str) -> bool:
    """Whether the key was given, and not as its default."""
    field = _FIELDS[key]
    default: Any = field.default
    if default is NODEFAULT and callable(field.default_factory):
        default = field.default_factory()
    found = value(step, key)
    return found is not UNSET and found != default


def actions(step: Step) -> list[str]:
    """What the step does."""
    found = [key for key in ACTIONS if written(step, key)]
    branches = [key for key in ("then", "else") if written(step, key)]
    return [*branches[:1], *found]


def check(step: Step, path: Path, report: Report) -> None:
    """Report a step that does nothing, or more than one thing, or has keys of another kind."""
    found = actions(step)
    named = f"the step {step.id}" if step.id else "the step"
    if not found and any(report.known((*path, key)) for key in (*ACTIONS, "then", "else")):
        return  # what it was to do is wrong, and was reported
    if not found:
        report.add((*path, "image"), f"{named} has no image.", "Add image: busybox:1.")
    elif len(found) > 1:
        message = f"{named} has {' and '.join(found)}, and a step does one thing."
        report.add((*path, found[1]), message, "Make two steps of it.")
    elif found[0] != "image":
        _check_keys(step, found[0], path, report)
        if found[0] in ("then", "else") and step.if_ is None:
            report.add((*path, found[0]), f"{named} has {found[0]} and no if.", "Add the condition: if: ...")


def _check_keys(step: Step, action: str, path: Path, report: Report) -> None:
    for key in (*CONTAINER, "inputs"):
        if written(step, key) and not (action == "workflow" and key in CALL):
            message = f"{key} belongs to a container, and this step has {action}."
            report.add((*path, key), message, "Remove it, or give it to a step with an image.")
    loop = step.for_each or step.map
    if loop is not None and not loop.steps:
        report.add((*path, action, "steps"), f"{action} has no steps.", "Add at least one.")
    if step.map is not None and step.map.reduce is not None and OPENING not in step.map.reduce:
        message = "reduce is plain text, and gives the same for every result."
        report.add((*path, "map", "reduce"), message, f"Write ${{{{ {step.map.reduce} }}}}.")
    if step.set is not None and not step.set:
        report.add((*path, "set"), "set sets nothing.", "Write NAME: VALUE under it.")
    if step.switch is not None:
        _check_switch(step.switch, (*path, "switch"), report)


def _check_switch(cases: list[Case], path: Path, report: Report) -> None:
    if not cases:
        report.add(path, "the switch has no cases.", "Add at least one: - {case: ..., then: [...]}.")
    names: set[str] = set()
    for at, case in enumerate(cases):
        if case.case is UNSET and at < len(cases) - 1:
            message = "a branch without case is always taken, and others stand behind it."
            report.add((*path, at), message, "Put it last.")
        name = case_name(case, at + 1)
        if name in names:
            place = (*path, at, "name") if case.name else (*path, at)
            report.add(
                place, f"two branches of the switch have the name {name}.", "Give each a name of its own."
            )
        names.add(name)
