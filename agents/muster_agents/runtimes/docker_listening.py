"""What a function in a container prints, to its end, over whatever happens to the agent and to the engine.

A container is attached to before it starts: nothing is missed, and no log comes into it. One that was found running is
told from its log first, then attached to, and the two are spliced; so is one whose engine went away and came back, from
what was heard last. Following the log would be simpler, and was measured to end when the log of a loud container is
rotated, and to repeat lines then.

The end of what is attached to may be that of the container, that of the connection, or of its stdout and stderr: the
engine is asked which. All here is blocking: for a thread.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Final

import docker.errors
import requests.exceptions

from muster.model.errors import AttemptLostError, ContainerStartingError
from muster_agents.runtimes.docker_engine import Engine, EngineAwayError
from muster_agents.runtimes.docker_history import History
from muster_agents.runtimes.docker_live import STREAMS
from muster_agents.runtimes.docker_splice import Splice
from muster_agents.runtimes.docker_stream import Attached
from muster_agents.runtimes.passing import Passing

AWAY_S: Final = 0.5
"""Between two tries to reach an engine that went away, as one does that is being upgraded."""
AWAY_MAX_S: Final = 5.0
"""The same, where nothing is heard for long: of a function that closed what it prints to, and goes on."""
WAIT_S: Final = 1
"""One wait for the end of a container whose output has ended: most often it is there at once."""
LAG_S: Final = 0.01
LAG_MAX_S: Final = 1.0
"""How often, and how long, a line that was heard is looked for in the log."""
TAIL_BYTES: Final = 4096
"""Of what was heard last: what the log is searched for when the engine comes back."""
SKEW_S: Final = 600.0
"""How far the clocks of agent and engine may be apart, for the log not to be read from its beginning."""

log = logging.getLogger(__name__)


class Listening:
    """``attached`` is the connection of a container that was not started yet; without, it was found."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        hear: Passing,
        closed: threading.Event,
        attached: Attached | None = None,
    ) -> None:
        self._engine = engine
        self._container = container
        self._hear = hear
        self._closed = closed
        self._attached = attached
        self._history: History | None = None
        self._splices: dict[str, Splice] = {}
        self._last: dict[str, tuple[float, bytes]] = {}
        self._begun: dict[str, int] = {}
        self._pause = AWAY_S

    def to_the_end(self) -> tuple[int, bool]:
        """The exit code, and whether it was killed for its memory, when all that was printed was heard.

        Raises AttemptLostError where there will be no end.
        """
        try:
            while not self._closed.is_set():
                try:
                    if (code := self._listen()) is not None:
                        return code, code == 137 and self._engine.was_oom_killed(self._container)
                except docker.errors.NotFound:  # which is one of the next, too
                    raise
                except (EngineAwayError, requests.exceptions.RequestException) as error:
                    log.warning(f"the container engine does not answer ({error}); trying again")
                self._closed.wait(self._pause)
                self._pause = min(2 * self._pause, AWAY_MAX_S)
        except docker.errors.NotFound as error:
            raise AttemptLostError("The container was removed by somebody else.") from error
        raise AttemptLostError("The agent no longer watches the container.")

    def wake(self) -> None:
        """End a wait in the thread, after ``closed`` was set."""
        if (attached := self._attached) is not None:
            attached.wake()

    # ---- in the thread

    def _listen(self) -> int | None:
        """Until the connection ends; the exit code, where the container has ended as well."""
        if self._attached is None:
            self._attached = self._resume()
        if (attached := self._attached) is not None:
            try:
                if self._closed.is_set():
                    attached.close()
                    return None
                if self._splices or not attached.watchable:
                    attached.read(self._live)
                else:
                    attached.read_on(self._hear.loop, self._on_loop)
            finally:
                self._attached = None
        code = self._engine.wait(self._container, WAIT_S)
        if code is not None:
            with contextlib.suppress(docker.errors.NotFound):  # who removes it does not want its last words
                self._tell_news()
        return code

    def _resume(self) -> Attached | None:
        """Tell what was missed, then a new connection; none where the container does not run."""
        since = min((when - SKEW_S for when, _ in self._last.values()), default=0.0)
        self._history = History(self._engine, self._container, since)
        self._splices = {stream: Splice() for stream in STREAMS.values()}
        # From here on it can print no more than the connection holds, and so not drive anything out of its log.
        attached = attach(self._engine, self._container)
        try:
            running = self._engine.is_running(self._container)
            self._tell_missed()
        except BaseException:
            attached.close()
            raise
        if running:
            return attached
        attached.close()  # it would wait for the next start
        return None

    def _tell_missed(self) -> None:
        """All of the log, or what stands in it behind that which was heard last."""
        if not self._last or self._history is None:
            self._tell_news()
            return
        texts = {stream: bytearray() for stream in STREAMS.values()}
        for stream, chunk in self._history.news():
            texts[stream] += chunk
        for stream, text in texts.items():
            self._splices[stream].tell(text)
            _, tail = self._last.get(stream, (0.0, b""))
            rest, self._begun[stream] = unheard(bytes(text), tail)
            if rest:
                self._tell(stream, rest)

    def _tell_news(self) -> None:
        """What the log says of streams that are not joined: the others come live."""
        if self._history is None:
            return
        for stream, chunk in self._history.news():
            splice = self._splices.get(stream)
            if splice is None or splice.joined:
                continue
            splice.tell(chunk)
            known = min(self._begun.get(stream, 0), len(chunk))
            if known:
                self._begun[stream] -= known
            if known < len(chunk):
                self._tell(stream, chunk[known:])

    def _live(self, stream: str, chunk: bytes) -> None:
        self._pause = AWAY_S
        splice = self._splices.get(stream)
        if splice is not None:
            chunk = splice.hear(chunk)
            if not splice.joined and splice.is_ready:
                chunk = self._join(splice)
        if chunk:
            self._tell(stream, chunk)

    def _on_loop(self, stream: str, chunk: bytes) -> None:
        """Nothing came before it."""
        self._pause = AWAY_S
        self._last[stream] = (time.time(), chunk[-TAIL_BYTES:])
        self._hear.at_once(stream, chunk)

    def _join(self, splice: Splice) -> bytes:
        """Read the log until it has the line that was heard; what is new of that which was heard."""
        deadline = time.monotonic() + LAG_MAX_S
        while time.monotonic() < deadline:
            if not splice.ahead:
                self._tell_news()
            if (rest := splice.join()) is not None:
                return rest
            if splice.ahead:
                return b""  # what it has comes live as well, and is there in a moment
            if self._closed.wait(LAG_S):
                break
        return splice.join(anyhow=True) or b""

    def _tell(self, stream: str, chunk: bytes) -> None:
        self._last[stream] = (time.time(), chunk[-TAIL_BYTES:])
        self._hear(stream, chunk)


def unheard(text: bytes, tail: bytes) -> tuple[bytes, int]:
    """What follows in a log behind ``tail``, which was heard last, and how much of what the log will say was heard.

    The end of the tail may be half a line: a log has it when the line is whole.
    """
    if (place := text.rfind(tail)) >= 0:
        return (text[place + len(tail) :], 0) if tail else (text, 0)
    whole = tail.rfind(b"\n") + 1
    if whole and (place := text.rfind(tail[:whole])) >= 0:
        begun, rest = len(tail) - whole, text[place + whole :]
        return rest[begun:], max(0, begun - len(rest))
    return text, 0


def attach(engine: Engine, container: str) -> Attached:
    """A connection to what it prints. Raises EngineAwayError, NotFound."""
    try:
        return Attached(engine, container)
    except ContainerStartingError as error:
        if isinstance(error.__cause__, docker.errors.NotFound):
            raise error.__cause__ from None
        raise EngineAwayError(error.message) from error
