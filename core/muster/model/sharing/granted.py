"""What an execution is granted beside its inputs: what the submit says goes before what the workflow says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, Final

import msgspec

from muster.model.definition.quantities import seconds
from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import Step, Workflow
from muster.model.errors import ForbiddenFunctionError, InvalidArgumentError
from muster.model.limits import PRIORITY_MAX, TAG_LENGTH_MAX
from muster.model.log.commands import Submit
from muster.model.log.decisions import ExecutionQueued

TAGS_MAX: Final = 64  # of an execution
KEY_LENGTH_MAX: Final = 200  # characters of an idempotency key
_NAMED_MAX: Final = 20  # steps that are named where their tags are not held


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """``timeout_s`` counts from the start of the execution; None where it may take as long as it takes."""

    labels: dict[str, str]
    metadata: dict[str, Any]
    tags: list[str]
    priority: int
    timeout_s: float | None


def granted(workflow: Workflow, submit: Submit) -> Granted:
    """What the execution is granted. Raises InvalidArgumentError where the submit asks for what cannot be."""
    priority = workflow.priority if submit.priority is None else submit.priority
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        raise InvalidArgumentError(f"the priority {priority} is not from -{PRIORITY_MAX} to {PRIORITY_MAX}.")
    return Granted(
        labels=workflow.labels | submit.labels,
        metadata=workflow.metadata | submit.metadata,
        tags=held(workflow, submit.tags),
        priority=priority,
        timeout_s=timeout_s(workflow.timeout if submit.timeout is None else submit.timeout),
    )


def of(queued: ExecutionQueued) -> Granted:
    """What an execution was granted."""
    return Granted(**{name: getattr(queued, name) for name in Granted.__struct_fields__})


def held(workflow: Workflow, tags: Iterable[str]) -> list[str]:
    """The tags an execution holds. Raises InvalidArgumentError where one is none, or there are too many."""
    found = sorted({*workflow.tags, *tags})
    if len(found) > TAGS_MAX:
        raise InvalidArgumentError(f"there are {len(found)} tags, more than {TAGS_MAX}.")
    for tag in found:
        if not 0 < len(tag) <= TAG_LENGTH_MAX:
            raise InvalidArgumentError(f"a tag has 1 to {TAG_LENGTH_MAX} characters, not {len(tag)}.")
    return found


def timeout_s(duration: str | float | None) -> float | None:
    """The seconds of a timeout. Raises InvalidArgumentError where it is none."""
    if duration is None:
        return None
    try:
        found = seconds(duration)
    except ValueError as error:
        raise InvalidArgumentError(f"the timeout: {error}.") from None
    if not found > 0:
        raise InvalidArgumentError("the timeout is 0, and nothing is done in no time.")
    return found


def keyed(workflow: str, key: str) -> str:
    """The id of the execution of a workflow under an idempotency key: the same for the same two, wherever it is made.

    Raises InvalidArgumentError where the key is empty or too long.
    """
    if not 0 < len(key) <= KEY_LENGTH_MAX:
        raise InvalidArgumentError(
            f"an idempotency key has 1 to {KEY_LENGTH_MAX} characters, not {len(key)}."
        )
    return blake2b(f"{workflow}\0{key}".encode(), digest_size=16).hexdigest()


# ---- what functions require


def required(step: Step, rules: Mapping[str, list[str]]) -> set[str]:
    """The tags that a step requires: its own, and by ``rules`` those of its function."""
    name = step.function or ""
    ruled = (tags for glob, tags in rules.items() if name and fnmatchcase(name, glob))
    return {*step.tags, *(tag for tags in ruled for tag in tags)}


def check_tags(workflow: Workflow, tags: Iterable[str], rules: Mapping[str, list[str]]) -> None:
    """Raise ForbiddenFunctionError where a step of it, or of a workflow it runs, requires a tag that is not held."""
    lacking = dict(_lacking(workflow, {*tags}, rules, ""))
    if not lacking:
        return
    named = [f"{step} requires {', '.join(tags)}" for step, tags in list(lacking.items())[:_NAMED_MAX]]
    more = f"; and {len(lacking) - _NAMED_MAX} more" if len(lacking) > _NAMED_MAX else ""
    missing = sorted({tag for tags in lacking.values() for tag in tags})
    raise ForbiddenFunctionError(
        f"the execution does not hold what its steps require: {'; '.join(named)}{more}.",
        remedy=f"Submit it with {' '.join(f'--tag {tag}' for tag in missing)}, if you may, or leave the steps out.",
        steps=dict(list(lacking.items())[:_NAMED_MAX]),
    )


def _lacking(
    workflow: Workflow, tags: set[str], rules: Mapping[str, list[str]], place: str
) -> Iterator[tuple[str, list[str]]]:
    for _, step in members(workflow):
        if missing := required(step, rules) - tags:
            yield f"{place}{step.id}", sorted(missing)
    for name, inner in workflow.workflows.items():
        yield from _lacking(inner, tags | {*inner.tags}, rules, f"{place}{name}/")
