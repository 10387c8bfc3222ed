"""What a member of a ``for_each`` costs the pure model, deciding and folding, at 10,000 members and at 100.

    python bench/for_each.py            for_each_decide_cost_ratio should stay below 1.5
    python bench/for_each.py --profile  where the time goes

The same with broker, agent and view is ``bench/loops.py``. Here every attempt is accepted, started and finished as
soon as it was scheduled, 50 at a time. Time is that of the CPU. ``for_each_live_steps`` is the most steps that were
held in memory at once: it does not grow with the list.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from muster.model.engine.admission import admit
from muster.model.engine.decide import decide
from muster.model.engine.evolve import evolve
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Submit
from muster.model.log.envelope import Event

RATIO_MAX = 1.5
PARALLEL = 50
FEW = 100
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def body() -> dict[str, Any]:
    """A member: a condition, a container, a variable."""
    return {
        "steps": [
            {
                "id": "run",
                "image": "noop",
                "outputs": {"n": {}},
                "inputs": {"x": "${{ item + 1 }}"},
                "if": "item >= 0",
            },
            {"id": "keep", "set": {"last": "${{ steps.run.outputs.n }}"}},
        ]
    }


def definition() -> dict[str, Any]:
    """The workflow."""
    loop = {"in": "${{ inputs.all }}", "max_parallel": PARALLEL, **body()}
    return {"name": "each", "inputs": {"all": {"type": "array"}}, "steps": [{"id": "each", "for_each": loop}]}


@dataclass
class Measured:
    """One run."""

    seconds: float
    events: int
    live_steps: int


class Site:
    """A leader's state, one machine with as many slots as there are members at once, and a clock that is set."""

    def __init__(self) -> None:
        self.state = State()
        self.now = START
        self.sequence = 0
        self.n = 0
        self.events = 0
        self.live_steps = 0
        facts = c.MachineFacts(slots=2 * PARALLEL, cpus=4.0, memory=8 << 30)
        self.fact(c.MachineConnected(instance="m1-1", facts=facts, interval_s=3.0))

    def fact(self, body: Body, ref: AttemptRef | None = None) -> None:
        """The machine says something, and it is folded."""
        self.sequence += 1
        self.n += 1
        event = Event(
            id=f"m1/{self.n}",
            writer="m1",
            time=self.now,
            data=body,
            execution=ref.execution if ref else "-",
            step=ref.step if ref else None,
            attempt=ref.attempt if ref else None,
            machine="m1",
            n=self.n,
        )
        evolve(self.state, event, self.sequence)

    def round(self, *commands: Submit) -> list[AttemptRef]:
        """A round; what it starts."""
        self.now += timedelta(milliseconds=10)
        round_ = Round(self.state, self.now)
        for command in commands:
            admit(round_, "submit", command, None)
        decide(self.state, self.now, round_)
        self.sequence += len(round_.events)
        self.events += len(round_.events)
        live = sum(len(execution.steps) for execution in self.state.executions.values())
        self.live_steps = max(self.live_steps, live)
        return [order.ref for orders in round_.starts.values() for order in orders]

    def attempts(self, members: int) -> Iterator[list[AttemptRef]]:
        """What is started in each round until everything has ended."""
        command = Submit(id="c", execution="x", workflow=definition(), inputs={"all": list(range(members))})
        started = self.round(command)
        while self.state.executions:
            yield started
            started = self.round()


def run(members: int) -> Measured:
    """Run the workflow over so many members."""
    site = Site()
    start = time.process_time()
    for started in site.attempts(members):
        for ref in started:
            site.fact(c.AttemptAccepted(), ref)
            site.fact(c.AttemptStarted(), ref)
            site.fact(c.AttemptFinished(outputs={"n": 1}, exit_code=0), ref)
    return Measured(time.process_time() - start, site.events, site.live_steps)


def measured(members: int, few: int) -> tuple[float, Measured]:
    """CPU seconds a member: over ``few`` members, as often as makes ``members``, and over all of them at once.

    Each is measured as long as the other, in turn, and the quickest of three counts: others share the machine.
    """
    small: list[float] = []
    large: list[Measured] = []
    for _ in range(3):
        small.append(sum(run(few).seconds for _ in range(members // few)))
        large.append(run(members))
    return min(small) / members, min(large, key=lambda one: one.seconds)


def main() -> int:
    """Measure, print, and fail if the ratio is too large."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(run, options.members)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return 0
    few, many = measured(options.members, FEW)
    ratio = many.seconds / options.members / few
    for name, value, unit in (
        (f"for_each_decide_cost_{FEW}", few * 1e6, "us/member"),
        (f"for_each_decide_cost_{options.members}", many.seconds / options.members * 1e6, "us/member"),
        ("for_each_decide_cost_ratio", ratio, ""),
        ("for_each_live_steps", many.live_steps, "steps"),
    ):
        print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}))
    return int(ratio > RATIO_MAX)


if __name__ == "__main__":
    raise SystemExit(main())
