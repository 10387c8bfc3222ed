"""A shadow beside a leader, on the broker in memory: what it says, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from muster.identity import uuid7
from muster.model.engine.decide import decide
from muster.model.log import catalogue as c
from muster.model.log.commands import Cancel, Heartbeat
from muster.model.log.names import SCHEDULER
from muster.scheduler import leader
from tests.fixtures.play import diamond, workflow
from tests.unit.scheduler.beside import QUICK, Beside, beside
from tests.unit.scheduler.site import Jumping, Site, within


def plant(monkeypatch: pytest.MonkeyPatch, change: Callable[..., Any]) -> None:
    """Let the leader, and only it, decide like this."""
    monkeypatch.setattr(leader, "decide", change)


async def test_a_shadow_agrees_with_its_own_version(site: Site) -> None:
    """Beside a leader of the same version there is nothing to report, before and while work goes on."""
    await site.scheduler("a")
    await site.agent()
    before = await site.submit(diamond())
    await site.until("execution.succeeded", before)
    async with beside(site) as shadow:
        for _ in range(5):
            execution = await site.submit(diamond())
            await site.until("execution.succeeded", execution)
        await shadow.reads(site)
        standing = await shadow.end()
    assert standing.disagreements == 0
    assert standing.decisions > 60
    assert standing.caught_up
    assert shadow.of("decided") + shadow.of("owed") + shadow.of("failed") == []


async def test_a_shadow_writes_nothing(site: Site) -> None:
    """Without a leader a shadow does not lead: no event, no beat, no command is its own."""
    site.puppet("m1")
    await site.submit(diamond())
    async with beside(site) as shadow:
        await shadow.tells("silent")
        assert (await site.client.log.position()).last == 1
        assert await site.client.heartbeats.last(SCHEDULER) is None
        assert len(site.store.queues.items[SCHEDULER]) == 1


def other_reason(state: Any, now: datetime, into: Any = None) -> Any:
    """Decides as always, but says something else in the outputs of an execution."""
    round_ = decide(state, now, into)
    for place, event in enumerate(round_.events):
        if isinstance(event.data, c.ExecutionSucceeded):
            data = msgspec.structs.replace(event.data, outputs={"planted": True})
            round_.events[place] = msgspec.structs.replace(event, data=data)
    return round_


async def test_a_decision_that_differs_is_reported_while_it_is_the_newest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that comes out differently is reported as soon as it is quiet, with what both rest on; once."""
    plant(monkeypatch, other_reason)
    await site.scheduler("a")
    await site.agent()
    async with beside(site) as shadow:
        for count in (1, 2):
            execution = await site.submit(diamond())
            found = await shadow.tells("decided", count)
            assert found.difference.then.data.outputs == {"planted": True}
            assert found.difference.now.data.outputs == {}
            assert found.difference.then.execution == execution
            assert found.difference.grounds["execution"]["id"] == execution
            assert found.leader == "a"
        standing = await shadow.end()
    assert standing.disagreements == 2
    assert len(shadow.said) == len(shadow.of("decided")) + 1


