"""Whether the steps hang together: ids that differ, needs that exist, no cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from muster.model.errors import DuplicateStepError, SourceNodeMissingError
from muster.model.inputs import meant
from muster.model.problems import Report
from muster.model.workflow import Workflow

_SHOWN_MAX: Final = 8  # steps of a cycle that are named


def check(workflow: Workflow, sources: Sequence[set[str]], report: Report) -> None:
    """Report ids used twice, needs that do not exist and cycles; ``sources`` are the steps each step references."""
    index = _index(workflow, report)
    for at, step in enumerate(workflow.steps):
        for number, needed in enumerate(step.needs):
            if needed not in index and "" not in index and not report.full:
                remedy = meant(needed, index) or SourceNodeMissingError.remedy
                message = f"the step {step.id} needs the step {needed}, which does not exist."
                report.add(("steps", at, "needs", number), message, remedy, SourceNodeMissingError)
    edges = [
        sorted({index[name] for name in (*step.needs, *sources[at]) if name in index and name})
        for at, step in enumerate(workflow.steps)
    ]
    for cycle in cycles(edges):
        _report_cycle(workflow, cycle, report)


def _index(workflow: Workflow, report: Report) -> Mapping[str, int]:
    index: dict[str, int] = {}
    for at, step in enumerate(workflow.steps):
        if step.id and step.id in index:
            line, _ = report.position(("steps", index[step.id]))
            first = f"in line {line}" if line is not None else f"step {index[step.id] + 1} of the list"
            message = f"two steps have the id {step.id}; the first is {first}."
            report.add(("steps", at, "id"), message, error=DuplicateStepError)
        index.setdefault(step.id, at)
    return index


def _report_cycle(workflow: Workflow, cycle: list[int], report: Report) -> None:
    start = cycle.index(min(cycle))
    ids = [workflow.steps[at].id for at in cycle[start:] + cycle[:start]]
    path = ("steps", min(cycle))
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
