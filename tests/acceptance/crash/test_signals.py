"""Ctrl-C and SIGTERM: every process ends in order, with the exit code it promises, and leaves nothing running."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing

import pytest

from muster.cli.failures import INTERRUPTED, OK
from muster.model.log.catalogue import MachineDisconnected
from tests.acceptance.crash.plays import NOTHING, lone, reflected
from tests.fixtures.processes import PATIENCE_S, Installation, Program, gone

SIGNALS = [signal.SIGINT, signal.SIGTERM]
AGENT = ("agent", "--name", "m1", "--runtime", "process")

pytestmark = [pytest.mark.slow]


async def _ends(program: Program, number: signal.Signals) -> None:
    """It ends well, without complaint and without leaving a process behind."""
    children = program.descendants()
    assert await program.end(number) == OK
    assert "Traceback" not in program.log
    await gone(children)


@pytest.mark.parametrize("number", SIGNALS)
async def test_an_agent_drains(site: Installation, number: signal.Signals) -> None:
    """It stops what runs, says so and that it leaves, and its step waits for it to come back."""
    await site.scheduler().launch().says("leads")
    agent = await site.muster("agent", *AGENT).launch().says("slots")
    execution = await site.client.submit(
        lone('test "$MUSTER_ATTEMPT" = 1 && sleep 600; echo "$MUSTER_ATTEMPT"')
    )
    await site.log.until("attempt.started", execution=execution)
    assert agent.descendants()
    await _ends(agent, number)
    stopped = await site.log.until("attempt.stopped", execution=execution)
    left = await site.log.until("machine.disconnected", machine="m1")
    assert stopped.sequence < left.sequence
    assert isinstance(left.event.data, MachineDisconnected)
    assert left.event.data.reason
    assert site.log.of("machine.offline") == []
    await agent.launch().says("slots")
    assert await site.log.ended(execution) == ["succeeded"]
    site.log.each_step_once(execution)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_scheduler_drains(site: Installation, number: signal.Signals) -> None:
    """It says goodbye, so that a standby leads at once, and not only when beats are missed."""
    first = await site.muster("first", "scheduler", "--name", "first").launch().says("leads")
    patient = ("--set", "takeover_after_s=10m")  # by missed beats it would never lead here
    second = site.muster("second", "scheduler", "--name", "second", *patient)
    await second.launch().says("stands by")
    await site.agent().launch().says("slots")
    execution = await site.client.submit(NOTHING)
    assert await site.log.ended(execution) == ["succeeded"]
    await _ends(first, number)
    await site.log.until("leader.elected", count=2)
    after = await site.client.submit(NOTHING)
    assert await site.log.ended(after) == ["succeeded"]
    await _ends(second, number)


@pytest.mark.parametrize("number", SIGNALS)
async def test_projections_drain(site: Installation, number: signal.Signals) -> None:
    """They write what they have read, and go on from there when they are back."""
    await site.scheduler().launch().says("leads")
    await site.agent().launch().says("slots")
    view = await site.muster("view", "projections", "run").launch().says("keep")
    execution = await site.client.submit(NOTHING)
    assert await site.log.ended(execution) == ["succeeded"]
    reached = await reflected(site.view, site.log)
    await _ends(view, number)
    await view.launch().says(f"at sequence {reached} of")


async def test_a_second_signal_does_not_wait(site: Installation) -> None:
    """A step that will not stop holds up the first Ctrl-C; the second one ends the agent, and the step with it."""
    await site.scheduler().launch().says("leads")
    agent = await site.muster("agent", *AGENT).launch().says("slots")
    execution = await site.client.submit(
        lone("trap 'echo asked' TERM; echo deaf; while true; do sleep 0.1; done", stop_grace_period="10m")
    )
    async with asyncio.timeout(PATIENCE_S), aclosing(site.broker.lines.read(execution, follow=True)) as lines:
        assert (await anext(lines))[2].text == "deaf"
        children = agent.descendants()
        agent.send(signal.SIGINT)
        while (await anext(lines))[2].text != "asked":  # the shell may tell of its sleep before
            pass
    with pytest.raises(AssertionError):
        await site.log.until("attempt.stopped", execution=execution, timeout_s=1.0)
    assert await agent.end(signal.SIGINT) == INTERRUPTED
    assert "Traceback" not in agent.log
    await gone(children)


async def test_a_client_is_interrupted(site: Installation) -> None:
    """Ctrl-C ends `muster run` with 130, and the execution goes on without it."""
    await site.scheduler().launch().says("leads")
    workflow = site.folder / "two.yaml"
    workflow.write_text("name: two\nsteps:\n- {id: work, image: none, command: 'true'}\n")
    run = site.muster("run", "run", str(workflow)).launch()
    queued = await site.log.until("execution.queued")
    assert await run.end(signal.SIGINT) == INTERRUPTED
    assert "Traceback" not in run.log
    await site.agent().launch().says("slots")
    assert await site.log.ended(queued.event.execution) == ["succeeded"]
