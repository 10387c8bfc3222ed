"""The traps of machines that die, by their numbers; the others are in tests/acceptance/test_traps.py."""

from __future__ import annotations

import pytest

from muster.model.log.catalogue import MachineOffline
from tests.acceptance.crash.plays import first_one_waits, lone
from tests.fixtures.processes import BLAMING, STEADY_S, Installation, gone

pytestmark = [pytest.mark.slow]

# The first attempt goes on for longer than anybody waits, any other is over at once.
FIRST_ONE_HANGS = lone('test "$MUSTER_ATTEMPT" = 1 && sleep 600; echo "$MUSTER_ATTEMPT"')


async def test_trap_04_a_worker_that_dies_does_not_leave_its_step_started_for_ever(site: Installation):
    """Killed without a goodbye, its step goes to another machine and ends once; what it ran is gone when it is back."""
    site.scheduler(policy=BLAMING).launch()
    first = site.agent("m1").launch()
    await site.log.until("machine.connected", machine="m1")
    execution = await site.client.submit(FIRST_ONE_HANGS)
    await site.log.until("attempt.started", execution=execution)
    left = first.descendants()
    first.kill()
    site.agent("m2", interval_s=STEADY_S).launch()
    assert await site.log.ended(execution) == ["succeeded"]
    site.log.each_step_once(execution)
    step = await site.client.step(execution, "work")
    assert (step.outputs, step.machine) == ({"said": "2"}, "m2")
    await first.launch().says("4 slots")
    await gone(left)


async def test_trap_22_a_machine_that_dies_without_a_goodbye_is_offline(site: Installation):
    """Nobody has to ask it: its beats are missed, the verdict has its evidence, and who needs it is told its name."""
    site.scheduler(policy=BLAMING | {"placement_timeout_s": 1.0}).launch()
    agent = site.agent("m1").launch()
    connected = await site.log.until("machine.connected", machine="m1")
    agent.kill()
    verdict = await site.log.until("machine.offline", machine="m1")
    assert isinstance(verdict.event.data, MachineOffline)
    evidence = verdict.event.data.evidence
    assert evidence.session == connected.sequence
    assert evidence.missed >= 3
    assert site.log.of("machine.disconnected") == []
    execution = await site.client.submit(lone("true", machine="m1"))
    assert await site.log.ended(execution) == ["failed"]
    error = (await site.client.state(execution)).error
    assert error is not None
    assert (error.code, error.machine) == ("machine_offline", "m1")


async def test_trap_23_a_late_event_of_a_lost_machine_changes_nothing(site: Installation):
    """What it did while it counted as lost is kept in the log; the outcome stays that of the other machine."""
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
    before = await site.client.state(execution)
    first.unpause()
    late = await site.log.until("attempt.finished", "attempt.stopped", execution=execution, machine="m1")
    await site.log.at_rest()
    assert late.sequence > site.log.of("execution.succeeded", execution=execution)[0].sequence
    after = await site.client.state(execution)
    assert (after.status, after.transitions) == (before.status, before.transitions)
    assert after.steps["work"].outputs == before.steps["work"].outputs == {"said": "2"}
    site.log.each_step_once(execution)
