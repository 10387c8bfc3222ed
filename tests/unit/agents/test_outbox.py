"""The outbox: numbers, acknowledgements, restarts, back-pressure."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.model.log.catalogue import (
    AttemptAccepted,
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    MachineDisconnected,
)
from muster_agents.journal import Journal
from muster_agents.options import AgentOptions
from muster_agents.outbox import Outbox
from tests.unit.agents.scene import order

REF = order().ref
OPTIONS = AgentOptions(name="m1", sync_interval_s=0.01, outbox_segment_bytes=4096)


async def opened(folder: Path, options: AgentOptions = OPTIONS) -> Outbox:
    outbox = Outbox(Journal(folder), options)
    await outbox.open()
    return outbox


def numbers(outbox: Outbox) -> list[int | None]:
    return [event.n for event in outbox.waiting(1000)]


async def test_facts_are_numbered_and_named_in_order(tmp_path):
    """Each fact gets the next number, and its id is the machine's name with that number."""
    outbox = await opened(tmp_path)
    outbox.settle(7)
    events = [await outbox.put(AttemptAccepted(), REF), await outbox.put(AttemptStarted(), REF)]
    assert [(event.n, event.id) for event in events] == [(8, "m1/8"), (9, "m1/9")]
    await outbox.close()


async def test_what_waits_survives_a_death(tmp_path):
    """An outbox that was never closed gives its facts to the next one, byte for byte and in order."""
    first = await opened(tmp_path)
    written = [await first.put(AttemptStarted(), REF) for _ in range(3)]
    second = await opened(tmp_path)
    assert [event.id for event in second.waiting(10)] == [event.id for event in written]
    await second.close()
    await first.close()


async def test_what_the_log_has_is_dropped(tmp_path):
    """After a restart the log says what it has; the rest goes on behind it."""
    first = await opened(tmp_path)
    for _ in range(5):
        await first.put(AttemptStarted(), REF)
    await first.close()
    second = await opened(tmp_path)
    second.settle(3)
    assert numbers(second) == [4, 5]
    assert second.before == 3
    assert (await second.put(AttemptStarted(), REF)).n == 6
    await second.close()


async def test_numbers_go_on_above_the_logs(tmp_path):
    """Where the log has seen higher numbers than this disk, they are not used again."""
    outbox = await opened(tmp_path)
    outbox.settle(100)
    assert (await outbox.put(AttemptStarted(), REF)).n == 101
    await outbox.close()


async def test_numbers_are_remembered_when_nothing_waits(tmp_path):
    """A number that was used is not used again, even if the log lost its event."""
    first = await opened(tmp_path)
    for _ in range(5):
        await first.put(AttemptStarted(), REF)
    first.sent(5)
    await first._rotate()
    await first.close()
    second = await opened(tmp_path)
    second.settle(2)
    assert (len(second), second.before) == (0, 5)
    await second.close()


async def test_an_old_goodbye_is_not_sent(tmp_path):
    """A goodbye that was not taken would, after the next connection, take that one back."""
    first = await opened(tmp_path)
    await first.put(AttemptStarted(), REF)
    await first.put(MachineDisconnected(reason="agent ends"))
    await first.close()
    second = await opened(tmp_path)
    assert numbers(second) == [1]
    assert (await second.put(AttemptStarted(), REF)).n == 3
    await second.close()


async def test_an_accepted_attempt_is_held_until_its_last_fact(tmp_path):
    """The order and what was told of it survive a death; after the last fact it is not held any more."""
    first = await opened(tmp_path)
    await first.accept(order("a"))
    await first.accept(order("b"))
    await first.put(AttemptAccepted(), AttemptRef("e1", "a", 1))
    await first.put(AttemptStarted(), AttemptRef("e1", "a", 1))
    await first.put(AttemptFinished(), AttemptRef("e1", "b", 1))
    first.sent(3)
    second = await opened(tmp_path)
    [(ref, held)] = second.held.items()
    assert (ref.step, held.order) == ("a", order("a"))
    assert list(held.told) == ["attempt.accepted", "attempt.started"]
    third = await opened(tmp_path)
    assert third.held == second.held
    for outbox in (first, second, third):
        await outbox.close()


async def test_a_finished_attempt_is_unsent_until_the_log_has_its_end(tmp_path):
    """The agent answers for an attempt as long as its last fact has not arrived."""
    first = await opened(tmp_path)
    await first.accept(order())
    await first.put(AttemptFinished(), REF)
    await first.close()
    second = await opened(tmp_path)
    second.settle(0)
    assert list(second.unsent) == [REF]
    second.settle(1)
    assert not second.unsent
    await second.close()


