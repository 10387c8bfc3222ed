"""Machines that die, that seem to have died, and that come back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from muster.model.log.catalogue import MachineConnected, MachineOffline
from tests.acceptance.crash.plays import first_one_waits, lone
from tests.fixtures.processes import BLAMING, STEADY_S, Installation, gone
from tests.fixtures.stalls import Stalls

OFFLINE_WITHIN_S = 15.0
AGENT = ("--runtime", "process", "--slots", "2")

pytestmark = [pytest.mark.slow]

# The first attempt goes on for longer than anybody waits, any other is over at once.
FIRST_ONE_HANGS = lone('test "$MUSTER_ATTEMPT" = 1 && sleep 600; echo "$MUSTER_ATTEMPT"')


def _evidence(site: Installation) -> tuple[str | None, Any]:
    (verdict,) = site.log.of("machine.offline")
    assert isinstance(verdict.event.data, MachineOffline)
    return verdict.event.machine, verdict.event.data.evidence


@pytest.mark.timeout(90)
async def test_an_agent_is_killed_in_mid_step(site: Installation) -> None:
    """With default settings its machine counts as offline within 15 s, and the step succeeds once, on another one."""
    await site.muster("scheduler", "scheduler").launch().says("leads")
    first = site.muster("first", "agent", "--name", "m1", *AGENT).launch()
    connected = await site.log.until("machine.connected", machine="m1")
    execution = await site.client.submit(FIRST_ONE_HANGS)
    await site.log.until("attempt.started", execution=execution)
    site.muster("second", "agent", "--name", "m2", *AGENT).launch()
    await site.log.until("machine.connected", machine="m2")

    while (beat := await site.broker.heartbeats.last("m1")) is None or beat.sequence < 2:
        await asyncio.sleep(0.05)

    left = first.descendants()
    with Stalls(site.folder) as lost:
        began = time.monotonic()
        first.kill()
        await site.log.until("machine.offline")
        took_s = time.monotonic() - began
    assert took_s - lost.seconds < OFFLINE_WITHIN_S
    machine, evidence = _evidence(site)
    assert machine == "m1"
    assert evidence.session == connected.sequence
    assert evidence.last_beat is not None
    assert evidence.missed >= 3

    assert await site.log.ended(execution) == ["succeeded"]
    (outcome,) = site.log.of("step.succeeded", execution=execution)
    assert (outcome.event.attempt, outcome.event.machine) == (2, "m2")

    first.launch()
    await first.says("2 slots")
    assert left
    await gone(left)
    late = await site.log.until("attempt.failed", execution=execution, attempt=1, machine="m1")
    await site.log.at_rest()
    assert late.sequence > outcome.sequence
    site.log.each_step_once(execution)
    assert site.log.about(execution)[-1] == late
    assert await site.client.outputs(execution) == {}
    assert (await site.client.step(execution, "work")).outputs == {"said": "2"}


async def test_an_agent_that_only_slept(site: Installation) -> None:
    """What a machine finishes after it was given up stands in the log and changes nothing; then it works again."""
    site.scheduler(policy=BLAMING).launch()
    first = site.agent("m1").launch()
    await site.log.until("machine.connected", machine="m1")
    awoken = site.folder / "awoken"
    execution = await site.client.submit(first_one_waits(awoken))
    await site.log.until("attempt.started", execution=execution)
    first.pause()
    awoken.touch()  # the first attempt ends while its agent sleeps
    site.agent("m2", interval_s=STEADY_S).launch()
    assert await site.log.ended(execution) == ["succeeded"]
    first.unpause()
    late = await site.log.until("attempt.finished", "attempt.stopped", execution=execution, machine="m1")
    await site.log.until("machine.online")
    await site.log.at_rest()
    site.log.each_step_once(execution)
    assert late.sequence > site.log.of("execution.succeeded", execution=execution)[0].sequence
    assert (await site.client.step(execution, "work")).outputs == {"said": "2"}
    again = await site.client.submit(lone("echo again", machine="m1"))
    assert await site.log.ended(again) == ["succeeded"]


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
async def test_two_agents_under_one_name(site: Installation, busy: bool) -> None:
    """The second takes the place; the first is told so, says it in clear words, stops, and leaves nothing running."""
    site.scheduler().launch()
    first = site.agent("m1").launch()
    await first.says("4 slots")
    execution = ""
    if busy:
        execution = await site.client.submit(
            lone('test "$MUSTER_ATTEMPT" = 1 && sleep 600; echo "$MUSTER_ATTEMPT"')
        )
        await site.log.until("attempt.started", execution=execution)
    left = first.descendants()
    assert bool(left) == busy

    # On another disk: on one and the same it would not even start.
    command = ["agent", "--name", "m1", *AGENT, "--data-dir", str(site.folder / "elsewhere")]
    second = await site.muster("second", *command).launch().says("2 slots")
    assert await first.exits() == 2
    assert "Another agent took the name 'm1'" in first.log
    assert "Traceback" not in first.log
    await gone(left)
    if busy:
        assert await site.log.ended(execution) == ["succeeded"]
        site.log.each_step_once(execution)
    after = await site.client.submit(lone("echo after"))
    assert await site.log.ended(after) == ["succeeded"]
    assert second.running
    assert len(site.log.of("machine.connected", machine="m1")) == 2
    assert isinstance(site.log.of("machine.connected")[-1].event.data, MachineConnected)
    assert not site.log.of("machine.disconnected")


async def test_a_second_agent_on_the_same_disk(site: Installation) -> None:
    """It does not start where one of its name runs, says so with the remedy, and the first goes on."""
    site.scheduler().launch()
    first = await site.agent("m1").launch().says("4 slots")
    second = site.agent("m1", lock_wait_s=0.5).launch()
    assert await second.exits() == 2
    assert "An agent named 'm1' runs on this machine already" in second.log
    assert "--name" in second.log
    execution = await site.client.submit(lone("echo on"))
    assert await site.log.ended(execution) == ["succeeded"]
    assert first.running
