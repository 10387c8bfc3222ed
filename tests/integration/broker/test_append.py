"""Writing to the log: the same promises in memory and on NATS, with one replica and with three."""

import asyncio
import time
from pathlib import Path

import pytest

from muster.broker.interface import Appended, Fence, Refused, Unknown
from muster.model.log import subjects
from tests.fixtures.site import Site, decision, decisions, elected, fact, ids, lead, sequences
from tests.fixtures.stalls import Stalls

MIB = 1 << 20


async def test_events_stand_in_the_order_of_the_call(site: Site):
    """What one call writes stands in its order, without gaps, and comes back as it was written."""
    broker = await site.connect()
    events = decisions("a", 5)
    assert sequences(await broker.log.append(events)) == [1, 2, 3, 4, 5]
    read = [recorded async for batch in broker.log.read() for recorded in batch]
    assert [recorded.sequence for recorded in read] == [1, 2, 3, 4, 5]
    assert [(r.event.id, r.event.data, r.event.step) for r in read] == [
        (e.id, e.data, e.step) for e in events
    ]


async def test_no_events_are_no_outcomes(site: Site):
    """A call without events does nothing."""
    broker = await site.connect()
    assert await broker.log.append([]) == []


async def test_overlapping_calls_keep_their_order(site: Site):
    """Calls that overlap stand one behind the other, none mixed into another."""
    broker = await site.connect()
    calls = [decisions(f"c{number:02}", 7) for number in range(20)]
    outcomes = await asyncio.gather(*(broker.log.append(events) for events in calls))
    assert [s for call in outcomes for s in sequences(call)] == list(range(1, 141))
    assert await ids(broker) == [event.id for events in calls for event in events]


async def test_a_small_call_does_not_overtake_a_large_one(site: Site):
    """The order of calls holds where one is large enough for a batch and the next is not."""
    broker = await site.connect()
    calls = [decisions("a", 3), decisions("b", 150), decisions("c", 1), decisions("d", 60)]
    await asyncio.gather(*(broker.log.append(events) for events in calls))
    assert await ids(broker) == [event.id for events in calls for event in events]


@pytest.mark.parametrize("count", [1000, 2345])
async def test_many_events_at_once(site: Site, count: int):
    """A round of 1,000 events, and one that is more than a batch may hold, are written in order."""
    broker = await site.connect()
    fence = await lead(broker)
    assert sequences(await broker.log.append(decisions("m", count), fence)) == list(range(2, count + 2))
    assert await ids(broker, start=2) == [f"m-{number}" for number in range(count)]


async def test_of_two_candidates_one_leads(site: Site):
    """Two schedulers claim the lead at once: the broker takes one claim and refuses the other."""
    first, second = await site.connect("a"), await site.connect("b")
    free = Fence(subjects.LEADER, 0)
    outcomes = await asyncio.gather(
        first.log.append([elected("a")], free), second.log.append([elected("b")], free)
    )
    won = [outcome for [outcome] in outcomes if isinstance(outcome, Appended)]
    lost = [outcome for [outcome] in outcomes if isinstance(outcome, Refused)]
    assert len(won) == len(lost) == 1
    assert lost[0].replaced
    leader = await first.log.last(subjects.LEADER)
    assert leader is not None
    assert leader.sequence == won[0].sequence


async def test_a_fence_that_holds_lets_everything_through(site: Site):
    """Under its fence a leader writes small and large rounds, one after the other and at once."""
    broker = await site.connect()
    fence = await lead(broker)
    calls = [decisions("a", 2), decisions("b", 40), decisions("c", 1)]
    for outcomes in await asyncio.gather(*(broker.log.append(events, fence) for events in calls)):
        sequences(outcomes)


@pytest.mark.parametrize("count", [1, 5, 200, 1500])
async def test_a_replaced_writer_is_refused(site: Site, count: int):
    """Once another leads, nothing the old leader writes gets into the log, and it is told that it was replaced."""
    old, new = await site.connect("old"), await site.connect("new")
    fence = await lead(old)
    await lead(new, "successor", after=fence.sequence)
    outcomes = await old.log.append(decisions("late", count), fence)
    assert len(outcomes) == count
    assert all(isinstance(outcome, Refused) and outcome.replaced and not outcome.full for outcome in outcomes)
    assert await ids(new) == ["leader", "successor"]


async def test_a_hundred_writes_of_a_replaced_writer_end_soon(site: Site, tmp_path: Path):
    """With 100 writes under way a replaced writer has an answer to each within five seconds, and none is in the log."""
    old, new = await site.connect("old"), await site.connect("new")
    fence = await lead(old)
    await lead(new, "successor", after=fence.sequence)
    with Stalls(tmp_path) as lost:
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(old.log.append([decision(f"late-{number}")], fence) for number in range(100))
        )
        took_s = time.monotonic() - began
    assert took_s - lost.seconds < 5
    assert all(isinstance(outcome, Refused) and outcome.replaced for [outcome] in outcomes)
    assert await ids(new) == ["leader", "successor"]


