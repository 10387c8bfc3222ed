"""What ``muster doctor`` looks at; each check answers on its own and none needs another to succeed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from muster.broker.interface import Broker
from muster.broker.nats import api, streams
from muster.broker.nats.connection import Connection
from muster.cli.engine import engine_version
from muster.cli.machines import roll_call
from muster.cli.monitoring import sync_interval
from muster.cli.view import open_view
from muster.cli.words import duration
from muster.model.errors import BrokerError, MusterError
from muster.model.log import subjects
from muster.model.log.names import SCHEDULER
from muster.settings import Settings

SKEW_WARN_S: Final = 1.0  # enough to confuse whoever reads times of two machines side by side
SKEW_FAIL_S: Final = 60.0
BEHIND_WARN: Final = 1000  # events; projections that run are some milliseconds behind
SILENT_FACTOR: Final = 4.0  # as many intervals without a beat as no healthy scheduler or machine lets pass


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's."""

    name: str
    level: Literal["OK", "WARN", "FAIL"]
    message: str
    remedy: str = ""


async def every(settings: Settings) -> list[Check]:
    """All checks, in the order in which they make sense to read."""
    found = []
    try:
        connection = await Connection.connect(settings, name="muster-doctor")
    except BrokerError as error:
        found.append(Check(name="broker", level="FAIL", message=error.message, remedy=error.advice))
        return [*found, await engine()]
    try:
        found += await _of_broker(connection)
    finally:
        await connection.close()
    found.append(await engine())
    found += await _of_muster(settings)
    return found


# ---- the broker


async def _of_broker(connection: Connection) -> list[Check]:
    checks = [server(connection), await disk(connection)]
    checks += [await stream(connection, config) for config in streams.configs(connection.settings)]
    checks.append(await clock(connection))
    return checks


def server(connection: Connection) -> Check:
    """Version, JetStream and message size."""
    try:
        streams.check_server(connection)
    except MusterError as error:
        return Check(name="broker", level="FAIL", message=error.message, remedy=error.advice)
    info = connection.nc._server_info
    return Check(
        name="broker",
        level="OK",
        message=f"NATS {info.get('version')} with JetStream at {connection.settings.url}",
    )


async def disk(connection: Connection) -> Check:
    """Whether an acknowledged write is on the disk."""
    if connection.settings.replicas > 1:
        replicas = connection.settings.replicas
        return Check(name="durability", level="OK", message=f"every event is on {replicas} servers")
    found = await asyncio.to_thread(sync_interval, connection.nc._server_info, connection.settings.url)
    if found == "always":
        return Check(
            name="durability",
            level="OK",
            message="an acknowledged write is on the disk (sync_interval: always)",
        )
    message = (
        "the broker's sync_interval cannot be seen from here"
        if found is None
        else f"the broker writes to the disk only every {found}: a power cut takes back acknowledged events"
    )
    return Check(
        name="durability",
        level="OK" if found is None else "WARN",
        message=message,
        remedy="Set sync_interval: always in its configuration, as the nats.conf that ships does.",
    )


async def stream(connection: Connection, config: dict[str, Any]) -> Check:
    """One stream: there, with the settings it must have, and with room."""
    name = config["name"]
    try:
        info = await api.find(connection, f"STREAM.INFO.{name}", api.STREAM_NOT_FOUND)
    except BrokerError as error:
        return Check(name="stream", level="FAIL", message=error.message, remedy=error.advice)
    if info is None:
        return Check(
            name="stream",
            level="FAIL",
            message=f"{name} is not there",
            remedy="A scheduler makes it at its start: muster scheduler (or muster up).",
        )
    kept = info["config"]
    wrong = [key for key in config if key not in streams._TUNABLE and kept.get(key, False) != config[key]]
    if wrong:
        return Check(
            name="stream",
            level="FAIL",
            message=f"{name} has other settings: {', '.join(wrong)}",
            remedy="The scheduler says at its start how to change each.",
        )
    state = info["state"]
    return Check(
        name="stream", level="OK", message=f"{name}: {state['messages']} messages, {state['bytes']} bytes"
    )


async def clock(connection: Connection) -> Check:
    """This machine's clock against the broker's."""
    sent = datetime.now(UTC)
    try:
        info = await api.call(connection, f"STREAM.INFO.{streams.EVENTS}")
        told = datetime.fromisoformat(info["ts"])
    except (BrokerError, KeyError, ValueError):
        return Check(name="clock", level="OK", message="the broker does not say what time it has")
    here = sent + (datetime.now(UTC) - sent) / 2
    skew_s = abs((here - told) / timedelta(seconds=1))
    level: Literal["OK", "WARN", "FAIL"] = "OK"
    if skew_s > SKEW_WARN_S:
        level = "FAIL" if skew_s > SKEW_FAIL_S else "WARN"
    return Check(
        name="clock",
        level=level,
        message=f"{duration(skew_s)} away from the broker's",
        remedy="" if level == "OK" else "Keep the clocks with NTP (chrony, systemd-timesyncd).",
    )


