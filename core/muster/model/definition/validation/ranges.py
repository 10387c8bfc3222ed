"""Whether names, durations, sizes and numbers are ones that make sense."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET

from muster.model.definition.problems import Path, Report
from muster.model.definition.quantities import seconds, size_bytes
from muster.model.definition.validation import declarations, functions, kinds
from muster.model.definition.validation.declarations import PLAIN, value_name
from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import (
    Cache,
    Concurrency,
    MachineSelector,
    Resources,
    Retry,
    Step,
    Timeouts,
    Workflow,
)
from muster.model.errors import ExpressionError, InvalidArgumentError, NameInvalidError
from muster.model.expressions.template import OPENING
from muster.model.limits import (
    ARGUMENT_BYTES_MAX,
    ATTEMPTS_MAX,
    EXPRESSION_BYTES_MAX,
    PRIORITY_MAX,
    SECONDS_MAX,
    TAG_LENGTH_MAX,
)
from muster.model.log.names import check_machine, check_name
from muster.model.log.transitions import PHASES
from muster.model.plan.answers import schema_defect
from muster.model.plan.lowering import spliced
from muster.model.plan.order import split
from muster.model.plan.tree import speaks_of_machine
from muster.model.values import shown

_MEMORY_MIN: Final = (
    6 * 2**20
)  # what Docker takes at least; a smaller number was surely meant in another unit
_RESOURCES: Final = Resources()
_RETRY: Final = Retry()
_TIMEOUTS: Final = Timeouts()


def check(workflow: Workflow, report: Report) -> None:
    """Report what is out of range anywhere in the workflow."""
    _name("workflow", workflow.name, ("name",), report)
    declarations.check("input", workflow.inputs, ("inputs",), report)
    for name in workflow.outputs:
        value_name("output", name, ("outputs", name), report)
    if not workflow.steps:
        report.add(("steps",), "the workflow has no steps.", "Add at least one step with an id and an image.")
    _priority(workflow.priority, ("priority",), report)
    _tags(workflow.tags, ("tags",), report)
    if workflow.timeout is not None:
        check_seconds(workflow.timeout, ("timeout",), report, zero=False)
    if workflow.concurrency is not None:
        _concurrency(workflow.concurrency, ("concurrency",), report)
    for path, step in members(workflow):
        check_step(step, path, report)


def check_step(step: Step, path: Path, report: Report) -> None:
    """Report what is out of range in one step."""
    if step.id:
        _name("step id", step.id, (*path, "id"), report)
    elif not spliced(step):
        report.add((*path, "id"), f"step {int(path[-1]) + 1} has no id.", "Add id: a-name.")
    kinds.check(step, path, report)
    functions.check(step, path, report)
    for at, case in enumerate(step.switch or ()):
        if case.name is not None:
            _name("branch", case.name, (*path, "switch", at, "name"), report)
    for name in step.set or ():
        value_name("variable", name, (*path, "set", name), report)
    if step.image is not None:
        _container(step, step.image, path, report)
    _waits(step, path, report)
    declarations.check("input", step.accepts, (*path, "accepts"), report)
    declarations.check("output", step.outputs, (*path, "outputs"), report)
    _priority(step.priority, (*path, "priority"), report)
    _tags(step.tags, (*path, "tags"), report)
    _claiming(step, (*path, "concurrency"), report)
    _machine(step, (*path, "machine"), report)
    if step.cache is not None:
        _cache(step, step.cache, (*path, "cache"), report)
    # What was not written has its default, which is right: most steps of a large workflow say none of these.
    if step.resources != _RESOURCES:
        _resources(step, (*path, "resources"), report)
    if step.retry != _RETRY:
        _retry(step.retry, (*path, "retry"), report)
    if step.timeouts != _TIMEOUTS:
        for phase in PHASES:
            check_seconds(getattr(step.timeouts, phase), (*path, "timeouts", phase), report, zero=False)
    check_seconds(step.stop_grace_period, (*path, "stop_grace_period"), report, zero=True)


def _waits(step: Step, path: Path, report: Report) -> None:
    if step.sleep is not None:
        check_seconds(step.sleep, (*path, "sleep"), report, zero=True)
    asked = step.wait_for_input
    if asked is not None and asked.timeout is not None:
        check_seconds(asked.timeout, (*path, "wait_for_input", "timeout"), report, zero=False)
    if asked is not None and (wrong := schema_defect(asked.schema)):
        place = (*path, "wait_for_input", "schema")
        report.add(place, f"the schema cannot be used: {wrong}.", "Write a JSON Schema of draft 2020-12.")
    for name in ("for_each", "map"):
        if (loop := getattr(step, name)) is not None:
            at_least(1, loop.max_parallel, (*path, name, "max_parallel"), report)


def _priority(priority: int, path: Path, report: Report) -> None:
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        message = f"priority is {priority}, and goes from -{PRIORITY_MAX} to {PRIORITY_MAX}."
        report.add(path, message, "The higher, the earlier; write 0 or leave it out for what is usual.")


def _tags(tags: list[str], path: Path, report: Report) -> None:
    for at, tag in enumerate(tags):
        if not 0 < len(tag) <= TAG_LENGTH_MAX or OPENING in tag:
            message = f"{shown(tag)} cannot be a tag."
            report.add((*path, at), message, f"Write 1 to {TAG_LENGTH_MAX} characters, without expressions.")


def _cache(step: Step, cache: Cache, path: Path, report: Report) -> None:
    if cache.max_age is not None:
        check_seconds(cache.max_age, (*path, "max_age"), report, zero=False)
    try:
        anywhere = cache.key is not UNSET or not speaks_of_machine(step)
    except ExpressionError:  # which is reported where it stands
        return
    if not anywhere:
        message = (
            "the step speaks of the machine it runs on, which is not known when the cache is looked into."
        )
        report.add(path, message, "Say what makes a result the same: cache: {key: ...}.")


def _concurrency(written: Concurrency, path: Path, report: Report) -> None:
    at_least(1, written.limit, (*path, "limit"), report)
    if written.key is not None and not 0 < len(written.key.strip()) <= EXPRESSION_BYTES_MAX:
        remedy = "Write a name, or remove the line: then the name of the workflow is the key."
        report.add((*path, "key"), "the key is empty, or too long.", remedy)


def _claiming(step: Step, path: Path, report: Report) -> None:
    """What a step that claims a key has to be: something that runs, and can be stopped where another replaces it."""
    if (written := step.concurrency) is None:
        return
    _concurrency(written, path, report)
    if spliced(step):
        message = "the steps of a chain or group stand beside those around it: there is nothing that could hold a key."
        report.add(path, message, "Add if: true to it, which makes it a block of its own.")
    stoppable = step.image is not None or step.wait_for_input is not None or step.sleep is not None
    if written.on_conflict == "cancel_running" and not stoppable and step.sleep_until is None:
        message = "only a step that runs a container, or waits, can be ended for another."
        remedy = "Write queue or reject here; a workflow that is run may say cancel_running itself."
        report.add((*path, "on_conflict"), message, remedy)


# ---- names


def _name(what: str, name: str, path: Path, report: Report) -> None:
    _guarded(lambda: check_name(what, name), path, report)


def _guarded(call: Callable[[], object], path: Path, report: Report) -> None:
    try:
        call()
    except NameInvalidError as error:
        message = f"{error.message[:1].lower()}{error.message[1:].rstrip('.')}."
        report.add(path, message, error.advice, NameInvalidError)


def _machine(step: Step, path: Path, report: Report) -> None:
    selector = (
        step.machine if isinstance(step.machine, MachineSelector) else MachineSelector(name=step.machine)
    )
    name = selector.name
    place = (*path, "name") if isinstance(step.machine, MachineSelector) else path
    if name is not None and OPENING in name:
        report.add(place, "a machine's name cannot be an expression.", PLAIN)
    elif name is not None:
        _guarded(lambda: check_machine(name), place, report)
    for key, value in selector.labels.items():
        if OPENING in value:
            report.add((*path, "labels", key), "a label cannot be an expression.", PLAIN)


# ---- the container


def _container(step: Step, image: str, path: Path, report: Report) -> None:
    if not image.strip():
        report.add((*path, "image"), "image is empty.", "Write an image such as busybox:1.")
    elif OPENING not in image and re.search(r"\s", image):
        report.add((*path, "image"), f"the image {shown(image)} contains a space.", "Remove it.")
    if step.command == "":
        report.add((*path, "command"), "command is empty.", "Write a command, or remove the line.")
    if step.entrypoint in ("", []):
        report.add((*path, "entrypoint"), "entrypoint is empty.", "Write a program, or remove the line.")
    elif isinstance(step.entrypoint, str):
        try:
            split(step.entrypoint)
        except ValueError:
            report.add((*path, "entrypoint"), "a quotation mark of entrypoint is never closed.", "Close it.")
    if step.working_dir is not None and not step.working_dir.startswith(("/", OPENING)):
        message = f"working_dir {shown(step.working_dir)} is not absolute."
        report.add((*path, "working_dir"), message, "Begin it with /.")
    for name in step.environment:
        if not name or "=" in name or "\0" in name:
            message = f"{shown(name)} cannot name an environment variable."
            report.add((*path, "environment", name), message, "Use letters, digits and _.")
    _arguments(step, path, report)


def _arguments(step: Step, path: Path, report: Report) -> None:
    parts: dict[Path, Any] = {("environment", name): value for name, value in step.environment.items()}
    for field in ("command", "entrypoint"):
        value = getattr(step, field)
        parts |= (
            {(field, at): part for at, part in enumerate(value)}
            if isinstance(value, list)
            else {(field,): value}
        )
    for place, value in parts.items():
        if isinstance(value, str) and len(value.encode(errors="replace")) >= ARGUMENT_BYTES_MAX:
            message = f"{place[-1]} is longer than the {ARGUMENT_BYTES_MAX} bytes Linux takes."
            remedy = "Pass it under inputs instead: the container reads them from the file $MUSTER_INPUT."
            report.add((*path, *place), message, remedy, InvalidArgumentError)


# ---- numbers


def _resources(step: Step, path: Path, report: Report) -> None:
    asked = step.resources
    at_least(0, asked.cpus, (*path, "cpus"), report)
    at_least(0, asked.gpus, (*path, "gpus"), report)
    at_least(1, asked.slots, (*path, "slots"), report)
    try:
        memory = size_bytes(asked.memory)
    except ValueError as error:
        report.add((*path, "memory"), _sentence("memory", error), "Write it like 64Mi, 512M or 1Gi.")
        return
    if 0 < memory < _MEMORY_MIN:
        message = f"memory is {memory} bytes, and no container starts with less than 6Mi."
        report.add((*path, "memory"), message, "Write the unit: 512Mi, 4Gi.")


def _retry(retry: Retry, path: Path, report: Report) -> None:
    counts: Mapping[Path, int] = {
        ("max_attempts",): retry.max_attempts,
        **{("phases", phase): count for phase, count in retry.phases.items()},
    }
    for place, count in counts.items():
        if at_least(1, count, (*path, *place), report) and count > ATTEMPTS_MAX:
            message = f"{place[-1]} is {count}, more than {ATTEMPTS_MAX}."
            report.add((*path, *place), message, "Use fewer attempts and a longer backoff.")
    backoff = retry.backoff
    at_least(1, backoff.factor, (*path, "backoff", "factor"), report)
    initial = check_seconds(backoff.initial, (*path, "backoff", "initial"), report, zero=True)
    longest = check_seconds(backoff.max, (*path, "backoff", "max"), report, zero=True)
    if initial is not None and longest is not None and initial > longest:
        message = f"the first backoff ({backoff.initial}) is longer than the longest ({backoff.max})."
        report.add((*path, "backoff"), message, "Raise max, or lower initial.")


def at_least(least: int, value: float, path: Path, report: Report) -> bool:
    """Whether it is; reported where not."""
    if math.isfinite(value) and value >= least:
        return True
    report.add(path, f"{path[-1]} is {value}, less than {least}.", f"Write {least} or more.")
    return False


def check_seconds(duration: str | float, path: Path, report: Report, *, zero: bool) -> float | None:
    """The seconds of a duration; reported, and None, where it is none. ``zero``: whether none at all will do."""
    try:
        found = seconds(duration)
    except ValueError as error:
        report.add(path, _sentence(str(path[-1]), error), "Write it like 500ms, 10s, 5m or 1h.")
        return None
    if found > SECONDS_MAX or not math.isfinite(found):
        report.add(path, f"{path[-1]} is longer than a year.", "Write a shorter time, with its unit.")
        return None
    if not zero and found == 0:
        report.add(path, f"{path[-1]} is 0, and nothing is done in no time.", "Write a time such as 30s.")
        return None
    return found


def _sentence(field: str, error: ValueError) -> str:
    """What quantities say, without the forms, which are the remedy."""
    return f"{field}: {str(error).split('; ')[0]}."
