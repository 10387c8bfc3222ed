"""The four streams and the bucket for files: how they are made, and whether those that are there will do."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec

from muster.broker.nats import api, artifacts, bucket
from muster.broker.nats.connection import Connection
from muster.model.errors import BrokerError, BrokerUnsuitableError
from muster.model.log import subjects
from muster.settings import Settings

EVENTS: Final = "MUSTER_EVENTS"
COMMANDS: Final = "MUSTER_COMMANDS"
HEARTBEATS: Final = "MUSTER_HEARTBEATS"
LOGS: Final = "MUSTER_LOGS"
NANOSECONDS: Final = 1_000_000_000
BEATS_KEPT: Final = 60

VERSION_MIN: Final = (2, 12)
"""Atomic batches came with 2.12."""
PAYLOAD_MIN: Final = 8 << 20
"""A definition with its inputs, or a round of starts for one machine, in one message."""

PREPARE_LIMIT_S: Final = 10.0
PREPARE_RETRY_S: Final = 0.3
NOT_NOW: Final = frozenset({10008, 10009})
"""No leader at the moment, or not this server: a cluster that has just started, or lost one."""
CREATE_FAILED: Final = 10049
"""The server could not make the files of a stream: its disk is full, or those of a deleted one are in the way."""

# What an operator may tune is brought up to the settings; what makes the stream what it is must be as it is.
_TUNABLE: Final = ("max_age", "max_bytes", "max_msgs_per_subject", "duplicate_window")


def configs(settings: Settings) -> list[dict[str, Any]]:
    """What each stream is made of, that of the bucket included."""
    window = int(settings.duplicate_window_s * NANOSECONDS)
    common = {"storage": "file", "num_replicas": settings.replicas, "retention": "limits"}
    events = common | {
        "name": EVENTS,
        "subjects": [subjects.EVENTS],
        "discard": "new",
        "deny_delete": True,
        "allow_atomic": True,
        "duplicate_window": window,
    }
    commands = common | {
        "name": COMMANDS,
        "subjects": [subjects.COMMANDS],
        "retention": "workqueue",
        "duplicate_window": window,
    }
    heartbeats = common | {
        "name": HEARTBEATS,
        "subjects": [subjects.HEARTBEATS],
        "storage": "memory",
        "num_replicas": 1,
        "max_msgs_per_subject": BEATS_KEPT,
    }
    max_age = int(settings.log_max_age_s * NANOSECONDS)
    logs = common | {
        "name": LOGS,
        "subjects": [subjects.LOGS],
        "max_age": max_age,
        "max_bytes": settings.log_max_bytes,
        # JetStream does not take a window longer than the age limit.
        "duplicate_window": min(window, max_age),
    }
    files = bucket.config(artifacts.BUCKET, artifacts.DESCRIPTION, settings.replicas)
    return [events, commands, heartbeats, logs, files]


async def prepare(connection: Connection) -> None:
    """Create the streams that are missing and check those that are there. Raises BrokerUnsuitableError.

    A cluster that is electing does not answer, or says "not now", and files of a deleted stream may still be on their
    way out: that is waited for, up to ``PREPARE_LIMIT_S``.
    """
    check_server(connection)
    loop = asyncio.get_running_loop()
    limit = loop.time() + PREPARE_LIMIT_S
    for config in configs(connection.settings):
        while True:
            try:
                await ensure(connection, config)
                break
            except BrokerUnsuitableError:
                raise
            except BrokerError as error:
                if loop.time() > limit or not connection.connected:
                    if api.refused_with(error, CREATE_FAILED):
                        raise _not_created(config["name"], error) from error
                    raise
                await asyncio.sleep(PREPARE_RETRY_S)


async def ensure(connection: Connection, config: dict[str, Any]) -> None:
    """Make one stream what ``config`` says, or say why that cannot be."""
    name = config["name"]
    info = await api.find(connection, f"STREAM.INFO.{name}", api.STREAM_NOT_FOUND)
    if info is None:
        try:
            await api.call(connection, f"STREAM.CREATE.{name}", config)
        except BrokerError as error:
            if error.data.get("api_code", 0) in {0, CREATE_FAILED, *NOT_NOW}:
                raise
            raise _not_created(name, error) from error
        return
    found = info["config"]
    wrong = [key for key in config if key not in _TUNABLE and found.get(key, False) != config[key]]
    if wrong:
        raise _other_settings(name, found, config, wrong)
    if any(found.get(key) != config[key] for key in _TUNABLE if key in config):
        await api.call(connection, f"STREAM.UPDATE.{name}", found | config)


def _not_created(name: str, error: BrokerError) -> BrokerUnsuitableError:
    return BrokerUnsuitableError(
        f"The stream {name} could not be created: {error.message}",
        remedy="Give the broker what is asked for: storage, and as many servers as there are replicas.",
        stream=name,
    )


def _other_settings(
    name: str, found: dict[str, Any], config: dict[str, Any], wrong: list[str]
) -> BrokerUnsuitableError:
    said = ", ".join(
        f"{key} is {_text(found.get(key, False))} and must be {_text(config[key])}" for key in wrong
    )
    remedy = f"Change the stream with the nats tool (nats stream edit {name}), or use a broker without it."
    if wrong == ["num_replicas"]:
        remedy = (
            f"Set MUSTER_REPLICAS={found.get('num_replicas')}, "
            f"or run: nats stream edit {name} --replicas {config['num_replicas']}"
        )
    return BrokerUnsuitableError(f"The stream {name} has other settings: {said}.", remedy=remedy, stream=name)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def check_server(connection: Connection) -> None:
    """Version, JetStream and message size, as the server states them. Raises BrokerUnsuitableError."""
    info = connection.nc._server_info
    url = connection.where
    version = str(info.get("version", "0.0"))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < VERSION_MIN:
        raise BrokerUnsuitableError(f"The broker at {url} is NATS {version}.", version=version)
    if not info.get("jetstream"):
        raise BrokerUnsuitableError(
            f"The broker at {url} runs without JetStream.",
            remedy="Start it with the nats.conf that ships, or add a jetstream block to its own.",
        )
    payload = int(info.get("max_payload", 0))
    if payload < PAYLOAD_MIN:
        raise BrokerUnsuitableError(
            f"The broker at {url} takes messages of at most {payload} bytes; Muster needs {PAYLOAD_MIN}.",
            remedy="Set max_payload: 8MB in its configuration, as the nats.conf that ships does.",
            max_payload=payload,
        )