# ---- this machine


async def engine() -> Check:
    """Whether a container engine answers here."""
    version = await engine_version()
    if version is not None:
        return Check(name="engine", level="OK", message=version)
    return Check(
        name="engine",
        level="WARN",
        message="no Docker engine answers here",
        remedy="Start Docker or Podman's socket, or run an agent with --runtime process (no isolation).",
    )


# ---- Muster itself


async def _of_muster(settings: Settings) -> list[Check]:
    from muster.broker.connect import connect

    broker = await connect(settings, name="muster-doctor")
    try:
        last = (await broker.log.position()).last
        return [
            await view(settings, last),
            await archive(broker),
            await scheduler(broker),
            *await machines(broker),
        ]
    except BrokerError as error:
        return [Check(name="log", level="FAIL", message=error.message, remedy=error.advice)]
    finally:
        await broker.close()


async def view(settings: Settings, last: int) -> Check:
    """The view file and how far it is behind."""

    def sequence() -> int:
        opened = open_view(settings.view_path)
        try:
            return opened.sequence
        finally:
            opened.close()

    try:
        behind = max(0, last - await asyncio.to_thread(sequence))
    except (MusterError, LookupError) as error:
        remedy = error.advice if isinstance(error, MusterError) else ""
        message = error.message if isinstance(error, MusterError) else str(error)
        return Check(name="view", level="WARN", message=message, remedy=remedy)
    return Check(
        name="view",
        level="WARN" if behind > BEHIND_WARN else "OK",
        message=f"{settings.view_path} is {behind} events behind",
        remedy="Run the projections: muster projections." if behind > BEHIND_WARN else "",
    )


async def archive(broker: Broker) -> Check:
    """Whether the places that the log names can be reached from here; what they hold is for muster log verify."""
    newest = await broker.log.last(subjects.ARCHIVED)
    if newest is None:
        return Check(name="archive", level="OK", message="nothing was archived yet")
    try:
        places = await broker.archive.places()
        for objects in places:
            await objects.get(["-"])
    except BrokerError as error:
        return Check(name="archive", level="FAIL", message=error.message, remedy=error.advice)
    ago = duration(max((datetime.now(UTC) - newest.event.time).total_seconds(), 0))
    where = " and ".join(objects.place for objects in places) or getattr(newest.event.data, "place", "")
    return Check(
        name="archive",
        level="OK",
        message=f"{len(broker.archive.manifest.after(0))} executions in {where}, the last moved {ago} ago",
    )


async def scheduler(broker: Broker) -> Check:
    """Whether a scheduler leads."""
    beat = await broker.heartbeats.last(SCHEDULER)
    remedy = "Start one: muster scheduler (or muster up)."
    if beat is None:
        led = await broker.log.last(subjects.LEADER)
        message = "no scheduler beats" if led is not None else "no scheduler has ever led here"
        return Check(name="scheduler", level="FAIL", message=message, remedy=remedy)
    silent_s = (datetime.now(UTC) - beat.time).total_seconds()
    if beat.leaving or silent_s > SILENT_FACTOR * beat.interval_s:
        said = "said goodbye" if beat.leaving else "beat last"
        return Check(
            name="scheduler",
            level="FAIL",
            message=f"the scheduler {said} {duration(silent_s)} ago",
            remedy=remedy,
        )
    return Check(name="scheduler", level="OK", message=f"leads, last beat {duration(max(silent_s, 0))} ago")


async def machines(broker: Broker) -> list[Check]:
    """Each machine: online, or how long it has been silent."""
    found = await roll_call(broker)
    if not found:
        return [
            Check(
                name="machines",
                level="WARN",
                message="no machine has connected yet",
                remedy="Start an agent: muster agent (or muster up).",
            )
        ]
    now = datetime.now(UTC)
    checks = []
    for machine in found:
        silent_s = machine.silent_s(now)
        beats = silent_s is not None and silent_s <= SILENT_FACTOR * machine.interval_s
        healthy = machine.status in {"online", "draining", "drained"} and beats
        heard = "never beat" if silent_s is None else f"last beat {duration(silent_s)} ago"
        checks.append(
            Check(
                name="machine",
                level="OK" if healthy else "WARN",
                message=f"{machine.name} is {machine.status}, {heard}",
                remedy="" if healthy else f"Start its agent again: muster agent --name {machine.name}.",
            )
        )
    return checks
