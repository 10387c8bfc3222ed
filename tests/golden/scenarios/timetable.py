"""Schedules: what is run by itself, what is passed over, and what is asked of them."""

from __future__ import annotations

import asyncio
from typing import Any

from muster.model.log.commands import PauseSchedule, TriggerSchedule
from tests.golden.scenario import scenario, step
from tests.golden.stage import Stage, fresh


def due(every: str, *steps: dict[str, Any], **schedule: Any) -> dict[str, Any]:
    """A workflow of these steps that is run so often."""
    return {"name": "timed", "steps": list(steps), "schedule": {"every": every, **schedule}}


@scenario
async def scheduled(stage: Stage) -> None:
    """Run each second, paused, resumed, triggered out of turn, and removed; what is unknown is refused."""
    await stage.leader()
    await stage.machine()
    await stage.client.schedule(due("1s", step("work")), name="tick")
    await stage.log.until("schedule.fired", count=2)
    await stage.client.pause_schedule("tick", "enough")
    await stage.log.ended(*(each.event.execution for each in stage.log.of("execution.queued")))
    await stage.client.trigger_schedule("tick", execution="tick-now")
    assert await stage.log.ended("tick-now") == ["succeeded"]
    await stage.client.resume_schedule("tick")
    await stage.log.until("schedule.fired", count=3)
    await stage.client.remove_schedule("tick", "no more")
    await stage.log.ended(*(each.event.execution for each in stage.log.of("execution.queued")))
    await stage.send("pause-schedule", PauseSchedule(id=fresh(), name="tick"))
    await stage.log.until("command.refused")


@scenario
async def schedule_that_overlaps(stage: Stage) -> None:
    """Due while the last one goes on it is skipped, and may not be triggered either."""
    await stage.leader()
    await stage.machine()
    await stage.client.schedule(due("1s", step("work", "exec sleep 60")), name="slow")
    await stage.log.until("attempt.started")
    await stage.send("trigger-schedule", TriggerSchedule(id=fresh(), name="slow", execution="slow-now"))
    await stage.log.until("command.refused")
    await stage.log.until("schedule.skipped")
    await stage.client.remove_schedule("slow")
    (execution,) = (each.event.execution for each in stage.log.of("execution.queued"))
    await stage.client.cancel(execution)
    assert await stage.log.ended(execution) == ["cancelled"]


@scenario
async def schedule_without_a_leader(stage: Stage) -> None:
    """No scheduler is there for some seconds: the next one runs what was missed, one after the other."""
    first = await stage.leader()
    await stage.machine()
    await stage.client.schedule(due("1s", step("work"), catch_up="all"), name="tick")
    await stage.log.until("schedule.fired")
    first.kill()
    await asyncio.sleep(4.0)  # beyond the time that several are due
    await stage.leader("second")
    await stage.log.until("schedule.fired", count=4)
    await stage.client.remove_schedule("tick")
    ids = [each.event.execution for each in stage.log.of("execution.queued")]
    assert set(await stage.log.ended(*ids)) == {"succeeded"}
