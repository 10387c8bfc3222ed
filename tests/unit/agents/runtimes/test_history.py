"""Positions in a log of the engine's."""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import pytest
import urllib3.exceptions

from muster_agents.runtimes.docker_engine import Engine, EngineAwayError
from muster_agents.runtimes.docker_history import History, nanoseconds
from muster_agents.runtimes.docker_stream import Followed

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


class Breaking:
    """The engine's client, whose answer breaks off when it is read."""

    base_url, api_version, timeout = "http://engine", "1", 1

    def __init__(self) -> None:
        self.status_code, self.raw, self.api, self.connection = 200, self, self, None
        self.ok, self.auto_close, self.closed = True, True, False

    def get(self, *_: Any, **__: Any) -> Any:
        """It answers."""
        return contextlib.nullcontext(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, _: Any) -> int:
        """For who reads through a buffer."""
        return len(self.read())

    def read(self, *_: int) -> bytes:
        """As urllib3 says that the engine was killed."""
        raise urllib3.exceptions.ProtocolError("Connection broken")

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("followed", [True, False])
def test_an_engine_that_is_killed_while_its_log_is_read(followed: bool):
    """It is away, which is waited for; no other error ends the watch of the container."""
    engine = cast("Engine", Breaking())
    with pytest.raises(EngineAwayError, match="broken"):
        if followed:
            Followed(engine, "c").read(lambda *_: None)
        else:
            list(History(engine, "c").news())
