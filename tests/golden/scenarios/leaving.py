"""Machines that die, sleep, leave, come back, or were never there."""

from __future__ import annotations

from muster.model.log.envelope import Recorded
from tests.fixtures.processes import Program
from tests.golden.scenario import derived, prints, scenario, step
from tests.golden.stage import Stage

FIRST_HANGS = 'test "$MUSTER_ATTEMPT" = 1 && exec sleep 60; echo "$MUSTER_ATTEMPT"'
LONG = "exec sleep 60"


@scenario
async def machine_offline(stage: Stage) -> None:
    """A machine dies in mid-step: after its beats stay away the step is given to another one."""
    await stage.leader()
    first = await stage.machine("m1")
    await stage.submit("offline-1", prints("it", FIRST_HANGS))
    await stage.log.until("attempt.started")
    await stage.machine("m2")
    first.kill()
    assert await stage.log.ended("offline-1") == ["succeeded"]


@scenario
async def late_fact(stage: Stage) -> None:
    """What a machine that only slept finishes after its attempt was superseded stands in the log and counts nothing."""
    await stage.leader()
    first = await stage.machine("m1")
    await stage.submit(
        "late-1", prints("it", 'test "$MUSTER_ATTEMPT" = 1 && sleep 1; echo "$MUSTER_ATTEMPT"')
    )
    await stage.log.until("attempt.started")
    first.pause()
    await stage.machine("m2")
    assert await stage.log.ended("late-1") == ["succeeded"]
    first.unpause()
    await stage.log.until("attempt.finished", "attempt.stopped", machine="m1")
    await stage.log.until("machine.online")
    assert await stage.run("again-1", step("it", machine="m1")) == "succeeded"


@scenario
async def machine_wakes(stage: Stage) -> None:
    """A step waits for a machine that sleeps, and is given to it in the round in which that is found to be back."""
    await stage.leader()
    agent = await stage.machine()
    agent.pause()
    await stage.log.until("machine.offline")
    await stage.submit("wakes-1", step("it", machine="m1"))
    await stage.log.until("execution.started")
    agent.unpause()
    assert await stage.log.ended("wakes-1") == ["succeeded"]


@scenario
async def lost_for_good(stage: Stage) -> None:
    """MachineOfflineError: the machine dies once more than the step's budget for losses lasts."""
    await stage.leader(policy={"lost_max": 1})
    for number in (1, 2):
        agent = await stage.machine(f"m{number}")
        if number == 1:
            await stage.submit("lost-1", step("it", LONG))
        await stage.log.until("attempt.started", count=number)
        agent.kill()
        await stage.log.until("machine.offline", count=number)
    assert await stage.log.ended("lost-1") == ["failed"]


@scenario
async def agent_restarted(stage: Stage) -> None:
    """AttemptLostError: an agent dies and comes back before it is missed, and its processes are gone; another try."""
    await stage.leader()
    agent = await stage.machine(interval_s=5.0)
    await stage.submit("restarted-1", prints("it", FIRST_HANGS))
    await stage.log.until("attempt.started")
    agent.kill()
    agent.launch()
    assert await stage.log.ended("restarted-1") == ["succeeded"]


@scenario
async def agent_restarted_too_often(stage: Stage) -> None:
    """AttemptLostError ends the step: its agent was killed and restarted more often than its budget lasts."""
    await stage.leader()
    agent = await stage.machine(interval_s=5.0)
    await stage.submit("often-1", step("it", LONG))
    for number in range(1, 5):
        await stage.log.until("attempt.started", count=number)
        agent.kill()
        agent.launch()
    assert await stage.log.ended("often-1") == ["failed"]


@scenario
async def no_trace(stage: Stage) -> None:
    """An agent comes back without its disk and lists nothing: what it had taken is superseded, and its slot is free."""
    await stage.leader()
    agent = await stage.machine(interval_s=5.0, slots=1)
    await stage.submit("trace-1", prints("it", FIRST_HANGS))
    await stage.log.until("attempt.started")
    agent.kill()
    stage.forget_disk("m1")
    agent.launch()
    assert await stage.log.ended("trace-1") == ["succeeded"]


@scenario
async def never_connected(stage: Stage) -> None:
    """NotConnectedError: the machine that is asked for never came; what needs no machine by name runs."""
    await stage.leader(policy={"placement_timeout_s": 1.0})
    await stage.machine()
    assert await stage.run("never-1", step("it", machine="nobody")) == "failed"
    assert await stage.run("other-1", step("it")) == "succeeded"


@scenario
async def named_machine_died(stage: Stage) -> None:
    """MachineOfflineError: the machine that is asked for had died before."""
    await stage.leader(policy={"placement_timeout_s": 1.0})
    (await stage.machine("ghost")).kill()
    await stage.log.until("machine.offline")
    await stage.machine("m1")
    assert await stage.run("ghost-1", step("it", machine="ghost")) == "failed"


