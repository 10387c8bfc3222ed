"""Steps that run nothing: they wait, keep values, speak, or end the execution."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from muster.build.handling import Common, Text, made
from muster.model.definition.workflow import Duration, Step, WaitForInput


def wait_for_input(
    id_: str,
    prompt: Text = "",
    *,
    schema: Mapping[str, Any] | None = None,
    timeout: Duration | None = None,
    **common: Unpack[Common],
) -> Step:
    """Wait until somebody answers; the answer, checked with the JSON Schema, is the step's outputs."""
    asked = WaitForInput(prompt=str(prompt), schema=dict(schema or {}), timeout=timeout)
    return made(id_, common, wait_for_input=asked)


def sleep(id_: str, duration: Duration, **common: Unpack[Common]) -> Step:
    """Wait for a time: ``"10s"``, or a number of seconds."""
    return made(id_, common, sleep=duration)


def sleep_until(id_: str, time: Text | datetime, **common: Unpack[Common]) -> Step:
    """Wait until a time with its zone, such as 2026-11-21T18:00:00Z."""
    return made(id_, common, sleep_until=time.isoformat() if isinstance(time, datetime) else time)


def set_(id_: str, values: Mapping[str, Any], **common: Unpack[Common]) -> Step:
    """Set variables of the execution: ``variables.NAME`` reads them. They are the step's outputs too."""
    return made(id_, common, set=dict(values))


def get(id_: str, name: str, **common: Unpack[Common]) -> Step:
    """Read a variable at this point; gives ``value``."""
    return made(id_, common, get=name)


def return_(id_: str, value: Any = None, **common: Unpack[Common]) -> Step:
    """End the execution well, with this value as its outputs."""
    return made(id_, common, return_=value)


def fail(id_: str, message: Text, **common: Unpack[Common]) -> Step:
    """Fail, with this message (``error`` in a file)."""
    return made(id_, common, error=message)


def log(id_: str, message: Text, **common: Unpack[Common]) -> Step:
    """Write a message into the log of events; gives ``message``."""
    return made(id_, common, log=message)
