"""Much at once: nothing stays behind, in the log or in memory."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.fixtures.processes import Installation

EXECUTIONS = 200
FLAT_KB = 6 << 10
"""What the second 200 may add. The ids of ended executions and a larger heap of the allocator take some hundred kB; one
kilobyte kept for each of the 3,000 events or so of a batch would be told from that."""
FIVE_STEPS: dict[str, Any] = {
    "name": "five",
    "steps": [{"id": f"s{number}", "image": "none", "command": "true"} for number in range(5)],
}

pytestmark = [pytest.mark.slow]


async def _batch(site: Installation) -> None:
    """Submit 200 executions at once and wait until they have succeeded and everything is free again."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        submits = [group.create_task(site.client.submit(FIVE_STEPS)) for _ in range(EXECUTIONS)]
    executions = [submit.result() for submit in submits]
    assert set(await site.log.ended(*executions, timeout_s=90)) == {"succeeded"}
    await site.log.at_rest()
    for machine in site.log.state.machines.values():
        used = (machine.slots_used, machine.cpus_used, machine.memory_used, machine.gpus_used)
        assert used == (0, 0.0, 0, 0)
    print(f"{EXECUTIONS} executions in {time.monotonic() - began:.1f} s")


@pytest.mark.timeout(300)
async def test_two_hundred_at_once_and_again(site: Installation) -> None:
    """200 executions of 5 steps on two agents succeed, every slot is free, and the next 200 need no more memory."""
    programs = [
        await site.muster("scheduler", "scheduler").launch().says("leads"),
        *[
            await site.muster(name, "agent", "--name", name, "--runtime", "noop").launch().says("slots")
            for name in ("m1", "m2")
        ],
    ]
    await _batch(site)  # warms up: code, connections, the heap
    before = [program.rss_kb for program in programs]
    await _batch(site)
    after = [program.rss_kb for program in programs]
    print([(program.name, a, b) for program, a, b in zip(programs, before, after, strict=True)])
    ran = {recorded.event.machine for recorded in site.log.of("attempt.finished")}
    assert ran == {"m1", "m2"}
    for program, old_kb, new_kb in zip(programs, before, after, strict=True):
        assert new_kb - old_kb < FLAT_KB, f"{program.name} grew from {old_kb} to {new_kb} kB"
