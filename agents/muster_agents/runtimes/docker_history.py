"""What the engine kept of a container's output, each piece told once.

A position is the time that the engine wrote beside a piece, with how many pieces of that time were told: those of one
long line have the same. A position in bytes would not do, since the oldest file of a log that is full goes. Each stream
has its own: the two are written by different hands, and their times may cross.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import docker.errors
import msgspec
import requests.exceptions
import urllib3.exceptions

from muster_agents.runtimes.docker_engine import Engine, EngineAwayError
from muster_agents.runtimes.docker_stream import check, frames

NANOS: Final = 10**9
READ_BYTES: Final = 64 << 10
"""Read at once, and told at once: most pieces are single lines."""
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class _Position(msgspec.Struct):
    stamp: bytes
    count: int


class History:
    """The log of one container, from its first piece that is still there, or ``since``: Unix time in seconds."""

    def __init__(self, engine: Engine, container: str, since: float = 0.0) -> None:
        self._engine = engine
        self._container = container
        self._since = int(since * NANOS)
        self._told: dict[str, _Position] = {}

    def news(self) -> Iterator[tuple[str, bytes]]:
        """What was not told before, by the name of its stream. Raises EngineAwayError, NotFound."""
        stream, text = "", bytearray()
        for source, chunk in self._pieces():
            if text and (source != stream or len(text) >= READ_BYTES):
                yield stream, bytes(text)
                text.clear()
            stream = source
            text += chunk
        if text:
            yield stream, bytes(text)

    def _pieces(self) -> Iterator[tuple[str, bytes]]:
        known = {stream: _Position(one.stamp, one.count) for stream, one in self._told.items()}
        for stream, frame in self._read():
            stamp, _, chunk = frame.partition(b" ")
            if (before := known.get(stream)) is not None:
                if nanoseconds(stamp) < nanoseconds(before.stamp):
                    continue
                if stamp == before.stamp and before.count:
                    before.count -= 1
                    continue
                del known[stream]  # from here on all is new, whatever the engine's clock did
            told = self._told.get(stream)
            if told is not None and told.stamp == stamp:
                told.count += 1
            else:
                self._told[stream] = _Position(stamp, 1)
            yield stream, chunk

    def _read(self) -> Iterator[tuple[str, bytes]]:
        api = self._engine.api
        url = f"{api.base_url}/v{api.api_version}/containers/{self._container}/logs"
        since = min((nanoseconds(one.stamp) for one in self._told.values()), default=self._since)
        params: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1}
        if since:
            params["since"] = f"{since // NANOS}.{since % NANOS:09d}"
        try:
            with api.get(url, params=params, stream=True, timeout=api.timeout) as answer:
                check(answer)
                answer.raw.auto_close = False  # at its end it would close itself under its reader
                yield from frames(io.BufferedReader(answer.raw, READ_BYTES))
        except docker.errors.NotFound:  # which is one of the next, too
            raise
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise EngineAwayError(str(error)) from error


def nanoseconds(stamp: bytes) -> int:
    """A time of the engine's, in nanoseconds since 1970."""
    found = _STAMP.fullmatch(stamp)
    if found is None:
        return 0
    zone = "+00:00" if found[3] == b"Z" else found[3].decode()
    whole = datetime.fromisoformat(found[1].decode() + zone)
    return int(whole.timestamp()) * NANOS + int((found[2] or b"").ljust(9, b"0"))
