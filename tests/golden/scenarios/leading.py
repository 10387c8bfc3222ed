"""Schedulers that die, sleep and are followed by others; a broker that goes away."""

from __future__ import annotations

import asyncio

from muster.fixtures import load
from muster.model.log.envelope import Recorded, encode
from muster.model.log.names import SCHEDULER
from tests.golden.scenario import Cut, derived, prints, retry, scenario, step
from tests.golden.stage import Stage
from tests.golden.store import history

STEPS = [
    prints("a", "echo a"),
    prints("b", "test $MUSTER_ATTEMPT = 2 && echo ${{ steps.a.outputs.said }}b", retry=retry(2)),
    prints("c", "echo ${{ steps.a.outputs.said }}c"),
    prints("d", "echo ${{ steps.b.outputs.said + steps.c.outputs.said }}"),
]


@scenario
async def leader_dies_before_writing(stage: Stage) -> None:
    """A leader is killed with a round that it decided and did not write; the next one decides it anew."""
    leader = await stage.leader(fault="scheduler.append.before:4")
    await stage.machine()
    await stage.submit("before-1", *STEPS)
    await leader.halted()
    leader.kill()
    leader.launch()
    assert await stage.log.ended("before-1") == ["succeeded"]


@scenario
async def leader_dies_after_writing(stage: Stage) -> None:
    """A leader is killed when its round is in the log and no command was sent; the next one sends it."""
    leader = await stage.leader(fault="scheduler.append.after:3")
    await stage.machine()
    await stage.submit("after-1", *STEPS)
    await leader.halted()
    leader.kill()
    leader.launch()
    assert await stage.log.ended("after-1") == ["succeeded"]


@scenario
async def standby_takes_over(stage: Stage) -> None:
    """The leader is killed, and the scheduler that stood by leads on."""
    leader = await stage.leader("first")
    await stage.scheduler("second").launch().says("stands by")
    await stage.machine()
    await stage.submit("standby-1", prints("a", "sleep 0.5; echo a"), step("b", needs=["a"]))
    await stage.log.until("attempt.started")
    leader.kill()
    assert await stage.log.ended("standby-1") == ["succeeded"]
    await stage.log.until("leader.elected", count=2)
    assert await stage.run("standby-2", step("a")) == "succeeded"


@scenario
async def leader_sleeps(stage: Stage) -> None:
    """A leader sleeps in mid-write while another is elected: nothing that it decided comes after that."""
    leader = await stage.leader("first", fault="scheduler.append.before:3")
    await stage.machine()
    await stage.submit("sleeps-1", *STEPS)
    await leader.halted()
    await stage.leader("second")
    assert await stage.log.ended("sleeps-1") == ["succeeded"]
    leader.unpause()
    await leader.says("no longer leading")
    assert await stage.run("sleeps-2", step("a")) == "succeeded"


@scenario
async def leader_with_other_policy(stage: Stage) -> None:
    """The next leader has another policy: what it decides rests on that one."""
    leader = await stage.leader(policy={"lost_max": 5, "placement_timeout_s": 60.0})
    await stage.machine()
    await stage.submit("policy-1", step("it", machine="nobody"))
    await stage.log.until("execution.started")
    leader.kill()
    await stage.leader("second", policy={"placement_timeout_s": 0.5})
    assert await stage.log.ended("policy-1") == ["failed"]


@scenario
async def leader_changes_in_backoff(stage: Stage) -> None:
    """A leader dies while a step waits for its next attempt: the next leader makes it when it is due."""
    leader = await stage.leader()
    await stage.machine()
    waits = {"max_attempts": 2, "backoff": {"initial": "3s", "jitter": False}}
    await stage.submit("backoff-1", prints("it", "test $MUSTER_ATTEMPT = 2 && echo on", retry=waits))
    await stage.log.until("step.retrying")
    leader.kill()
    await stage.leader("second")
    assert await stage.log.ended("backoff-1") == ["succeeded"]


@scenario
async def leader_changes_in_the_ending(stage: Stage) -> None:
    """A leader dies while a machine does not stop what was cancelled: the next one gives up on it in time."""
    policy = {"ending_timeout_s": 4.0}
    leader = await stage.leader(policy=policy)
    agent = await stage.machine(interval_s=30.0)
    await stage.machine("m2")
    await stage.submit("ending-1", step("it", "exec sleep 60", stop_grace_period="500ms"))
    await stage.log.until("step.started")
    agent.pause()
    await stage.client.cancel("ending-1")
    leader.kill()
    await stage.leader("second", policy=policy)
    assert await stage.run("between-1", step("it", machine="m2")) == "succeeded"
    assert await stage.log.ended("ending-1") == ["cancelled"]


