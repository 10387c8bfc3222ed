"""Whether the steps hang together: ids that differ, addresses that are short, needs that exist, no cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from muster.model.definition.problems import Path, Report
from muster.model.definition.validation.tree import Scope, members, scopes
from muster.model.definition.workflow import Step, Workflow
from muster.model.errors import DuplicateStepError, ExpressionError, NameInvalidError, SourceNodeMissingError
from muster.model.expressions.template import compile_template, references, templates
from muster.model.log.names import PATH_LENGTH_MAX, meant
from muster.model.plan.lowering import branches, conditions, entries, spliced
from muster.model.plan.tree import templated

_SHOWN_MAX: Final = 8  # steps of a cycle that are named


def check(workflow: Workflow, report: Report) -> None:
    """Report ids used twice, addresses that are too long, needs that do not exist, cycles, and workflows that are not
    there.
    """
    for scope in scopes(workflow):
        _check_ids(scope, report)
        _check_addresses(scope, report)
        _check_needs(scope, report)
        _check_cycles(scope, report)
    for path, step in members(workflow):
        if step.workflow is not None and step.workflow not in workflow.workflows:
            message = f"the step {step.id} runs the workflow {step.workflow}, which is not under workflows."
            remedy = (
                meant(step.workflow, workflow.workflows)
                or "Define it there: NAME: {name: ..., steps: [...]}."
            )
            report.add((*path, "workflow"), message, remedy, SourceNodeMissingError)


def _check_ids(scope: Scope, report: Report) -> None:
    first: dict[str, tuple[int, Path]] = {}
    for number, (path, step) in enumerate(scope.members, 1):
        if step.id and step.id in first:
            at, place = first[step.id]
            line, _ = report.position(place)
            where = f"in line {line}" if line is not None else f"step {at} of the list"
            message = f"two steps have the id {step.id}; the first is {where}."
            report.add((*path, "id"), message, error=DuplicateStepError)
        elif step.id:
            first[step.id] = number, path


def _check_addresses(scope: Scope, report: Report) -> None:
    for path, step in scope.members:
        if (length := len(scope.prefix) + len(step.id)) > PATH_LENGTH_MAX:
            message = f"the address of the step {step.id} has up to {length} characters, more than {PATH_LENGTH_MAX}."
            remedy = (
                "Shorten the ids of the steps around it, or put what is inside into a workflow of its own."
            )
            report.add((*path, "id"), message, remedy, NameInvalidError)


def _check_needs(scope: Scope, report: Report) -> None:
    own = scope.own
    unnamed = any(not step.id and not spliced(step) for _, step in scope.members)
    for path, step in scope.members:
        for number, needed in enumerate(step.needs):
            if needed not in own and not unnamed and not report.full:
                message, remedy = _unknown(step, needed, scope)
                report.add((*path, "needs", number), message, remedy, SourceNodeMissingError)


def _unknown(step: Step, needed: str, scope: Scope) -> tuple[str, str]:
    """What is said of a need that is not in the step's block."""
    if needed in scope.seen and scope.owner is not None:
        message = f"the step {step.id} needs the step {needed}, which stands outside of its block."
        return message, f"Let the step {scope.owner.id} need it, whose block this is."
    message = f"the step {step.id} needs the step {needed}, which does not exist."
    return message, meant(needed, scope.own) or SourceNodeMissingError.remedy


def _check_cycles(scope: Scope, report: Report) -> None:
    if not scope.members or report.full:
        return
    places = {step.id: path for path, step in reversed(scope.members)}
    found = entries(_top(scope))
    ids = [*found]
    index = {id_: at for at, id_ in enumerate(ids)}
    edges = [
        sorted({index[name] for name in entry.needs | _referred_to(entry.step) if name in index and name})
        for entry in found.values()
    ]
    for cycle in cycles(edges):
        _report_cycle(cycle, ids, places, report)


def _referred_to(step: Step) -> set[str]:
    """The steps around it that a step refers to, here or in its blocks; what cannot be read is reported elsewhere."""
    found = _referenced([templated(step), conditions(step)])
    blocks = [steps for _, steps in branches(step)] + [step.on_failure]
    for steps in blocks:
        inner = entries(steps)
        for entry in inner.values():
            found |= _referred_to(entry.step) - inner.keys()
    return found - {step.id} if step.on_failure else found


def _referenced(value: object) -> set[str]:
    found: set[str] = set()
    for _, text in templates(value):
        with suppress(ExpressionError):
            names = references(compile_template(text))
            found |= {name.name for name in names if name.root == "steps" and name.name is not None}
    return found


def _top(scope: Scope) -> list[Step]:
    """The steps of the block as they were written: what is spliced in stands in its chain or group."""
    depth = min(len(path) for path, _ in scope.members)
    return [step for path, step in scope.members if len(path) == depth]


def _report_cycle(cycle: list[int], names: list[str], places: Mapping[str, Path], report: Report) -> None:
    start = cycle.index(min(cycle))
    ids = [names[at] for at in cycle[start:] + cycle[:start]]
    path = places[ids[0]]
    if len(ids) == 1:
        report.add(path, f"the step {ids[0]} needs itself.", "Remove the need or the reference.")
        return
    left_out = len(ids) - _SHOWN_MAX
    named = ids if left_out <= 0 else [*ids[:_SHOWN_MAX], f"({left_out} more)"]
    message = f"the steps {' -> '.join([*named, ids[0]])} need each other in a circle."
    report.add(path, message, "Remove one of the needs or references.")


def cycles(edges: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Cycles of the graph, at least one if there is any, each node in at most one; linear, without recursion."""
    new, on_path, done = 0, 1, 2
    state = [new] * len(edges)
    for root in range(len(edges)):
        if state[root] != new:
            continue
        path, iterators = [root], [iter(edges[root])]
        state[root] = on_path
        while path:
            target = next(iterators[-1], None)
            if target is None:
                state[path.pop()] = done
                iterators.pop()
            elif state[target] == new:
                state[target] = on_path
                path.append(target)
                iterators.append(iter(edges[target]))
            elif state[target] == on_path:
                cycle = path[path.index(target) :]
                yield cycle
                for node in cycle:
                    state[node] = done
                del path[path.index(target) :], iterators[len(path) :]