async def test_every_disagreement_of_the_past_is_reported(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One disagreement does not hide the next, nor cause any."""
    plant(monkeypatch, other_reason)
    await site.scheduler("a")
    await site.agent()
    executions = []
    for _ in range(6):  # one after the other: one round does not end two
        executions.append(await site.submit(diamond()))
        await site.until("execution.succeeded", executions[-1])
    async with beside(site, lasts_s=0.0) as shadow:
        standing = await shadow.task
    assert standing.disagreements == 6
    assert {each.difference.then.execution for each in shadow.of("decided")} == {*executions}


async def test_what_was_found_is_told_though_the_broker_is_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disagreement that was found and not told yet when the end came, with the broker away, is told at the end."""
    plant(monkeypatch, other_reason)
    await site.scheduler("a")
    await site.agent()
    async with beside(site) as shadow:
        look = shadow.shadow._erasures.look

        async def breaks() -> Any:
            shadow.broker.disconnect()
            return await look()

        shadow.shadow._erasures.look = breaks  # type: ignore[method-assign]
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        while shadow.broker.connected:
            await asyncio.sleep(0)
        assert shadow.of("decided") == []
        standing = await shadow.end()
    assert standing.disagreements == 1
    assert [each.difference.then.execution for each in shadow.of("decided")] == [execution]


def forgets(kind: type[c.Body]) -> Callable[..., Any]:
    """Never writes events of this kind, nor what follows from them in the round."""

    def change(state: Any, now: datetime, into: Any = None) -> Any:
        round_ = decide(state, now, into)
        for place, event in enumerate(round_.events):
            if isinstance(event.data, kind):
                del round_.events[place:]
                break
        return round_

    return change


async def test_a_leader_that_beats_and_does_not_decide_owes_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due and not decided is reported after the patience, once, though no round was recorded."""
    plant(monkeypatch, forgets(c.StepSucceeded))
    await site.scheduler("a")
    await site.agent()
    async with beside(site) as shadow:
        execution = await site.submit(workflow({"id": "only"}))
        found = await shadow.tells("owed")
        assert found.difference.now.kind == "step.succeeded"
        assert found.difference.now.execution == execution
        assert found.difference.then is None
        await asyncio.sleep(3 * QUICK.patience_s)  # that it is not said again is what is tested
        standing = await shadow.end()
    assert standing.disagreements == 1


async def test_what_is_lacking_is_reported_once_and_counted_after_that(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later round lacks the same decision: those are counted, not reported."""
    plant(monkeypatch, forgets(c.StepStarted))
    await site.scheduler("a")
    puppet = site.puppet("m1")
    async with beside(site) as shadow:
        execution = await site.submit(workflow({"id": "only"}))
        ref = c.AttemptRef(execution, "only", 1)
        await site.until("step.scheduled", execution)
        puppet.say(c.AttemptAccepted(), ref)
        puppet.say(c.AttemptStarted(), ref)
        await shadow.tells("owed")
        for _ in range(3):
            other = await site.submit(workflow({"id": "only"}))
            await site.until("step.scheduled", other)
        standing = await shadow.end()
    assert standing.disagreements == 1
    assert standing.repeated >= 2


async def test_what_is_decided_late_is_said_to_be(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that decides after all what it owed has disagreed, and is said to have made up for it."""
    late = asyncio.Event()

    def change(state: Any, now: datetime, into: Any = None) -> Any:
        return decide(state, now, into) if late.is_set() or into is None or into.events else into

    await site.scheduler("a")
    await site.agent()
    await site.until("machine.connected")
    plant(monkeypatch, change)
    async with beside(site) as shadow:
        execution = await site.submit(diamond())
        found = await shadow.tells("owed")
        late.set()
        await site.until("execution.succeeded", execution)
        said = await shadow.tells("late")
        assert found.difference.now.kind in said.text


async def test_a_leader_that_is_cut_off_is_not_judged(site: Site) -> None:
    """A leader that does not beat owes nothing; that it does not answer is said, and when it does again."""
    connection = await site.scheduler("a")
    puppet = site.puppet("m1")
    execution = await site.submit(workflow({"id": "only"}))
    await site.until("step.scheduled", execution)
    async with beside(site) as shadow:
        connection.disconnect()
        ref = c.AttemptRef(execution, "only", 1)
        puppet.say(c.AttemptAccepted(), ref)
        puppet.say(c.AttemptStarted(), ref)
        puppet.say(c.AttemptFinished(exit_code=0), ref)
        await shadow.tells("silent")
        await asyncio.sleep(2 * QUICK.patience_s)  # that nothing is claimed meanwhile is what is tested
        connection.reconnect()
        await shadow.tells("answers")
        await site.until("execution.succeeded", execution)
        standing = await shadow.end()
    assert standing.disagreements == 0
    assert standing.unanswered_s > 0


async def test_a_shadow_that_slept_blames_nobody(site: Site) -> None:
    """Whatever of it wakes up first: that it heard nothing meanwhile is no sign of a leader that does not answer."""
    clock = Jumping()
    await site.scheduler("a")
    await site.agent()
    async with beside(site, clock=clock) as shadow:
        for number in range(40):
            clock.ahead_s += 20.0
            await asyncio.sleep((1 + number / 20) * QUICK.tick_s)  # so long it is awake
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        await shadow.reads(site)
        standing = await shadow.end()
    assert shadow.of("silent") == []
    assert standing.disagreements == 0


async def test_a_takeover_in_mid_round_is_no_disagreement(site: Site) -> None:
    """What a leader left half written and another finished comes out the same."""
    first = await site.scheduler("a")
    await site.until("leader.elected")
    await site.scheduler("b")
    await site.agent()
    await site.until("machine.connected")
    async with beside(site) as shadow:
        first.cut_next(3)
        execution = await site.submit(workflow(*({"id": f"s{n}"} for n in range(4))))
        while not await site.history(execution):
            await asyncio.sleep(0)
        first.disconnect()
        await site.until("execution.succeeded", execution)
        await shadow.tells("leads")
        standing = await shadow.end()
    assert standing.disagreements == 0


async def test_a_version_that_fails_is_reported_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shadow whose own deciding raises says so, and compares the next round again."""
    calls = 0

    def fails_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ZeroDivisionError("planted")
        return decide(*arguments)

    await site.scheduler("a")
    await site.agent()
    execution = await site.submit(diamond())
    await site.until("execution.succeeded", execution)
    monkeypatch.setattr("muster.model.proof.replay.decide", fails_once)
    async with beside(site, lasts_s=0.0) as shadow:
        standing = await shadow.task
    (found,) = shadow.of("failed")
    assert found.error == "ZeroDivisionError: planted"
    assert standing.disagreements == 1
    assert standing.rounds > 2


async def test_an_event_that_cannot_be_folded_ends_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that cannot read the log could not lead: that is reported, and is the end."""

    def refuses(_: Any) -> Any:
        raise ValueError("planted")

    await site.scheduler("a")
    execution = await site.submit(diamond())
    await site.until("execution.started", execution)
    await site.many_ticks()
    monkeypatch.setattr("muster.model.engine.evolve.lower", refuses)
    found = Beside(site)
    async with within(5):
        standing = await found.task
    assert [each.error for each in found.of("failed")][-1] == "ValueError: planted"
    assert standing.disagreements >= 1
    await found.broker.close()


# ---- the end


async def test_a_shadow_ends_by_itself(site: Site) -> None:
    """It reads the whole log, goes on for as long as it was told to, and says what it compared."""
    await site.scheduler("a")
    await site.agent()
    execution = await site.submit(diamond())
    await site.until("execution.succeeded", execution)
    async with beside(site, lasts_s=0.2) as shadow:
        standing = await shadow.task
    assert standing.caught_up
    assert standing.leader == "a"
    assert standing.sequence == standing.end


async def test_the_past_may_be_left_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a start, what was decided before it is folded and not compared."""
    plant(monkeypatch, other_reason)
    await site.scheduler("a")
    await site.agent()
    before = await site.submit(diamond())
    ended = await site.until("execution.succeeded", before)
    monkeypatch.undo()
    async with beside(site, start=ended.sequence + 1) as shadow:
        after = await site.submit(diamond())
        await site.until("execution.succeeded", after)
        await site.send("cancel", Cancel(id=uuid7(), execution="nobody"))
        await site.until("command.refused")
        standing = await shadow.end()
    assert standing.disagreements == 0
    assert standing.rounds > 0


async def test_a_replaced_leaders_beats_say_nothing(site: Site) -> None:
    """The beats of one who was replaced do not make the leader answer."""
    connection = await site.scheduler("a")
    await site.until("leader.elected")
    async with beside(site) as shadow:
        connection.disconnect()
        await shadow.tells("silent")
        old = Heartbeat(name=SCHEDULER, sequence=9, session=0, interval_s=1.0, time=datetime.now(UTC))
        await site.client.heartbeats.beat(old)
        await asyncio.sleep(5 * QUICK.tick_s)  # that it changes nothing is what is tested
        assert shadow.of("answers") == []
        connection.reconnect()
