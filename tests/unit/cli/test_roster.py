from __future__ import annotations

from datetime import timedelta

import pytest

from muster.broker.filters import matcher
from muster.broker.memory import MemoryBroker
from muster.cli.machines import _functions, roll_call
from muster.cli.roster import SUBJECTS, Machine, Roster
from muster.model.log import catalogue
from muster.model.log.catalogue import AttemptRef, Body, Evidence, MachineFacts
from muster.model.log.commands import Heartbeat
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER
from muster.model.log.subjects import event as subject
from tests.unit.client.story import T0, recorded

EVIDENCE = Evidence(session=1, last_beat=3, last_beat_at=T0, interval_s=1, missed=3, watched_s=9)


def told(number: int, data: Body, machine: str = "m1") -> Event:
    writer = SCHEDULER if data.writer == "scheduler" else machine
    return Event(
        id=str(number),
        writer=writer,
        time=T0 + timedelta(seconds=number),
        data=data,
        machine=machine,
        n=number,
    )


def connected(number: int = 1, machine: str = "m1") -> Event:
    facts = MachineFacts(slots=4, labels={"gpu": "true"}, cpus=8, memory=16 << 30)
    return told(number, catalogue.MachineConnected(instance="i", facts=facts, interval_s=3), machine)


def fold(events: list[Event]) -> dict[str, Machine]:
    roster = Roster()
    roster.apply_all(recorded(events))
    return {machine.name: machine for machine in roster.machines()}


@pytest.mark.parametrize(
    ("after", "status"),
    [
        ([], "online"),
        ([catalogue.MachineDisconnected()], "disconnected"),
        ([catalogue.MachineOffline(evidence=EVIDENCE)], "offline"),
        ([catalogue.MachineOffline(evidence=EVIDENCE), catalogue.MachineOnline(evidence=EVIDENCE)], "online"),
        ([catalogue.MachineDraining()], "draining"),
        ([catalogue.MachineDraining(), catalogue.MachineDrained()], "drained"),
        ([catalogue.MachineDraining(), catalogue.MachineDisconnected()], "disconnected"),
        ([catalogue.MachineDisconnected(), catalogue.MachineOffline(evidence=EVIDENCE)], "disconnected"),
    ],
)
def test_the_status_is_what_was_said(after: list[Body], status: str):
    """A machine's status follows what it and the scheduler said of it; one that is gone is gone, whatever else."""
    events = [connected(), *(told(number, data) for number, data in enumerate(after, 2))]
    machine = fold(events)["m1"]
    assert machine.status == status
    assert (machine.slots, machine.labels) == (4, {"gpu": "true"})


def test_a_verdict_about_an_older_connection_says_nothing():
    """A machine that has connected again is online, whatever is still said of its connection before."""
    events = [connected(1), connected(2), told(3, catalogue.MachineOffline(evidence=EVIDENCE))]
    machines = fold(events)
    assert machines["m1"].status == "online"


def test_it_is_so_since_it_changed():
    """Since when a machine is what it is: its connection, or the event by which that changed; a repeat is none."""
    offline = catalogue.MachineOffline(evidence=EVIDENCE)
    events = [
        connected(1),
        connected(2),
        told(3, catalogue.MachineDraining()),
        told(4, catalogue.MachineDraining()),
    ]
    assert [fold(events[:count])["m1"].since for count in (1, 2, 3, 4)] == [
        T0 + timedelta(seconds=seconds) for seconds in (1, 2, 3, 3)
    ]
    stale = [connected(1), connected(2), told(3, offline)]
    assert fold(stale)["m1"].since == T0 + timedelta(seconds=2)


def test_what_is_said_of_a_machine_nobody_knows_is_nothing():
    """A machine that connects later is online, whatever was said of its name before."""
    events = [told(1, catalogue.MachineDrained()), told(2, catalogue.MachineRemoved())]
    assert fold(events) == {}
    assert fold([*events, connected(3)])["m1"].status == "online"


def test_a_removed_machine_is_forgotten():
    """A removed machine is not listed until it connects again."""
    events = [connected(), told(2, catalogue.MachineRemoved())]
    assert fold(events) == {}
    assert list(fold([*events, connected(3)])) == ["m1"]


async def test_the_roll_call_hears_the_newest_beat():
    """Each machine is listed with what its newest beat says, if the beat is of the present connection."""
    broker = MemoryBroker()
    await broker.prepare()
    await broker.log.append([connected(1, "a")])
    await broker.log.append([connected(2, "b")])
    running = [AttemptRef("e1", "s", 1)]
    for name, session in (("a", 1), ("b", 1)):
        await broker.heartbeats.beat(
            Heartbeat(name=name, sequence=1, session=session, interval_s=3, time=T0, running=running)
        )
    one, two = await roll_call(broker)
    assert (one.name, one.running, one.last_beat) == ("a", running, T0)
    assert (two.name, two.running, two.last_beat) == ("b", [], None)
    await broker.close()


def test_what_is_loaded_is_told_with_the_machine():
    """From connecting, loading and unloading on; --wide names the functions, with how often each is loaded."""
    loaded = [
        catalogue.FunctionLoaded(function="app:f", image="fn:1", container=f"c{number}", concurrency=number)
        for number in (1, 2)
    ]
    other = catalogue.FunctionLoaded(function="g", image="fn:1", container="c3", isolation="execution")
    gone = catalogue.FunctionUnloaded(function="app:f", image="fn:1", container="c0")
    known = catalogue.LoadedFunction(function="app:f", image="fn:1", container="c0")
    first = catalogue.MachineConnected(
        instance="i", facts=MachineFacts(slots=4), interval_s=3, functions=[known]
    )
    events = [told(number, data) for number, data in enumerate([first, *loaded, other, gone], 1)]
    (machine,) = fold(events).values()
    assert [(kept.container, kept.function, kept.concurrency) for kept in machine.functions] == [
        ("c1", "app:f", 1), ("c2", "app:f", 2), ("c3", "g", 1),
    ]  # fmt: skip
    assert _functions(machine) == "app:f x2, g"
    matches = matcher(SUBJECTS)
    assert all(matches(subject(event)) for event in events)