@scenario
async def leader_changes_untaken(stage: Stage) -> None:
    """A leader dies while a machine does not take up a start: for the next one it is lost when its time is over."""
    policy = {"accept_timeout_s": 4.0, "resend_after_s": 1.0}
    leader = await stage.leader(policy=policy)
    agent = await stage.machine("m1", interval_s=30.0)
    agent.pause()
    await stage.submit("untaken-1", step("it"))
    await stage.log.until("step.scheduled")
    leader.kill()
    await stage.leader("second", policy=policy)
    await stage.machine("m2", slots=8)
    assert await stage.run("between-1", step("it", machine="m2")) == "succeeded"
    assert await stage.log.ended("untaken-1") == ["succeeded"]


@scenario
async def broker_restarted(stage: Stage) -> None:
    """The broker is killed and comes back in the middle of everything: nothing is there twice and nobody is blamed."""
    await stage.leader()
    await stage.machine()
    await stage.submit(
        "broker-1", *(prints(name, "sleep 0.3; echo on") for name in "abcdef"), *_joined("abcdef")
    )
    await stage.log.until("attempt.started")
    await asyncio.to_thread(stage.server.kill)
    await asyncio.sleep(0.5)  # so long nobody can write
    await asyncio.to_thread(stage.server.start)
    assert await stage.log.ended("broker-1") == ["succeeded"]


@scenario
async def elected_again(stage: Stage) -> None:
    """A leader does not hear that its round was written: it is elected again, and finds the round in the log."""
    async with stage.weak_leader() as network:
        await stage.machine(interval_s=30.0)
        waits = {"max_attempts": 2, "backoff": {"initial": "1s", "jitter": False}}
        tries = [prints(name, "test $MUSTER_ATTEMPT = 2 && echo on", retry=waits) for name in ("a", "b")]
        await stage.submit("again-1", *tries)
        await stage.log.until("step.retrying", count=2)
        network.mute()
        await stage.log.until("step.scheduled", count=4)
        await asyncio.sleep(6.0)  # beyond the deadline of a write
        network.restore()
        assert await stage.log.ended("again-1") == ["succeeded"]
        await stage.log.until("leader.elected", count=2)
        await stage.rest()


def _joined(names: str) -> list[dict[str, object]]:
    return [step("join", needs=list(names))]


@scenario
async def round_cut_at_the_beginning(stage: Stage) -> None:
    """A leader died when only a part of its first round about an execution was written; another makes the rest."""
    await _go_on(stage, "two-executions", _cut_in(1))


@scenario
async def round_cut_in_mid_loss(stage: Stage) -> None:
    """A leader died between superseding an attempt and giving its step another; the next one does that."""
    await _go_on(stage, "machine-offline", _cut_behind("attempt.superseded"))


@scenario
async def round_cut_at_the_end(stage: Stage) -> None:
    """A leader died between a step's success and the end of its execution."""
    await _go_on(stage, "hello", _cut_behind("step.succeeded"))


@scenario
async def round_cut_in_the_ending(stage: Stage) -> None:
    """A leader died when the end was decided and the steps that will not run had no outcome yet."""
    await _go_on(stage, "siblings-drain", _cut_behind("execution.ending"))


async def _go_on(stage: Stage, source: str, begin: Cut) -> None:
    """Begin with a part of a recorded log, and let a new scheduler and a new machine go on."""
    recorded = load(history(source))
    cut = begin(recorded)
    assert 0 < len(cut) < len(recorded)
    await stage.seed([encode(each.event) for each in cut])
    await stage.leader("second")
    await stage.machine("m1")
    await stage.machine("m2")
    executions = {each.event.execution for each in cut if each.event.execution != "-"}
    await stage.log.ended(*executions)


def _cut_in(number: int) -> Cut:
    """In the middle of the ``number``-th round that wrote several decisions."""

    def cut(log: list[Recorded]) -> list[Recorded]:
        bases: dict[str, list[int]] = {}
        for recorded in log:
            if recorded.event.writer == SCHEDULER and recorded.event.basis:
                bases.setdefault(recorded.event.basis, []).append(recorded.sequence)
        several = [places for places in bases.values() if len(places) > 2]
        last = several[number - 1][1]
        return [recorded for recorded in log if recorded.sequence <= last]

    return cut


def _cut_behind(kind: str) -> Cut:
    """Right behind the first event of this kind."""

    def cut(log: list[Recorded]) -> list[Recorded]:
        last = next(recorded.sequence for recorded in log if recorded.event.kind == kind)
        return [recorded for recorded in log if recorded.sequence <= last]

    return cut


@derived("diamond")
def cut_off(log: list[Recorded]) -> list[Recorded]:
    """The log ends in the middle of a round, with nobody yet who could go on."""
    return _cut_behind("step.succeeded")(log)
