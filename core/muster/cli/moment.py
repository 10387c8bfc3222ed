"""Points of the past: what may be written behind ``--at``, and which place in the log it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import click
import msgspec

from muster.broker.interface import Broker
from muster.cli.terminal import F
from muster.cli.words import clock
from muster.client.reach import position
from muster.model.definition.quantities import seconds
from muster.model.errors import InvalidArgumentError

At = int | datetime
"""A sequence, or a time in UTC."""

FORMS: Final = (
    "a sequence (1200), a time (2026-11-21T14:03:22, or 14:03; local unless it ends with Z or +02:00) "
    "or an age (10m ago, -10m)"
)


class Point(msgspec.Struct, frozen=True):
    """A place in the log. ``time`` is what was asked for, or when the event there was written (None: it is erased)."""

    sequence: int
    time: datetime | None

    def __str__(self) -> str:
        if self.time is None:
            return f"sequence {self.sequence}"
        return f"sequence {self.sequence}, {clock(self.time)}.{self.time.microsecond // 1000:03d}"


class AtType(click.ParamType[At]):
    """A sequence or a time, by any of ``FORMS``."""

    name = "sequence|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> At:
        """The sequence or the time; fails with what is accepted."""
        if isinstance(value, int | datetime):
            return value
        now = datetime.now(UTC)
        try:
            found = read(value.strip(), now)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no point of the past; write {FORMS}.", param, ctx)
        if found == 0:
            self.fail("Sequences begin at 1.", param, ctx)
        if isinstance(found, datetime) and found > now:
            self.fail(f"{clock(found)} has not come yet: here it is {clock(now)}.", param, ctx)
        return found


def read(text: str, now: datetime) -> At:
    """What ``text`` means, where it is ``now``. Raises ValueError or OverflowError where it means nothing."""
    if text.isdecimal():
        return int(text)
    if text.startswith("-") or text.endswith(" ago"):
        return now - timedelta(seconds=seconds(text.removeprefix("-").removesuffix(" ago").strip()))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        hour = time.fromisoformat(text)
        found = datetime.combine(now.astimezone(hour.tzinfo), hour)
    return found.astimezone(UTC)  # without a zone it is the reader's


def at_option(help_: str, **more: Any) -> Callable[[F], F]:
    """The option ``--at``."""
    return click.option("--at", type=AtType(), metavar="SEQUENCE|TIME", help=help_, **more)


async def locate(broker: Broker, at: At) -> Point:
    """The place in the log. Raises InvalidArgumentError where the log does not reach that far, and BrokerError."""
    last = (await position(broker)).last
    if isinstance(at, datetime):
        return Point(await broker.history.sequence_at(at), at)
    if at > last:
        raise InvalidArgumentError(
            f"The log ends at {last}: there is nothing at {at} yet.", remedy=f"Ask for {last} or lower."
        )
    async for batch in broker.history.read(at, stop=at):
        return Point(at, batch[0].event.time)
    return Point(at, None)


async def present(broker: Broker) -> Point:
    """The end of the log."""
    return Point((await position(broker)).last, datetime.now(UTC))


def as_shown(point: Point) -> str:
    """The line that stands above what was so at ``point``."""
    return f"As it was at {point}."
