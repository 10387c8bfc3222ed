"""Any past point: what is shown at ``n`` is what a log that ended at ``n`` would show."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from muster.broker.interface import Broker
from muster.broker.memory import MemoryBroker
from muster.cli.cluster import folded as cluster_at
from muster.cli.list import Listing, Row, Wanted, from_log
from muster.cli.machines import told
from muster.cli.moment import Point, present
from muster.cli.roster import Machine, Roster
from muster.cli.show import as_object
from muster.cli.standing import Cluster, Standing
from muster.cli.waiting import waiting
from muster.client.follower import ExecutionView
from muster.client.reach import so_far
from muster.model.log import subjects
from muster.model.log.envelope import Recorded, encode
from tests.fixtures.drawn import perform, workflows
from tests.fixtures.histories import history

T = TypeVar("T")
ALL = Wanted(None, None, 1000)
SEEDS = st.integers(0, 2**32)
CUTS = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def holding(events: Sequence[Recorded]) -> MemoryBroker:
    """A broker whose log is these events."""
    broker = MemoryBroker()
    for recorded in events:
        broker.store.put(subjects.event(recorded.event), encode(recorded.event))
    return broker


def at_each(
    events: Sequence[Recorded], cuts: list[float], shown: Callable[[Broker, int], Awaitable[T]]
) -> list[tuple[int, T, T]]:
    """What is shown at each cut: of the whole log at ``n``, and of the log that ended there."""

    async def look() -> list[tuple[int, T, T]]:
        whole = holding(events)
        places = sorted({round(cut * len(events)) for cut in cuts} | {len(events)})
        return [(n, await shown(whole, n), await shown(holding(events[:n]), len(events))) for n in places]

    return asyncio.run(look())


def bare(machines: list[Machine]) -> list[Machine]:
    """Without what runs, which ``machine.*`` events alone do not tell."""
    for machine in machines:
        machine.running = []
    return machines


@settings(max_examples=25, deadline=None)
@given(SEEDS, CUTS)
def test_show_at_n_is_the_first_n_events(seed: int, cuts: list[float]):
    """An execution at n is the fold of its events among the first n, to the last detail."""
    events = history(seed, mishaps=0.5).events
    id_ = next(recorded.event.execution for recorded in events if recorded.event.execution != "-")

    async def shown(broker: Broker, n: int) -> dict[str, Any]:
        return as_object(await so_far(broker, id_, n))

    for n, at, then in at_each(events, cuts, shown):
        view = ExecutionView(id_)
        view.apply_all(recorded for recorded in events[:n] if recorded.event.execution == id_)
        assert at == then == as_object(view)


@settings(max_examples=25, deadline=None)
@given(SEEDS, CUTS)
def test_list_at_n_is_the_first_n_events(seed: int, cuts: list[float]):
    """The list at n is the fold of the first n events, read whole or filtered."""
    events = history(seed, executions=8, mishaps=0.5).events

    async def shown(broker: Broker, n: int) -> list[Row]:
        return await from_log(broker, ALL, n)

    for n, at, then in at_each(events, cuts, shown):
        listing = Listing()
        listing.apply_all(events[:n])
        assert at == then == list(reversed(listing.rows.values()))


@settings(max_examples=25, deadline=None)
@given(SEEDS, CUTS)
def test_machines_at_n_are_the_first_n_events(seed: int, cuts: list[float]):
    """Machines at n are the scheduler's fold of the first n events, though only those about machines are read."""
    events = history(seed, mishaps=0.8).events

    async def shown(broker: Broker, n: int) -> list[Machine]:
        return bare((await told(broker, n)).machines())

    for n, at, then in at_each(events, cuts, shown):
        roster = Roster()
        roster.apply_all(events[:n])
        assert at == then == bare(roster.machines())


@settings(max_examples=25, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), SEEDS, CUTS)
def test_cluster_at_n_is_the_first_n_events(definitions: list[dict[str, Any]], seed: int, cuts: list[float]):
    """The cluster at n is the scheduler's fold of the first n events, and it adds up."""
    events = perform(definitions, seed).log

    async def shown(broker: Broker, n: int) -> Standing:
        end = (await present(broker)).sequence
        point = Point(min(n, end), None)
        return (await cluster_at(broker, point, lambda _: None)).standing()

    for n, at, then in at_each(events, cuts, shown):
        cluster = Cluster()
        cluster.apply_all(events[:n])
        assert at == then == cluster.standing()
        adds_up(at, events[:n])


def adds_up(standing: Standing, events: Sequence[Recorded]) -> None:
    """Room is what is held, what waits is live, and steps are what each execution's own events say."""
    for machine in standing.machines:
        assert machine.slots.used == sum(held.slots for held in machine.held)
        assert machine.slots.used + machine.slots.free == machine.slots.total
    live = {execution.execution: execution for execution in standing.executions}
    assert {waiting.execution for waiting in standing.queue} <= set(live)
    for id_, execution in live.items():
        view = ExecutionView(id_)
        view.apply_all(recorded for recorded in events if recorded.event.execution == id_)
        assert execution.status == view.status
        assert execution.queued_at == view.queued_at
        assert execution.steps == Counter(step.status for step in view.steps.values())


async def test_what_waited_is_told_without_advice():
    """Why a step waited is said as it was, without what could be done about it now."""
    events = perform([{"name": "one", "steps": [{"id": "s0", "image": "i", "command": ["true"]}]}], 1).log
    started = next(recorded for recorded in events if recorded.event.kind == "execution.started")
    broker = holding(events)
    point = Point(started.sequence, started.event.time)
    assert await waiting(broker, "x0", point) == {"s0": "no machine is connected"}
    assert await waiting(holding(events[: started.sequence]), "x0") == {
        "s0": "no machine is connected; start one: muster agent"
    }
