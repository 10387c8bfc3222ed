"""What the figures are, what they should be, and how they are printed."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import Final

ALWAYS: Final = "_sync_always"
UNITS: Final = {"per_s": "1/s", "ms": "ms", "us": "µs", "mb": "MB", "ratio": "", "cpu_s": "s"}


@dataclass(frozen=True)
class Goal:
    """What a figure should be at least or at most."""

    value: float
    more_is_better: bool = False

    def met(self, value: float) -> bool:
        """Whether it is."""
        return value >= self.value if self.more_is_better else value <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.more_is_better else '<='} {self.value:g}"


GOALS: Final = {
    "fanout_steps_per_s": Goal(1000, more_is_better=True),
    "cpu_s_per_1000_steps": Goal(1.5),
    "hop_ms_p50": Goal(4),
    "submit_to_result_ms_p50": Goal(5.5),
    "container_ratio_to_bare": Goal(1.05),
    "warm_call_ms_p50": Goal(5),
    "warm_vs_one_shot_ratio": Goal(50, more_is_better=True),
    "for_each_cost_ratio": Goal(1.5),
    "for_each_growth_mb": Goal(5),
    "rebuild_events_per_s": Goal(25_000, more_is_better=True),
    "archive_rebuild_events_per_s": Goal(100_000, more_is_better=True),
    "rebuild_reader_wait_ms": Goal(100),
}


@dataclass(frozen=True)
class Figure:
    """One name and its value in each run."""

    name: str
    runs: list[float]

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.runs)

    @property
    def unit(self) -> str:
        """What it is counted in, as its name says."""
        words = f"_{self.name.partition('/')[0].removesuffix(ALWAYS)}_"
        return next(unit for part, unit in UNITS.items() if f"_{part}_" in words)


def lines(figures: list[Figure]) -> list[str]:
    """One JSON object each."""
    return [
        json.dumps(
            {
                "name": figure.name,
                "value": round(figure.value, 3),
                "unit": figure.unit,
                "runs": [round(one, 3) for one in figure.runs],
            }
        )
        for figure in figures
    ]


def table(figures: list[Figure]) -> list[str]:
    """For people: the least, the median, the most, and the goal where the median is held to one."""
    rows = [f"{'':44} {'min':>9} {'median':>9} {'max':>9} {'':4} goal"]
    for figure in figures:
        goal = GOALS.get(figure.name)
        verdict = "" if goal is None else f"{goal}  {'met' if goal.met(figure.value) else 'NOT MET'}"
        values = " ".join(f"{value:9.2f}" for value in (min(figure.runs), figure.value, max(figure.runs)))
        rows.append(f"{figure.name:44} {values} {figure.unit:4} {verdict}".rstrip())
    return rows