@scenario
async def named_machine_dies(stage: Stage) -> None:
    """MachineOfflineError: a step waits for room on the machine it names, and that dies; patience counts from then."""
    await (await stage.machine()).end()
    await stage.log.until("machine.disconnected")
    agent = await _full(stage)
    agent.kill()
    assert await stage.log.ended("holds-1", "waits-1") == ["failed"] * 2


@scenario
async def named_machine_leaves(stage: Stage) -> None:
    """NotConnectedError: a step waits for room on the machine it names, and that says goodbye."""
    agent = await _full(stage)
    await agent.end()
    assert await stage.log.ended("holds-1", "waits-1") == ["failed"] * 2


async def _full(stage: Stage) -> Program:
    await stage.leader(policy={"placement_timeout_s": 1.0, "lost_max": 0})
    agent = await stage.machine(slots=1)
    await stage.submit("holds-1", step("it", LONG))
    await stage.log.until("attempt.started")
    await stage.submit("waits-1", step("it", machine="m1"))
    return agent


@scenario
async def everybody_left(stage: Stage) -> None:
    """NotConnectedError: every machine that could hold the step said goodbye, and none came back in time."""
    await stage.leader(policy={"offline_timeout_s": 1.0})
    agent = await stage.machine(labels={"disk": "fast"})
    await stage.machine("m2")
    await agent.end()
    await stage.log.until("machine.disconnected")
    assert await stage.run("left-1", step("it", machine={"labels": {"disk": "fast"}})) == "failed"


@scenario
async def impossible_place(stage: Stage) -> None:
    """PlacementError: no machine there is could ever hold the step."""
    await stage.leader()
    await stage.machine()
    asked = {"slots": 99, "cpus": 64, "memory": "1Ti", "gpus": 2}
    for name, number in asked.items():
        assert await stage.run(f"{name}-1", step("it", resources={name: number})) == "failed"
    assert await stage.run("label-1", step("it", machine={"labels": {"disk": "fast"}})) == "failed"
    wide = step("it", machine="m1", resources={"cpus": 64})
    assert await stage.run("named-1", wide) == "failed"


@scenario
async def goodbye_and_back(stage: Stage) -> None:
    """An agent ends in order in mid-step: its attempt is stopped, the step waits for it and runs when it is back."""
    await stage.leader()
    agent = await stage.machine()
    await stage.submit("goodbye-1", prints("it", FIRST_HANGS, stop_grace_period="1s"))
    await stage.log.until("attempt.started")
    await agent.end()
    await stage.log.until("machine.disconnected")
    agent.launch()
    assert await stage.log.ended("goodbye-1") == ["succeeded"]


@scenario
async def slow_goodbye(stage: Stage) -> None:
    """While an agent waits for its last attempt to stop, the other one's step is not given to it again."""
    await stage.leader()
    agent = await stage.machine()
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    again = 'test "$MUSTER_ATTEMPT" = 1 && '
    await stage.submit(
        "slow-1",
        step("deaf", f"{again}{{ {deaf}; }}; true", stop_grace_period="1s"),
        step("polite", f"{again}sleep 60; true"),
    )
    await stage.log.until("attempt.started", count=2)
    await agent.end()
    agent.launch()
    assert await stage.log.ended("slow-1") == ["succeeded"]


@scenario
async def name_taken_over(stage: Stage) -> None:
    """A second agent takes the name of the first: what that ran is lost, and runs again."""
    await stage.leader()
    first = await stage.machine()
    await stage.submit("taken-1", prints("it", FIRST_HANGS))
    await stage.log.until("attempt.started")
    second = stage.elsewhere("m1").launch()
    assert await first.exits() == 2
    assert await stage.log.ended("taken-1") == ["succeeded"]
    assert second.running


@scenario
async def not_taken_up(stage: Stage) -> None:
    """A machine that counts as there and takes up nothing: after a time the attempt goes elsewhere."""
    await stage.leader(policy={"accept_timeout_s": 2.0, "resend_after_s": 0.8})
    deaf = await stage.machine("m1", interval_s=30.0)
    deaf.pause()
    await stage.submit("untaken-1", prints("it", 'echo "$MUSTER_ATTEMPT"'))
    await stage.log.until("step.scheduled")
    await stage.machine("m2", slots=8)
    await stage.log.until("attempt.superseded")
    assert await stage.log.ended("untaken-1") == ["succeeded"]
    deaf.unpause()
    await stage.rest()


@derived("machine-offline")
def died_unnoticed(log: list[Recorded]) -> list[Recorded]:
    """The log ends while a machine is silent and nobody has said so yet."""
    return [recorded for recorded in log if recorded.sequence < _first(log, "machine.offline")]


def _first(log: list[Recorded], kind: str) -> int:
    return next(recorded.sequence for recorded in log if recorded.event.kind == kind)
