"""Measures Muster and prints what it found: ``python bench/run.py --json``. What each name means, what the figures
were, and how they compare: docs/performance.md. Fails if a single event or row of what was run is missing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Final

import containers
import loops
import overhead
import rebuild
import warm
from plan import QUICK, Plan
from report import ALWAYS, Figure, lines, table
from stack import BenchError

# Without a setting JetStream syncs every two minutes; with `always`, as in nats.conf, before it acknowledges.
MODES: Final = {"": None, ALWAYS: "always"}
NAMES: Final = [
    *(f"{name}{suffix}" for suffix in MODES for name in (*overhead.NAMES, *containers.NAMES, *warm.NAMES)),
    *loops.NAMES,
    *rebuild.NAMES,
]


def main() -> int:
    """Measure what was asked for; 1 if it cannot be done or something is missing."""
    options = _options()
    try:
        figures = _measure(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    shown = [figure for figure in figures if options.detail or "/" not in figure.name]
    for line in lines(shown) if options.json else table(shown):
        print(line)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Names: " + ", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=NAMES, help="measure this; repeatable"
    )
    parser.add_argument("--runs", metavar="N", type=int, help="runs, each on a new stack (3)")
    parser.add_argument(
        "--slots", metavar="N", type=int, default=Plan.slots, help="slots of the agent (%(default)s)"
    )
    parser.add_argument(
        "--events", metavar="N", type=int, help="events of the past that is rebuilt (1,000,000)"
    )
    parser.add_argument("--quick", action="store_true", help="one small run: shows that it works, no figures")
    parser.add_argument("--detail", action="store_true", help="CPU and memory of each process as well")
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> list[Figure]:
    asked = set(options.only or NAMES)
    found: dict[str, list[float]] = {}
    docker = any(name.startswith(("container", "warm")) for name in asked)
    obstacle = containers.obstacle() if docker else ""
    if obstacle:
        print(f"bench: containers are not measured: {obstacle}", file=sys.stderr)
    for _ in range(options.runs or (1 if options.quick else 3)):
        for suffix, sync in MODES.items():
            names = (name for name in asked if name.endswith(ALWAYS) == bool(suffix))
            plan = _plan(options, frozenset(name.removesuffix(suffix) for name in names))
            for part in (overhead, containers, warm, loops, rebuild):
                if plan.only.isdisjoint(part.NAMES) or (part in {containers, warm} and obstacle):
                    continue
                for name, value in part.measure(plan, sync).items():
                    if name.partition("/")[0] in plan.only:
                        found.setdefault(f"{name}{suffix}", []).append(value)
    if obstacle and not found:
        raise BenchError("nothing could be measured")
    return [Figure(name, runs) for name, runs in found.items()]


def _plan(options: argparse.Namespace, only: frozenset[str]) -> Plan:
    plan = QUICK if options.quick else Plan()
    return replace(plan, only=only, slots=options.slots, events=options.events or plan.events)


if __name__ == "__main__":
    sys.exit(main())
