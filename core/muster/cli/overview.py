"""Which steps of an execution are shown: of a loop with many items only what moves, asks or failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from muster.client.follower import ExecutionView
from muster.client.steps import StepView

ITEMS_MAX: Final = 12  # of a loop, so that each of its steps is shown
FAILURES_MAX: Final = 10  # of all loops with more items
_SETTLED: Final = frozenset({"pending", "succeeded", "skipped", "cancelled"})
Place = tuple[tuple[int, int], ...]


def overview(view: ExecutionView) -> list[StepView]:
    """The steps to show, each behind the one it belongs to."""
    chosen: list[StepView] = []
    failed = 0
    for step in view.steps.values():
        if crowded(view, step.path):
            failed += step.status == "failed"
            if step.status in _SETTLED or (step.status == "failed" and failed > FAILURES_MAX):
                continue
        chosen.append(step)
    return ordered(chosen)


def crowded(view: ExecutionView, path: str) -> bool:
    """Whether the step belongs, at whatever depth, to a loop with too many items to show each."""
    end = path.find("/")
    while end >= 0:
        around = view.steps.get(path[:end])
        if around is not None and around.items is not None and around.items.total > ITEMS_MAX:
            return True
        end = path.find("/", end + 1)
    return False


def ordered(steps: Iterable[StepView]) -> list[StepView]:
    """In the order in which they were first heard of, each behind the one it belongs to, items by number."""
    ranks: dict[str, int] = {}

    def place(step: StepView) -> Place:
        parts = step.path.split("/")
        return tuple(
            (0, int(part)) if part.isdecimal() and at else (1, ranks.setdefault(part, len(ranks)))
            for at, part in enumerate(parts)
        )

    return [step for _, step in sorted([(place(step), step) for step in steps], key=lambda pair: pair[0])]
