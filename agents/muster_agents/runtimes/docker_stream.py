"""What a container prints, as frames of the engine; for a thread each.

While the agent that started it lives, a container is attached to before it starts: nothing is missed, and no log driver
comes into it. Following the log instead was measured to lose a last line without a line end, 4 times in 50. An adopted
container has only its log; that is why what was followed is read once more when it has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import docker.errors
import requests.exceptions
import urllib3.exceptions

from muster_agents.runtimes.docker_engine import Engine, EngineAwayError, starting
from muster_agents.runtimes.docker_live import FRAME_HEADER, STREAMS, Hear, Live

log = logging.getLogger(__name__)


class Attached:
    """The output of a container from before its start."""

    def __init__(self, engine: Engine, container: str) -> None:
        with starting():
            self._socket: Any = engine.api.attach_socket(
                container, params={"stdout": 1, "stderr": 1, "stream": 1}
            )
        self._beneath: Any = getattr(self._socket, "_sock", None)

    def read(self, hear: Hear) -> None:
        """Until all output has ended, or the connection has: the two look alike."""
        try:
            for stream, chunk in frames(self._buffered):
                hear(stream, chunk)
        except (OSError, ValueError) as error:
            raise EngineAwayError(str(error)) from error
        finally:
            self.close()

    @property
    def watchable(self) -> bool:
        """Whether a loop can be told when something comes: TLS has it read before that is known."""
        return type(self._beneath) is socket.socket

    def read_on(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        """As ``read``, but that ``hear`` is called on the loop. Only where it is ``watchable``."""
        try:
            self._beneath.setblocking(False)
            first = self._buffered.read(len(self._buffered.peek()))
            Live(loop, self._beneath, first, hear).to_the_end()
        except (OSError, ValueError) as error:
            raise EngineAwayError(str(error)) from error
        finally:
            self.close()

    @property
    def _buffered(self) -> Any:
        # What comes right behind the answer's head is in its buffer already: the socket beneath would miss it.
        return self._socket._response.raw._fp.fp

    def wake(self) -> None:
        """End a ``read`` that waits in another thread."""
        _shut(self._socket)

    def close(self) -> None:
        """Give the connection back."""
        close(self._socket, self._beneath)


class Followed:
    """The log of a container from its first line."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine = engine
        self._container = container
        self._socket: Any = None
        self._woken = False

    def read(self, hear: Hear) -> None:
        """Until the container has ended."""
        self._read(hear, follow=True)

    def read_again(self, hear: Hear) -> None:
        """All of it, once it has ended."""
        self._read(hear, follow=False)

    def _read(self, hear: Hear, *, follow: bool) -> None:
        api = self._engine.api
        url = f"{api.base_url}/v{api.api_version}/containers/{self._container}/logs"
        params = {"follow": int(follow), "stdout": 1, "stderr": 1}
        try:
            with api.get(url, params=params, stream=True, timeout=None) as answer:
                if answer.status_code not in {404, 409} and not answer.ok:
                    log.error(f"what the container prints cannot be read: {answer.text.strip()}")
                    return
                check(answer)
                self._socket = getattr(getattr(answer.raw, "connection", None), "sock", None)
                if self._woken:  # before there was anything to wake
                    self.wake()
                for stream, chunk in frames(answer.raw):
                    hear(stream, chunk)
        except docker.errors.NotFound:  # which is one of the next, too
            raise
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise EngineAwayError(str(error)) from error
        finally:
            self._socket = None

    def wake(self) -> None:
        """End a ``read`` that waits in another thread, or is about to."""
        self._woken = True
        if self._socket is not None:
            _shut(self._socket)


def check(answer: Any) -> None:
    """Raises NotFound where there is no such container, EngineAwayError where the engine does not do as asked."""
    if answer.status_code in {404, 409}:  # it is gone, or its removal is in progress
        raise docker.errors.NotFound(answer.text.strip())
    if answer.status_code != 200:
        raise EngineAwayError(answer.text.strip())


def frames(raw: Any) -> Iterator[tuple[str, bytes]]:
    """Pieces of a log, by the name of their stream."""
    while len(header := raw.read(FRAME_HEADER)) == FRAME_HEADER:
        yield STREAMS.get(header[0], "stdout"), raw.read(int.from_bytes(header[4:], "big"))


def close(upgraded: Any, beneath: Any) -> None:
    """Give an upgraded connection back."""
    # Its answer, the file over the socket, the socket: none of them closes the next one.
    for part in (getattr(upgraded, "_response", None), upgraded, beneath):
        with contextlib.suppress(OSError, ValueError):
            if part is not None:
                part.close()


def _shut(link: Any) -> None:
    """Shut the connection down without closing its file: its reader does that."""
    with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(link.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)
