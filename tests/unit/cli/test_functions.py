from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from muster.broker.memory import MemoryBroker
from muster.cli.functions import Loaded, _as_objects, loaded, show
from muster.cli.roster import Machine
from muster.cli.terminal import Terminal
from muster.client.timeline import CONTAINER
from muster.model.errors import NotConnectedError
from muster.model.log import catalogue
from muster.model.log.catalogue import Evidence
from muster.model.log.commands import FunctionStatus, Heartbeat
from tests.unit.cli.test_roster import connected, told
from tests.unit.client.story import T0

NOW = T0 + timedelta(seconds=60)
BUSY = FunctionStatus(
    function="app:translate",
    image="translate:3",
    container="0123456789abcdef",
    state="busy",
    concurrency=4,
    running=2,
    calls=17,
    failed=3,
    load_s=4.25,
    call_s=0.0031,
    since=T0,
    used_at=NOW,
    execution="e1",
    params="c0ffee",
)
IDLE = FunctionStatus(function="app:detect", state="idle", used_at=NOW - timedelta(seconds=75))


async def broker_with(*machines: str) -> MemoryBroker:
    """One where these machines are connected."""
    broker = MemoryBroker()
    await broker.prepare()
    for number, name in enumerate(machines, 1):
        await broker.log.append([connected(number, name)])
    return broker


async def beat(
    broker: MemoryBroker, name: str, session: int, *functions: FunctionStatus, age_s: float = 1
) -> None:
    time = NOW - timedelta(seconds=age_s)
    said = Heartbeat(
        name=name, sequence=1, session=session, interval_s=3, time=time, functions=list(functions)
    )
    await broker.heartbeats.beat(said)


async def test_each_machine_tells_of_its_own():
    """What is loaded comes from the newest beat of each machine; one machine can be asked for."""
    broker = await broker_with("a", "b")
    await beat(broker, "a", 1, BUSY, IDLE)
    await beat(broker, "b", 2)
    found = await loaded(broker, NOW)
    assert [(one.machine.name, one.functions) for one in found] == [("a", [IDLE, BUSY]), ("b", [])]
    [only] = await loaded(broker, NOW, "b")
    assert only.machine.name == "b"
    with pytest.raises(NotConnectedError, match="no machine bb"):
        await loaded(broker, NOW, "bb")
    await broker.close()


async def test_who_does_not_answer_is_not_believed():
    """An old beat, none, one of an earlier connection, and one before a verdict tell nothing of what is loaded."""
    broker = await broker_with("late", "mute", "former", "gone", "left")
    await beat(broker, "late", 1, BUSY, age_s=600)
    await beat(broker, "former", 1, BUSY)
    for name, session in (("gone", 4), ("left", 5)):
        await beat(broker, name, session, BUSY)
    evidence = Evidence(session=4, last_beat=3, last_beat_at=T0, interval_s=1, missed=3, watched_s=9)
    await broker.log.append([told(6, catalogue.MachineOffline(evidence=evidence), "gone")])
    await broker.log.append([told(7, catalogue.MachineDisconnected(reason="agent ends"), "left")])
    found = await loaded(broker, NOW)
    assert {one.machine.name: one.functions for one in found} == dict.fromkeys(
        ("late", "mute", "former", "gone", "left")
    )
    trouble = {one.machine.name: one.trouble(NOW) for one in found}
    assert "late does not answer (its last beat was 10m 00s ago)" in trouble["late"]
    assert "has not been heard of" in trouble["mute"]
    assert "does not answer" in trouble["gone"]
    assert trouble["left"] == "left said goodbye: nothing is loaded there."
    await broker.close()


def printed(capsys: pytest.CaptureFixture[str], *found: Loaded, **options: Any) -> list[str]:
    show(Terminal(), list(found), NOW, **options)
    return capsys.readouterr().out.splitlines()


def squeezed(row: str) -> str:
    return " ".join(row.split())


def test_the_table_says_how_each_does(capsys: pytest.CaptureFixture[str]):
    """Calls under way, all of them, those that failed, their mean time, load and idle time; --wide says the rest."""
    one = Loaded(machine=Machine(name="a"), functions=[BUSY, IDLE])
    head, busy, idle = printed(capsys, one)
    assert squeezed(head) == "machine function container state now calls failed call load idle for"
    assert squeezed(busy) == "a app:translate 0123456789ab busy 2/4 17 3 0.003s 4.2s"
    assert squeezed(idle) == "a app:detect idle 0/1 0 0 0.000s 1m 15s"
    assert BUSY.container[: CONTAINER + 1] not in busy
    _, wide, _ = printed(capsys, one, wide=True)
    assert [word for word in wide.split() if word in ("translate:3", "c0ffee", "e1")] == [
        "translate:3",
        "c0ffee",
        "e1",
    ]


def test_nothing_loaded_is_a_sentence(capsys: pytest.CaptureFixture[str]):
    """No machine, nothing loaded, and nobody who answers are told apart."""
    assert "No machine has connected yet" in printed(capsys)[0]
    empty, silent = Loaded(machine=Machine(name="a"), functions=[]), Loaded(machine=Machine(name="b"))
    [nothing] = printed(capsys, empty)
    assert nothing.startswith("Nothing is loaded.")
    assert "on a" in printed(capsys, empty, name="a")[0]
    [unknown] = printed(capsys, silent)
    assert unknown.startswith("b does not answer")


def test_for_programs_there_is_an_object_for_each():
    """One for each container, and one without a function for a machine that does not answer."""
    machine = Machine(name="a", last_beat=NOW)
    [object_] = _as_objects(Loaded(machine=machine, functions=[BUSY]))
    assert (object_["machine"], object_["function"], object_["calls"]) == ("a", "app:translate", 17)
    assert _as_objects(Loaded(machine=machine)) == [
        {"machine": "a", "status": "online", "beat_at": NOW, "function": None}
    ]
