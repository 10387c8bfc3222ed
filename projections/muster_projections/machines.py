"""Machines: one row each, by what its agent says and by the scheduler's verdicts.

A verdict may stand in the log after facts it did not know. It names the connection it is about and never overwrites a
fact; what the machine is follows from both.
"""

from __future__ import annotations

from typing import Final

from muster.model.log.catalogue import (
    MachineConnected,
    MachineDisconnected,
    MachineDraining,
    MachineOffline,
    MachineOnline,
    MachineRemoved,
)
from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER
from muster_projections.projection import (
    Change,
    Column,
    Projection,
    Table,
    Upsert,
    Value,
    moment,
    text,
)

TABLE: Final = Table(
    name="machines",
    doc="One row for each machine that ever connected.",
    key=("name",),
    columns=(
        Column(name="name", type="TEXT", doc="The machine's name."),
        Column(
            name="status",
            type="TEXT",
            doc="connected, draining, offline (stopped answering), disconnected (said goodbye) or removed.",
            generated="CASE WHEN removed > coalesce(session, 0) THEN 'removed'"
            " WHEN goodbye > coalesce(session, 0) THEN 'disconnected'"
            " WHEN offline_session = session THEN 'offline'"
            " WHEN drain IS NOT NULL THEN 'draining' ELSE 'connected' END",
        ),
        Column(
            name="drain",
            type="TEXT",
            doc="draining (gets nothing new) or drained (has nothing left to run); else null.",
        ),
        Column(name="session", type="INTEGER", doc="The sequence of its present connection."),
        Column(name="offline_session", type="INTEGER", doc="The connection that was found to be offline."),
        Column(name="goodbye", type="INTEGER", doc="The sequence of its last goodbye."),
        Column(name="removed", type="INTEGER", doc="The sequence of its last removal."),
        Column(name="instance", type="TEXT", doc="The agent process; new for every start."),
        Column(name="software", type="TEXT", doc="The agent's name and version."),
        Column(name="interval_s", type="REAL", doc="The seconds between its beats."),
        Column(
            name="facts",
            type="JSON",
            doc="What it has and is: os, cpus, memory, slots, gpus, labels, runtime.",
        ),
        Column(name="connected_at", type="TEXT", doc="When its present connection began."),
        Column(name="changed_at", type="TEXT", doc="When it last came, went or was judged."),
        Column(name="reason", type="TEXT", doc="Why it said goodbye, drains or was removed."),
        Column(name="evidence", type="JSON", doc="What the last verdict offline or online rests on."),
        Column(name="sequence", type="INTEGER", doc="The place in the log of the last event about it."),
    ),
)


def _set(recorded: Recorded, columns: dict[str, Value]) -> list[Change]:
    event = recorded.event
    name = event.machine if event.writer == SCHEDULER else event.writer
    columns["changed_at"] = moment(event.time)
    columns["sequence"] = recorded.sequence
    return [Upsert(TABLE.name, (name,), columns)]


def _connected(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, MachineConnected)
    return _set(
        recorded,
        {
            "session": recorded.sequence,
            "instance": data.instance,
            "software": data.software or None,
            "interval_s": data.interval_s,
            "facts": text(data.facts),
            "connected_at": moment(recorded.event.time),
            "reason": None,
        },
    )


def _disconnected(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, MachineDisconnected)
    return _set(recorded, {"goodbye": recorded.sequence, "reason": data.reason or None})


def _offline(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, MachineOffline)
    return _set(recorded, {"offline_session": data.evidence.session, "evidence": text(data.evidence)})


def _online(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, MachineOnline)
    return _set(recorded, {"offline_session": None, "evidence": text(data.evidence)})


def _draining(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, MachineDraining)
    return _set(recorded, {"drain": "draining", "reason": data.reason or None})


def _drained(recorded: Recorded) -> list[Change]:
    return _set(recorded, {"drain": "drained"})


def _removed(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, MachineRemoved)
    columns: dict[str, Value] = {"removed": recorded.sequence, "drain": None, "reason": data.reason or None}
    return _set(recorded, columns)


MACHINES: Final = Projection.of(
    name="machines",
    version=1,
    tables=(TABLE,),
    handlers={
        "machine.connected": _connected,
        "machine.disconnected": _disconnected,
        "machine.offline": _offline,
        "machine.online": _online,
        "machine.draining": _draining,
        "machine.drained": _drained,
        "machine.removed": _removed,
    },
)