async def test_a_quick_calls_facts_go_together(tmp_path):
    """That an attempt was accepted and began waits a moment for its end; without one it is sent all the same."""
    outbox = await opened(tmp_path)
    await outbox.put(AttemptAccepted(), REF)
    await outbox.put(AttemptStarted(), REF)
    assert not outbox.arrived.is_set()
    await outbox.put(AttemptFinished(), REF)
    assert outbox.arrived.is_set()
    assert numbers(outbox) == [1, 2, 3]
    outbox.sent(3)
    await outbox.put(AttemptAccepted(), REF)
    assert not outbox.arrived.is_set()
    async with asyncio.timeout(10):
        await outbox.arrived.wait()
    await outbox.close()


async def test_a_full_outbox_makes_writers_wait(tmp_path):
    """Above the bound a writer waits until something was sent; nothing is dropped."""
    outbox = await opened(tmp_path, AgentOptions(name="m1", outbox_bytes=300))
    while not outbox.full:
        await outbox.put(AttemptStarted(), REF)
    writer = asyncio.create_task(outbox.put(AttemptStarted(), REF))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not writer.done()
    before = len(outbox)
    outbox.sent(before)
    assert (await writer).n == before + 1
    await outbox.close()


async def test_the_journal_is_rotated_when_it_is_history(tmp_path):
    """A journal of things done with becomes small again while the agent works, and loses nothing that waits."""
    outbox = await opened(tmp_path)
    keeper = asyncio.create_task(outbox.maintain())
    await outbox.accept(order("held"))
    for _ in range(60):
        await outbox.put(AttemptStarted(), REF)
    outbox.sent(58)
    async with asyncio.timeout(10):
        while outbox._journal.size > 4096:
            await asyncio.sleep(0.01)
    keeper.cancel()
    await asyncio.wait({keeper})
    await outbox.close()
    second = await opened(tmp_path)
    assert numbers(second) == [59, 60]
    assert [ref.step for ref in second.held] == ["held"]
    await second.close()


async def test_a_hole_in_the_log_is_filled_behind(tmp_path):
    """Facts the log has passed over get new numbers, since a reader ignores those below what it has seen."""
    outbox = await opened(tmp_path)
    events = [await outbox.put(AttemptStarted(), REF) for _ in range(4)]
    outbox.renumber(3, [events[1]])
    assert numbers(outbox) == [4, 5]
    await outbox.close()


STEPS = st.lists(
    st.one_of(
        st.just(("put", 0)),
        st.tuples(st.just("sent"), st.integers(0, 5)),
        st.just(("die", 0)),
        st.just(("rotate", 0)),
    ),
    max_size=30,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.blocking(reason="Hypothesis runs its examples on loops of its own")
def test_nothing_is_lost_and_nothing_doubled(tmp_path_factory, steps):
    """Whatever happens in whatever order, the log gets every number once and in order."""
    folder = tmp_path_factory.mktemp("outbox")
    asyncio.run(_history(folder, steps))


async def _history(folder, steps):
    outbox = await opened(folder)
    received: list[int] = []
    put = 0
    outbox.settle(0)

    def send(count):
        taken = [number or 0 for number in numbers(outbox)[:count]]
        received.extend(taken)
        outbox.sent(len(taken))

    for what, count in steps:
        if what == "put":
            put = (await outbox.put(AttemptStarted(), REF)).n or 0
        elif what == "sent":
            send(count)
        elif what == "rotate":
            await outbox._rotate()
        else:
            await outbox.close()
            outbox = await opened(folder)
            outbox.settle(max(received, default=0))
    send(1000)
    await outbox.close()
    assert received == list(range(1, put + 1))


async def test_who_has_gone_hurries_nobody(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """When the facts of a call have arrived, its waiting is over: those of the next wait as long as any."""
    loop = asyncio.get_running_loop()
    later, timers = loop.call_later, list[asyncio.TimerHandle]()

    def call_later(*given: Any) -> asyncio.TimerHandle:
        timers.append(later(*given))
        return timers[-1]

    monkeypatch.setattr(loop, "call_later", call_later)
    outbox = await opened(tmp_path)
    await outbox.put(AttemptAccepted(), REF)
    await outbox.put(AttemptStarted(), REF)
    await outbox.put(AttemptFinished(), REF)
    assert [timer.cancelled() for timer in timers] == [False]
    outbox.sent(3)
    assert [timer.cancelled() for timer in timers] == [True]
    await outbox.put(AttemptAccepted(), REF)
    assert [timer.cancelled() for timer in timers] == [True, False]
    await outbox.close()
    assert all(timer.cancelled() for timer in timers)
