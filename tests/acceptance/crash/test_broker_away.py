"""The broker goes away in the middle of everything, and comes back."""

from __future__ import annotations

import asyncio
import time

import pytest

from muster.identity import uuid7
from muster.model.errors import BrokerError
from tests.acceptance.crash.plays import NOTHING, chain
from tests.fixtures.broker import Broker
from tests.fixtures.processes import Installation
from tests.fixtures.stalls import Stalls

AWAY_S = 10.0
ACCEPTED_WITHIN_S = 10.0
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


async def _insist(site: Installation) -> str:
    """Submit, again and again under the same id while the outcome is not known, and give the id once it is."""
    execution = uuid7()
    while True:
        try:
            return await site.client.submit(NOTHING, execution=execution)
        except BrokerError:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_submits_under_way(site: Installation, broker: Broker, how: str) -> None:
    """Submits that the broker's end meets in mid-way are accepted soon after it is back, each once and all of them."""
    await site.muster("scheduler", "scheduler").launch().says("leads")
    await site.muster("agent", "agent", "--name", "m1", "--runtime", "noop").launch().says("slots")
    back = asyncio.Event()

    async def client() -> list[str]:
        accepted: list[str] = []
        while not back.is_set():
            accepted.append(await _insist(site))
        return accepted

    clients = [asyncio.create_task(client()) for _ in range(8)]
    await site.log.until("execution.queued", count=20)
    await asyncio.to_thread(getattr(broker, how))
    await asyncio.to_thread(broker.start)
    back.set()
    with Stalls(site.folder) as lost:
        began = time.monotonic()
        accepted = [id_ for each in await asyncio.gather(*clients) for id_ in each]
        took_s = time.monotonic() - began
    assert await site.log.ended(*accepted) == ["succeeded"] * len(accepted)
    ended_s = time.monotonic() - began
    print(f"the last of {len(accepted)} was accepted after {took_s:.1f} s and ended after {ended_s:.1f} s")
    assert took_s - lost.seconds < ACCEPTED_WITHIN_S
    for execution in accepted:
        site.log.each_step_once(execution)
