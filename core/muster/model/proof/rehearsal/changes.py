"""What is to be otherwise: the file of ``muster replay --policy``.

It holds up to three parts. ``policy`` sets limits of the scheduler by their names in ``muster.model.policy``; ``steps``
sets ``retry``, ``resources`` and ``machine`` of steps as a workflow file does, by id or pattern (of those in blocks by
their paths without the numbers of items: ``each/convert``); ``machines`` sets what machines have, by name or pattern,
takes some away (``absent``) and adds others (``like``). What is not written stays as it was recorded. Of several
patterns that fit, each counts, the last one last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NoReturn

import msgspec

from muster.model.definition.document import Document, parse
from muster.model.definition.problems import Path, Problem, Report
from muster.model.definition.quantities import seconds, size_bytes
from muster.model.definition.validation import ranges, shape
from muster.model.definition.workflow import Duration, MachineSelector, Resources, Retry, Size, Step, Workflow
from muster.model.errors import InvalidArgumentError, NameInvalidError, WorkflowInvalidError
from muster.model.limits import ATTEMPTS_MAX
from muster.model.log.facts import MachineFacts
from muster.model.log.names import check_machine, meant
from muster.model.plan.lowering import FINISH, RESCUE, STRUCTURAL, case_name, spliced
from muster.model.policy import Policy

_EMPTY: Final = "Write at least one of policy, steps and machines."
_AMOUNTS: Final = {"slots": 1, "cpus": 0}  # and the least that makes sense


class StepChange(msgspec.Struct, frozen=True, kw_only=True):
    """What may be otherwise with a step: fields as in a workflow file."""

    retry: Retry = Retry()
    resources: Resources = Resources()
    machine: str | MachineSelector | None = None


class MachineChange(msgspec.Struct, frozen=True, kw_only=True):
    """What may be otherwise with a machine.

    ``absent``: it never connects. ``like``: it is one more, connected whenever that machine is first, and never gone.
    ``labels`` are set one by one; null takes one away. ``interval`` is the time between its beats.
    """

    absent: bool = False
    like: str | None = None
    slots: int = 1
    cpus: float = 0.0
    memory: Size = 0
    labels: dict[str, str | None] = {}
    interval: Duration = "3s"


class _File(msgspec.Struct, frozen=True, kw_only=True):
    policy: dict[str, Any] = {}
    steps: dict[str, StepChange] = {}
    machines: dict[str, MachineChange] = {}


_Limits: Final = msgspec.defstruct(
    "_Limits",
    [(name, Duration if name.endswith("_s") else int, 0) for name in Policy.__struct_fields__],
)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """A valid file; each part holds only what was written."""

    policy: dict[str, Any] = {}
    steps: dict[str, dict[str, Any]] = {}
    machines: dict[str, dict[str, Any]] = {}
    document: Document | None = None

    def limits(self, recorded: Policy) -> Policy:
        """The scheduler's limits."""
        found = {
            name: seconds(value) if name.endswith("_s") else value for name, value in self.policy.items()
        }
        return msgspec.structs.replace(recorded, **found)

    def workflow(self, recorded: Workflow) -> Workflow:
        """The definition."""
        return msgspec.structs.replace(
            recorded,
            steps=self._block(recorded.steps, ""),
            on_finish=self._block(recorded.on_finish, f"{FINISH}/"),
            workflows={name: self.workflow(inner) for name, inner in recorded.workflows.items()},
        )

    def _block(self, steps: Iterable[Step], prefix: str) -> list[Step]:
        return [self._step(step, prefix) for step in steps]

    def _step(self, recorded: Step, prefix: str) -> Step:
        """The step, and all in it, by their paths in the definition."""
        path = f"{prefix}{recorded.id}"
        inside = prefix if spliced(recorded) else f"{path}/then/"
        found: dict[str, Any] = {
            kind: self._block(part, inside) for kind in STRUCTURAL if (part := getattr(recorded, kind))
        }
        for field, name in (("then", "then"), ("else_", "else"), ("on_failure", RESCUE)):
            if part := getattr(recorded, field):
                found[field] = self._block(part, f"{path}/{name}/")
        for field in ("for_each", "map"):
            if (loop := getattr(recorded, field)) is not None:
                found[field] = msgspec.structs.replace(loop, steps=self._block(loop.steps, f"{path}/"))
        if recorded.switch is not None:
            found["switch"] = [
                msgspec.structs.replace(case, then=self._block(case.then, f"{path}/{case_name(case, at)}/"))
                for at, case in enumerate(recorded.switch, 1)
            ]
        return self._changed(msgspec.structs.replace(recorded, **found), path)

    def _changed(self, recorded: Step, path: str) -> Step:
        changes = _fitting(self.steps, path) if recorded.image is not None else []
        if not changes:
            return recorded
        plain = msgspec.to_builtins(recorded)
        for change in changes:
            plain = _merged(plain, change)
        return msgspec.convert(plain, Step)

    def absent(self, machine: str) -> bool:
        """Whether the machine is not there at all."""
        return bool(self._machine(machine).get("absent", False))

    def facts(self, machine: str, recorded: MachineFacts) -> MachineFacts:
        """What the machine has."""
        change = self._machine(machine)
        found: dict[str, Any] = {name: change[name] for name in ("slots", "cpus") if name in change}
        if "memory" in change:
            found["memory"] = size_bytes(change["memory"])
        labels = {**recorded.labels, **change.get("labels", {})}
        found["labels"] = {key: value for key, value in labels.items() if value is not None}
        return msgspec.structs.replace(recorded, **found)

    def interval_s(self, machine: str, recorded: float) -> float:
        """How often the machine beats."""
        change = self._machine(machine)
        return seconds(change["interval"]) if "interval" in change else recorded

    def more(self) -> dict[str, str]:
        """The machines that are there besides, each with the one it is like."""
        return {name: change["like"] for name, change in self.machines.items() if change.get("like")}

    def _machine(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for change in _fitting(self.machines, name):
            found = _merged(found, change)
        return found

    def check(self, steps: Collection[str], machines: Collection[str], what: str) -> None:
        """Raise InvalidArgumentError where a step or machine is named that is not in ``what``."""
        for pattern in self.steps:
            if not any(fnmatchcase(step, pattern) for step in steps):
                self._refuse(("steps", pattern), f"there is no step {pattern} in {what}.", pattern, steps)
        for pattern, change in self.machines.items():
            known = any(fnmatchcase(machine, pattern) for machine in machines)
            place, like = ("machines", pattern), change.get("like")
            if like is not None and like not in machines:
                self._refuse((*place, "like"), f"there is no machine {like} in {what}.", like, machines)
            if like is not None and known:
                message = f"there is a machine {pattern} in {what}: one more needs another name."
                self._refuse((*place, "like"), message, "", machines)
            if like is None and not known:
                more = " To add it, say which one it is like: MACHINE."
                self._refuse(place, f"there is no machine {pattern} in {what}.", pattern, machines, more)

    def _refuse(
        self, path: Path, message: str, name: str, known: Collection[str], more: str = ""
    ) -> NoReturn:
        report = _report(self.document)
        among = ", ".join(sorted(known)[:10]) or "none"
        report.add(path, message, (meant(name, known) or f"There: {among}.") + more)
        _refuse(report.problems)


def load(text: bytes, *, name: str) -> Changes:
    """The changes in a YAML or JSON file called ``name``. Raises InvalidArgumentError naming every problem's place."""
    try:
        document = parse(text, name=name)
    except WorkflowInvalidError as error:
        _refuse([_of_policy(problem) for problem in error.problems])
    report = _report(document)
    file = shape.fitted(_File, document.data, report)
    if file is not None:
        _check(file, report)
    if report.problems:
        _refuse(report.problems)
    data = document.data
    if not any(data.get(part) for part in _File.__struct_fields__):
        report.add((), "the file changes nothing.", _EMPTY)
        _refuse(report.problems)
    return Changes(**data, document=document)


def _of_policy(problem: Problem) -> Problem:
    """What is wrong with the text, in words for this kind of file."""
    empty = problem.message == "the file is empty."
    remedy = _EMPTY if empty else problem.remedy.replace("workflow", "policy")
    return msgspec.structs.replace(problem, remedy=remedy)


def _check(file: _File, report: Report) -> None:
    shape.fitted(_Limits, file.policy, report, ("policy",))
    for name, value in file.policy.items():
        _check_limit(name, value, report)
    for pattern, step in file.steps.items():
        whole = Step(id="any", image="any", retry=step.retry, resources=step.resources, machine=step.machine)
        ranges.check_step(whole, ("steps", pattern), report)
    for name, machine in file.machines.items():
        _check_machine(name, machine, report)


def _check_limit(name: str, value: Any, report: Report) -> None:
    path: Path = ("policy", name)
    if report.known(path):
        return
    if name.endswith("_s"):
        ranges.check_seconds(value, path, report, zero=True)
    elif ranges.at_least(1 if name == "beats_missed_max" else 0, value, path, report) and (
        name == "lost_max" and value > ATTEMPTS_MAX
    ):
        report.add(path, f"lost_max is {value}, more than {ATTEMPTS_MAX}.", "Write a smaller number.")


def _check_machine(name: str, change: MachineChange, report: Report) -> None:
    path: Path = ("machines", name)
    if change.like is not None:
        try:
            check_machine(name)
        except NameInvalidError as error:
            report.add(path, f"{error.message}", error.advice)
    for field, least in _AMOUNTS.items():
        ranges.at_least(least, getattr(change, field), (*path, field), report)
    ranges.check_seconds(change.interval, (*path, "interval"), report, zero=False)
    try:
        size_bytes(change.memory)
    except ValueError as error:
        report.add((*path, "memory"), f"memory: {error}.", "Write it like 64Mi, 512M or 1Gi.")


def _report(document: Document | None) -> Report:
    if document is None:
        return Report(subject="the file")
    return Report(document.name, document.positions, "the file")


def _refuse(problems: list[Problem]) -> NoReturn:
    first, more = problems[0], len(problems) - 1
    others = f" (and {more} more)" if more else ""
    message = f"{first.place}: {first.message}{others}".removeprefix(": ")
    raise InvalidArgumentError(message, remedy=first.remedy, problems=problems)


def _fitting(changes: Mapping[str, dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [change for pattern, change in changes.items() if fnmatchcase(name, pattern)]


def _merged(base: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Where a step may run is said as a whole; all else is merged key by key."""
    found = dict(base)
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict) and key != "machine":
            found[key] = _merged(found[key], value)
        else:
            found[key] = value
    return found
