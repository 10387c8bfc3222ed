"""The broker goes away in the middle of everything, and comes back."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.crash.plays import chain
from tests.fixtures.broker import Broker
from tests.fixtures.processes import Installation

AWAY_S = 10.0
STEPS = chain(*["sleep 1; echo done"] * 4)

pytestmark = [pytest.mark.slow]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_ten_seconds_without_a_broker(site: Installation, broker: Broker, how: str) -> None:
    """With default settings everything goes on when it is back: no step twice, nothing lost, no machine blamed."""
    programs = [
        site.muster("scheduler", "scheduler"),
        site.muster("standby", "scheduler", "--name", "standby"),
        *(site.muster(name, "agent", "--name", name, "--runtime", "process") for name in ("m1", "m2")),
    ]
    for program in programs:
        program.launch()
    await site.log.until("machine.connected", count=2)
    executions = [await site.client.submit(STEPS) for _ in range(6)]
    await site.log.until("step.succeeded", count=3)

    await asyncio.to_thread(getattr(broker, how))
    await asyncio.sleep(AWAY_S)  # what is tested is an absence of this length
    await asyncio.to_thread(broker.start)

    assert await site.log.ended(*executions) == ["succeeded"] * len(executions)
    await site.log.at_rest()
    assert site.log.of("machine.offline") == []
    assert [program.name for program in programs if not program.running] == []
    for execution in executions:
        site.log.each_step_once(execution)
        assert len(site.log.of("step.scheduled", execution=execution)) == 4
    after = await site.client.submit(chain("echo after"))
    assert await site.log.ended(after) == ["succeeded"]
