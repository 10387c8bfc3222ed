"""Every NATS subject Muster uses, built and parsed here and nowhere else.

muster.events.<writer>.<execution>.<noun>.<verb>
muster.commands.<target>.<verb>
muster.heartbeats.<machine>                      (the leading scheduler beats as ``scheduler``)
muster.logs.<machine>.<execution>.<step>.<attempt>
"""

from __future__ import annotations

from typing import Final

from muster.model.log.envelope import Event
from muster.model.log.names import NO_EXECUTION, SCHEDULER

EVENTS: Final = "muster.events.>"
COMMANDS: Final = "muster.commands.>"
HEARTBEATS: Final = "muster.heartbeats.>"
LOGS: Final = "muster.logs.>"
LEADER: Final = f"muster.events.{SCHEDULER}.{NO_EXECUTION}.leader.elected"
ARCHIVED: Final = f"muster.events.{SCHEDULER}.{NO_EXECUTION}.log.archived"
CLEARED: Final = f"muster.events.{SCHEDULER}.*.execution.cleared"
ENDED: Final = tuple(
    f"muster.events.{SCHEDULER}.*.execution.{verb}" for verb in ("succeeded", "failed", "cancelled")
)


def event(event: Event) -> str:
    """The subject an event is published on."""
    return f"muster.events.{event.writer}.{event.execution}.{event.data.kind}"


def events(
    *, writer: str = "*", execution: str = "*", noun: str | None = None, verb: str | None = None
) -> str:
    """The filter for events: everything, or what is named."""
    if noun is None and verb is None:
        return f"muster.events.{writer}.{execution}.>"
    return f"muster.events.{writer}.{execution}.{noun or '*'}.{verb or '*'}"


def queued(execution: str) -> str:
    """The subject of ``execution.queued``, with which every execution begins."""
    return f"muster.events.{SCHEDULER}.{execution}.execution.queued"


def cleared(execution: str) -> str:
    """The subject of the marker that is left of an erased execution."""
    return f"muster.events.{SCHEDULER}.{execution}.execution.cleared"


def connected(machine: str) -> str:
    """The subject of ``machine.connected``, which fences everything the agent writes."""
    return f"muster.events.{machine}.{NO_EXECUTION}.machine.connected"


def command(target: str, verb: str) -> str:
    """The subject of a command to a machine or to ``scheduler``."""
    return f"muster.commands.{target}.{verb}"


def commands(target: str) -> str:
    """The filter for every command to ``target``."""
    return f"muster.commands.{target}.*"


def verb(subject: str) -> str:
    """The verb of a command's subject."""
    return subject.rpartition(".")[2]


def heartbeat(machine: str) -> str:
    """The subject of a machine's beats, or of the leading scheduler's under the name ``scheduler``."""
    return f"muster.heartbeats.{machine}"


def logs(machine: str, execution: str, step: str, attempt: int | str) -> str:
    """The subject of the log lines of one attempt; any part may be ``*``."""
    return f"muster.logs.{machine}.{execution}.{step}.{attempt}"