async def test_machines_have_fences_of_their_own(site: Site):
    """Another writer's events do not break a fence."""
    broker = await site.connect()
    fence = await lead(broker)
    sequences(await broker.log.append([fact("f1", "gpu-1")], Fence(subjects.connected("gpu-1"), 0)))
    sequences(await broker.log.append([decision("d1")], fence))


async def test_the_fence_itself_is_moved_only_alone(site: Site):
    """An event on the fence's own subject must stand alone in its call."""
    broker = await site.connect()
    with pytest.raises(ValueError, match="alone"):
        await broker.log.append([elected("a"), decision("b")], Fence(subjects.LEADER, 0))


@pytest.mark.parametrize("count", [1, 5, 200])
async def test_a_repeated_write_is_known_as_such(site: Site, count: int):
    """The same ids again, fence intact and within the window, are duplicates with the places they have."""
    broker = await site.connect()
    fence = await lead(broker)
    first = await broker.log.append(decisions("a", count), fence)
    again = await broker.log.append(decisions("a", count), fence)
    assert sequences(again) == sequences(first)
    assert all(isinstance(outcome, Appended) and outcome.duplicate for outcome in again)


@pytest.mark.parametrize(("stored", "count"), [(2, 5), (50, 120)])
async def test_a_half_written_round_is_finished(site: Site, stored: int, count: int):
    """A round of which a part is in the log is completed: the part is known, the rest is written behind it."""
    broker = await site.connect()
    fence = await lead(broker)
    await broker.log.append(decisions("a", count)[:stored], fence)
    outcomes = await broker.log.append(decisions("a", count), fence)
    assert sequences(outcomes) == list(range(2, count + 2))
    assert await ids(broker, start=2) == [f"a-{number}" for number in range(count)]


@pytest.mark.parametrize("count", [1, 4, 100])
async def test_a_lost_answer_is_unknown_and_the_log_tells(site: Site, count: int):
    """Stored, but the answer is lost: the outcome is Unknown, and reading shows the events."""
    broker, network = await site.weak()
    fence = await lead(broker)
    await network.lose_answers()
    outcomes = await broker.log.append(decisions("a", count), fence)
    assert len(outcomes) == count
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    await network.restore()
    assert await ids(broker, start=2) == [f"a-{number}" for number in range(count)]
    again = await broker.log.append(decisions("a", count), fence)
    assert sequences(again) == list(range(2, count + 2))


async def test_an_unknown_election_is_settled_by_reading(site: Site):
    """A candidate that lost the answer to its claim reads the last claim: it is its own, so it leads."""
    broker, network = await site.weak()
    await network.lose_answers()
    [outcome] = await broker.log.append([elected("me")], Fence(subjects.LEADER, 0))
    assert isinstance(outcome, Unknown)
    await network.restore()
    leader = await broker.log.last(subjects.LEADER)
    assert leader is not None
    assert leader.event.id == "me"
    sequences(await broker.log.append([decision("d")], Fence(subjects.LEADER, leader.sequence)))


@pytest.mark.parametrize("count", [1, 40])
async def test_a_write_repeated_after_the_window_meets_the_fence(site: Site, count: int):
    """The broker has forgotten the ids, so only the fence keeps an old leader's repeated write out, and it does."""
    old = await site.connect("old", duplicate_window_s=0.1)
    new = await site.connect("new", duplicate_window_s=0.1)
    fence = await lead(old)
    sequences(await old.log.append(decisions("a", count), fence))
    await lead(new, "successor", after=fence.sequence)
    await site.window_passes()
    outcomes = await old.log.append(decisions("a", count), fence)
    assert all(isinstance(outcome, Refused) and outcome.replaced for outcome in outcomes)
    assert len(await ids(new)) == count + 2


async def test_without_a_broker_the_outcome_is_unknown_in_time(site: Site):
    """With the connection gone a write ends Unknown well before the deadline."""
    broker, network = await site.weak(append_deadline_s=1000)
    fence = await lead(broker)
    await network.cut()
    outcomes = await broker.log.append(decisions("a", 3), fence)
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    await network.restore()
    assert await ids(broker) == ["leader"]


async def test_a_large_event_is_refused_with_its_call(site: Site):
    """An event above the broker's limit is refused before anything of its call is sent."""
    broker = await site.connect()
    events = [*decisions("a", 2), decision("b", reason="x" * 8 * MIB)]
    outcomes = await broker.log.append(events)
    assert all(isinstance(o, Refused) and not o.replaced and not o.full for o in outcomes)
    assert await ids(broker) == []
