"""What a member of a ``for_each`` costs everybody, and whether anybody's memory grows with the length of the list.

The steps run in the ``noop`` runtime, 50 at a time, with the real log and view; cost is CPU time of all processes. As
many members are worked off in many short lists as in the long one, so that both take as long.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Final, Self

import complete
import procfs
from plan import Plan
from stack import BenchError, Stack, running

from muster.broker.nats import NatsBroker
from muster.model.log import subjects
from muster.settings import Settings

NAMES = ("for_each_cost_ratio", "for_each_cpu_us_per_member", "for_each_members_per_s", "for_each_growth_mb")
PARALLEL: Final = 50
FEW: Final = 100
FLAT_FROM: Final = 5
"""Memory is looked at from a fifth of the list on: before, caches fill."""
GROWING: Final = ("scheduler", "agent", "projections")
SAMPLE_S: Final = 0.1


def measure(plan: Plan, sync: str | None) -> dict[str, float]:
    """One run on a new, empty stack."""
    with running(sync, "noop", 2 * PARALLEL) as stack:
        _run(stack, FEW)  # first imports and connections are not measured
        procfs.until_quiet(plan.patience_s)
        few, _ = _cost(stack, [FEW] * (plan.members // FEW))
        memory = _Memory({name: stack.pids[name] for name in GROWING})
        with memory:
            many, answers = _cost(stack, [plan.members])
        (answer,) = answers
        complete.check(stack.url, stack.view, answer["execution"], plan.members, "each/{}/work".format)
        done = asyncio.run(_done_at(stack.url, answer["execution"]))
        growth = memory.growth_mb(done[len(done) // FLAT_FROM])
    return {
        "for_each_cost_ratio": sum(many.values()) / sum(few.values()),
        "for_each_cpu_us_per_member": sum(many.values()) * 1e6 / plan.members,
        "for_each_members_per_s": plan.members / answer["seconds"],
        "for_each_growth_mb": max(growth.values()),
        **{f"for_each_cost_ratio/{name}": many[name] / few[name] for name in few if few[name]},
        **{f"for_each_cpu_us_per_member/{name}": s * 1e6 / plan.members for name, s in many.items()},
        **{f"for_each_growth_mb/{name}": mb for name, mb in growth.items()},
    }


def _run(stack: Stack, members: int) -> dict[str, Any]:
    answer = stack.client.ask(do="loop", members=members, parallel=PARALLEL)
    if answer["status"] != "succeeded":
        raise BenchError(f"{answer['execution']} ended as {answer['status']}")
    complete.until_in_view(stack.view, answer["execution"])
    return answer


def _cost(stack: Stack, lists: list[int]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """CPU seconds of each process over lists of these lengths."""
    before = {name: procfs.cpu_s(pid) for name, pid in stack.pids.items()}
    answers = [_run(stack, members) for members in lists]
    return {name: procfs.cpu_s(pid) - before[name] for name, pid in stack.pids.items()}, answers


async def _done_at(url: str, execution: str) -> list[float]:
    """When each member was done, in order, in seconds since the epoch."""
    broker = await NatsBroker.connect(Settings(url=url), name="muster-bench")
    found: list[float] = []
    try:
        wanted = [subjects.events(execution=execution, noun="step", verb="succeeded")]
        async for batch in broker.log.read(subjects=wanted):
            found += [r.event.time.timestamp() for r in batch if "/" in (r.event.step or "")]
    finally:
        await broker.close()
    return found


class _Memory:
    """What processes have resident, sampled on a thread while the block runs."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._seen: list[tuple[float, dict[str, float]]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        over = False
        while not over:
            self._seen.append((time.time(), {name: procfs.rss_mb(pid) for name, pid in self._pids.items()}))
            over = self._over.wait(SAMPLE_S)

    def growth_mb(self, since: float) -> dict[str, float]:
        """By how much each grew after that moment, at most."""
        before = [mb for at, mb in self._seen if at <= since] or [self._seen[0][1]]
        after = [mb for at, mb in self._seen if at >= since] or [self._seen[-1][1]]
        return {
            name: max(mb[name] for mb in after) - max(mb[name] for mb in before[-5:]) for name in self._pids
        }
