"""Positions in a log of the engine's."""

from collections.abc import Iterator
from typing import cast

import pytest

from muster_agents.runtimes.docker_engine import Engine
from muster_agents.runtimes.docker_history import History, nanoseconds

OUT, ERR = "stdout", "stderr"


class Log(History):
    """With the pieces that a test says, each with its second."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, int, bytes]] = []
        super().__init__(cast("Engine", None), "c")  # nobody asks it

    def _read(self) -> Iterator[tuple[str, bytes]]:
        for stream, second, chunk in self.pieces:
            yield stream, b"2026-11-21T21:07:%02d.000000000Z %s" % (second, chunk)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("1970-01-01T00:00:01.000000002Z", 1_000_000_002),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:01+01:00", 1_000_000_000),
        ("nonsense", 0),
    ],
)
def test_times_of_the_engine(stamp: str, moment: int):
    """Docker's and Podman's times are read to the nanosecond."""
    assert nanoseconds(stamp.encode()) == moment


def test_each_piece_is_told_once(log: Log):
    """What was told is not told again, though several pieces have one time."""
    log.pieces = [(OUT, 1, b"a"), (OUT, 2, b"b1"), (OUT, 2, b"b2")]
    assert list(log.news()) == [(OUT, b"ab1b2")]
    log.pieces += [(OUT, 2, b"b3"), (OUT, 3, b"c d")]
    assert list(log.news()) == [(OUT, b"b3c d")]
    assert list(log.news()) == []


def test_the_beginning_of_the_log_goes(log: Log):
    """A log whose first file went is told from where it was left."""
    log.pieces = [(OUT, second, b"%d" % second) for second in range(10)]
    assert list(log.news()) == [(OUT, b"0123456789")]
    log.pieces = [(OUT, second, b"%d" % second) for second in range(7, 13)]
    assert list(log.news()) == [(OUT, b"101112")]


def test_streams_whose_times_cross(log: Log):
    """A later piece of one stream may stand before an earlier one of the other."""
    log.pieces = [(OUT, 5, b"o1"), (ERR, 4, b"e1")]
    assert list(log.news()) == [(OUT, b"o1"), (ERR, b"e1")]
    assert list(log.news()) == []
    log.pieces += [(ERR, 5, b"e2"), (OUT, 6, b"o2")]
    assert list(log.news()) == [(ERR, b"e2"), (OUT, b"o2")]


def test_a_clock_that_goes_back(log: Log):
    """After an engine's clock was set back, what comes is new all the same."""
    log.pieces = [(OUT, 9, b"a")]
    assert list(log.news()) == [(OUT, b"a")]
    log.pieces += [(OUT, 9, b"b"), (OUT, 3, b"c")]
    assert list(log.news()) == [(OUT, b"bc")]
