from __future__ import annotations

from typing import Any

import pytest

from muster.broker.memory import MemoryBroker
from muster.cli.waiting import reason, waiting
from muster.model.engine.cluster import Machine
from muster.model.engine.placement import Requirement
from muster.model.log.commands import AttemptResources
from muster.model.log.facts import MachineFacts
from tests.unit.client.story import T0, Story


def machine(name: str, **more: Any) -> Machine:
    facts = MachineFacts(slots=4, cpus=8.0, memory=1 << 30, labels={"zone": "a"})
    return Machine(name=name, session=1, facts=facts, **more)


def wants(machine: str | None = None, zone: str | None = None, **resources: Any) -> Requirement:
    labels = () if zone is None else (("zone", zone),)
    return Requirement(machine, labels, AttemptResources(**resources))


@pytest.mark.parametrize(
    ("machines", "wanted", "sentence"),
    [
        ([], wants(), "no machine is connected; start one: muster agent"),
        (
            [machine("a", gone_id="x", gone_at=T0)],
            wants(),
            "no machine is connected; start one: muster agent",
        ),
        ([machine("vm", slots_used=4)], wants(), "no room: vm 4/4 slots"),
        ([machine("vm", cpus_used=7.5)], wants(cpus=1.0), "no room: vm 7.5/8 cpus"),
        ([machine("vm")], wants("gpu"), "waits for the machine gpu, which is not connected"),
        ([machine("vm", offline_session=1)], wants("vm"), "waits for the machine vm, which is not connected"),
        ([machine("vm")], wants(zone="b"), "could ever hold it: it asks for label zone=b"),
        ([machine("vm")], wants(slots=5), "could ever hold it: it asks for 5 slots"),
        ([machine("vm", draining=True)], wants(), "vm takes nothing new: it is draining"),
        ([machine("vm")], wants(), "there is room"),
    ],
)
def test_why_a_step_waits(machines: list[Machine], wanted: Requirement, sentence: str):
    """Each reason for a step to have no machine is a sentence of its own that names what is lacking."""
    assert sentence in reason(wanted, {found.name: found for found in machines})


async def test_it_is_folded_from_the_log():
    """Of an execution in the log, the steps that are ready and have no machine are named, and no others."""
    broker = MemoryBroker()
    await broker.prepare()
    story = Story()
    await broker.log.append([story.queued(), story.started()])
    assert await waiting(broker, "e1") == {"greet": "no machine is connected; start one: muster agent"}
    assert await waiting(broker, "nobody") == {}
    await broker.close()
