"""What the engine itself costs: steps that do nothing, so that everything measured is Muster's."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import complete
import procfs
from plan import Plan
from stack import BenchError, Stack, running

NAMES = (
    "fanout_steps_per_s",
    "cpu_s_per_1000_steps",
    "view_lag_ms",
    "hop_ms_p50",
    "submit_to_result_ms_p50",
    "submit_to_result_ms_p95",
    "peak_rss_mb",
    "peak_pss_mb",
)
SAMPLE_S = 0.02


def measure(plan: Plan, sync: str | None) -> dict[str, float]:
    """One run on a new, empty stack."""
    found: dict[str, float] = {}
    with running(sync, "noop", plan.slots) as stack:
        _run(stack, do="fanout", steps=20)  # every path once: first imports and connections are not measured
        if plan.wants("fanout_steps_per_s", "cpu_s_per_1000_steps", "view_lag_ms"):
            found |= _fanout(stack, plan)
        if plan.wants("hop_ms_p50"):
            found |= _chain(stack, plan)
        if plan.wants("submit_to_result_ms_p50", "submit_to_result_ms_p95"):
            found |= _singles(stack, plan)
        if plan.wants("peak_rss_mb", "peak_pss_mb"):
            found |= _memory(stack, plan)
    return found


def _run(stack: Stack, **what: Any) -> dict[str, Any]:
    answer = stack.client.ask(**what)
    _succeeded(answer)
    return answer


def _succeeded(answer: dict[str, Any]) -> None:
    if answer["status"] != "succeeded":
        raise BenchError(f"{answer['execution']} ended as {answer['status']}")


def _fanout(stack: Stack, plan: Plan) -> dict[str, float]:
    procfs.until_quiet(plan.patience_s)
    all_before = procfs.machine_cpu_s()
    before = {name: procfs.cpu_s(pid) for name, pid in stack.pids.items()}
    answer = _run(stack, do="fanout", steps=plan.fanout)
    known = time.perf_counter()
    complete.until_in_view(stack.view, answer["execution"])
    lag_s = time.perf_counter() - known
    cpu = {name: procfs.cpu_s(pid) - before[name] for name, pid in stack.pids.items()}
    others = procfs.machine_cpu_s() - all_before - sum(cpu.values())
    complete.check(stack.url, stack.view, answer["execution"], plan.fanout)
    per_1000 = 1000 / plan.fanout
    return {
        "fanout_steps_per_s": plan.fanout / answer["seconds"],
        "cpu_s_per_1000_steps": sum(cpu.values()) * per_1000,
        "view_lag_ms": lag_s * 1000,
        **{f"cpu_s_per_1000_steps/{name}": seconds * per_1000 for name, seconds in cpu.items()},
        "cpu_s_per_1000_steps/not-ours": others * per_1000,
    }


def _chain(stack: Stack, plan: Plan) -> dict[str, float]:
    procfs.until_quiet(plan.patience_s)
    answers = [_run(stack, do="chain", steps=plan.chain) for _ in range(plan.chains)]
    return {"hop_ms_p50": statistics.median(one["seconds"] for one in answers) * 1000 / plan.chain}


def _singles(stack: Stack, plan: Plan) -> dict[str, float]:
    procfs.until_quiet(plan.patience_s)
    answer = stack.client.ask(do="single", image="noop", command=None, count=plan.submits, width=1)
    for one in answer["runs"]:
        _succeeded(one)
    times = sorted(one["seconds"] * 1000 for one in answer["runs"])
    return {
        "submit_to_result_ms_p50": statistics.median(times),
        "submit_to_result_ms_p95": statistics.quantiles(times, n=20, method="inclusive")[-1],
    }


def _memory(stack: Stack, plan: Plan) -> dict[str, float]:
    """Sampled over a fan-out of its own: looking at memory takes CPU of the machine that is measured."""
    peak = _Peak(lambda: procfs.pss_mb(stack.pids.values()))
    with peak:
        answer = _run(stack, do="fanout", steps=plan.fanout)
        complete.until_in_view(stack.view, answer["execution"])
    rss = {name: procfs.peak_rss_mb(pid) for name, pid in stack.pids.items()}
    return {
        "peak_rss_mb": sum(rss.values()),
        "peak_pss_mb": peak.value,
        **{f"peak_rss_mb/{name}": mb for name, mb in rss.items()},
    }


class _Peak:
    """The largest of values sampled on a thread while the block runs."""

    def __init__(self, sample: Callable[[], float]) -> None:
        self.value = 0.0
        self._sample = sample
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        over = False
        while not over:
            self.value = max(self.value, self._sample())
            over = self._over.wait(SAMPLE_S)
