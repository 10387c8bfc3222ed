from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from muster.broker.memory import MemoryBroker, MemoryStore
from muster.cli.moment import AtType, Point, locate, present, read
from muster.model.errors import InvalidArgumentError
from tests.unit.client.story import T0, Story

NOW = datetime(2026, 11, 21, 14, 3, 22, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1200", 1200),
        ("20261121", 20_261_121),
        ("2026-11-21T14:03:22Z", NOW.replace(microsecond=0)),
        ("2026-11-21 16:03:22.250+02:00", NOW.replace(microsecond=250_000)),
        ("2026-11-21T14:03:22", datetime(2026, 11, 21, 14, 3, 22).astimezone()),
        ("2026-11-21", datetime(2026, 11, 21).astimezone()),
        ("14:03", NOW.astimezone().replace(hour=14, minute=3, second=0, microsecond=0)),
        ("00:30+14:00", datetime(2026, 11, 21, 10, 30, tzinfo=UTC)),
        ("10m ago", NOW - timedelta(minutes=10)),
        ("-1h30m", NOW - timedelta(minutes=90)),
    ],
)
def test_what_may_be_written(text: str, meant: int | datetime):
    """A number is a sequence; a time without a zone is the reader's, without a date today's; an age counts from now."""
    assert read(text, NOW) == meant


@pytest.mark.parametrize(
    "text",
    ["soon", "", "-", " ago", "-10", "10 ago", "1.5", "2026-13-01", "10m", "99999999d ago", "9" * 5000],
)
def test_what_is_neither_is_refused(text: str):
    """What is no sequence, time or age is refused with all that is accepted."""
    with pytest.raises(click.BadParameter, match=r"a sequence \(1200\).*2026-11-21T14:03:22.*10m ago"):
        AtType().convert(text, None, None)


def test_a_time_is_said_in_utc():
    """Whatever the zone it was written in, a time goes on in UTC."""
    found = AtType().convert("2026-01-01T12:00:00+02:00", None, None)
    assert isinstance(found, datetime)
    assert found.isoformat() == "2026-01-01T10:00:00+00:00"


@pytest.mark.parametrize(("text", "sentence"), [("0", "begin at 1"), ("2999-01-01", "has not come yet")])
def test_what_is_not_in_the_past_is_refused(text: str, sentence: str):
    """Sequence 0 and a time to come are refused."""
    with pytest.raises(click.BadParameter, match=sentence):
        AtType().convert(text, None, None)


class Clock:
    """Goes a second at each look."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
async def broker() -> Any:
    """A log with four events, stored a second apart from the second second on, the second of which is erased."""
    made = MemoryBroker(MemoryStore(clock=Clock()))
    await made.log.append(
        [Story().queued(), Story("e2").queued(), Story("e3").queued(), Story("e4").queued()]
    )
    await made.log.erase("e2", 3)
    yield made
    await made.close()


async def test_a_sequence_is_itself_with_the_time_of_its_event(broker: MemoryBroker):
    """A sequence is the place it names; its time is that of the event there, if that is still there."""
    assert await locate(broker, 1) == Point(1, T0 + timedelta(seconds=0.1))
    assert await locate(broker, 2) == Point(2, None)
    assert str(await locate(broker, 2)) == "sequence 2"
    with pytest.raises(InvalidArgumentError, match="The log ends at 4: there is nothing at 5 yet"):
        await locate(broker, 5)


async def test_a_time_is_what_was_stored_by_then(broker: MemoryBroker):
    """A time is the place of the last event that was stored by then; what is shown is the time that was asked for."""
    asked = T0 + timedelta(seconds=4, milliseconds=7)
    assert await locate(broker, asked) == Point(3, asked)
    assert str(await locate(broker, asked)).endswith(":04.007")
    assert (await locate(broker, T0)).sequence == 0
    assert (await present(broker)).sequence == 4
