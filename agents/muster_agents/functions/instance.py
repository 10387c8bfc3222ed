"""One container with one function in it: made, loaded, called again and again, until it goes.

    starting → loading → ready → gone
        └─────────┴────────────────↗

Whoever makes it takes it through ``pull``, ``start`` and ``load``, each within that phase of its attempt; what
happens then is reported to that attempt. Once it is ready it belongs to the pool, which reserves it for calls
(``begin``, ``end``); at most ``concurrency`` are under way. Its end is watched from its start on: all calls under way
fail with EndedError, and ``ended`` is told, once, whatever ended it. After that it is gone and no call ever gets it.

A container found again (``adopt``) is ready at once, but says everything it ever said once more. So answers to nothing
are no mystery until the answer to a ``ping`` has come that only this agent can have asked: that stands behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from muster.model.errors import AttemptLostError, InvalidArgumentError, MusterError
from muster.model.log.catalogue import Body
from muster.model.plan import artifacts
from muster.model.plan.calls import PROTOCOL
from muster_agents import mishaps
from muster_agents.functions.audience import Audience
from muster_agents.functions.caller import Caller, EndedError
from muster_agents.functions.loaded import Loaded, loaded
from muster_agents.functions.marks import Marks
from muster_agents.functions.printed import Printed
from muster_agents.functions.wire import (
    ENVELOPE_BYTES,
    RefusedError,
    TooLargeError,
    Wire,
    notification,
    request,
)
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Exit, Launch, Report, Serving
from muster_agents.secrecy import Company

ENDED_S: Final = 5.0
"""How long the end of a container is waited for that does not take what is sent to it: its exit code says why."""
SHUTDOWN_S: Final = 2.0
"""How long an idle function may take to end where its room is waited for, whatever its step's grace time. Also that of
one found again, as its step is not known any more."""

log = logging.getLogger(__name__)


class _Pong(msgspec.Struct, frozen=True):
    calls: list[str] = []


class Instance:
    """See the module. It is the ``Ears`` of its container."""

    def __init__(
        self,
        launch: Launch,
        key: tuple[str, str],
        options: AgentOptions,
        *,
        ended: Callable[[Instance], None],
        now: Callable[[], float],
        again: bool = False,
    ) -> None:
        self.launch = launch
        self.key = key
        self.loaded: Loaded | None = None
        self.gone = False
        self.killed = False
        self.exit: Exit | None = None
        self.cause: MusterError | None = None
        self.since: datetime | None = None
        self.used_at: datetime | None = None
        self.used = self.loaded_at = now()
        self.heard = float("-inf")
        self.over = asyncio.Event()
        self.grace_s = SHUTDOWN_S
        self.load_s = 0.0
        self.count = self.failed = 0
        self.busy_s = 0.0
        self._options = options
        self._ended = ended
        self._now = now
        self._serving: Serving | None = None
        self._settled = True
        self._report: Report | None = None
        self._audience = Audience()
        self._marks = Marks()
        self._pings = itertools.count(1)
        self._token = secrets.token_hex(4)
        self.company = Company()
        self._printed = Printed(
            lambda chunk: self._audience.print("stderr", chunk), self._marks.came, again=again
        )
        self._wire = Wire(
            self._send,
            self._audience.told,
            message_bytes=options.function_message_bytes,
            name=f"{launch.container.function} in {launch.container.image}",
            foreign=self._printed.foreign if again else None,
        )

    # ---- what it is

    @property
    def function(self) -> str:
        """Its name."""
        return self.launch.container.function or ""

    @property
    def serving(self) -> Serving:
        """The container of the runtime."""
        assert self._serving is not None
        return self._serving

    @property
    def container(self) -> str:
        """The engine's name of it; empty before it is made."""
        return "" if self._serving is None else self._serving.container

    @property
    def calls(self) -> Mapping[str, Caller | None]:
        """The calls that have a place in it, by their ids."""
        return self._audience.calls

    @property
    def ready(self) -> bool:
        """Whether it can be called. Until its maker has settled it, the first call is the maker's."""
        return self.loaded is not None and self._settled and not self.gone

    @property
    def concurrency(self) -> int:
        """How many calls it takes at once."""
        return 1 if self.loaded is None else self.loaded.concurrency

    @property
    def idle(self) -> bool:
        """Whether it is ready and nobody calls it."""
        return self.ready and not self.calls

    @property
    def free(self) -> bool:
        """Whether it takes one more call."""
        return self.ready and len(self.calls) < self.concurrency

    # ---- Ears

    async def report(self, body: Body) -> None:
        """Something happened to the container."""
        if self._report is not None:
            await self._report(body)

    def print(self, stream: str, chunk: bytes) -> None:
        """It printed this."""
        if stream == "stdout":
            other = self._wire.hear(chunk)
            if other and not self._printed.again:  # whose it was cannot be told
                self._audience.print("stdout", other)
        elif self.loaded is not None and not self.loaded.marks and not self._printed.again:
            self._audience.print("stderr", chunk)
        else:
            self._printed.take(chunk)

    # ---- coming up

    def make(self, serving: Serving, maker: Caller, report: Report) -> None:
        """``maker`` takes it through its phases; what happens until ``settle`` is told to ``report``."""
        self._serving, self._report, self._settled = serving, report, False
        self._audience.maker = maker

    def settle(self, *, hears: bool = False) -> None:
        """It is up, and its maker a caller like any other, but that it may still hear all that is printed."""
        self._settled = True
        if not hears:
            self._audience.maker = self._report = None

    async def load(self, files: Mapping[str, Path]) -> Loaded:
        """Load the function, with these files of its params. Raises FunctionLoadError, and as ``Wire.ask``.

        Where it does not take the question: EndedError if it ends, else AttemptLostError.
        """
        began = self._now()
        try:
            document = await self._ask_to_load(files)
        except AttemptLostError as error:
            raise await self._why(error) from None
        self.load_s = round(self._now() - began, 6)
        self.loaded = loaded(document, self.function)
        self.since = self.used_at = datetime.now(UTC)
        self.used = self.heard = self.loaded_at = self._now()
        return self.loaded

    async def _ask_to_load(self, files: Mapping[str, Path]) -> bytes:
        spec = self.launch.container
        folder = (await self.serving.put("load", files))[0] if files else ""
        params = {
            "protocol": PROTOCOL,
            "function": spec.function,
            "params": artifacts.moved(spec.params, files, folder),
            "limits": {"message_bytes": self._options.function_message_bytes},
        }
        return await self._wire.ask("load", "load", params)

    async def _why(self, error: AttemptLostError) -> Exception:
        """What does not take what it is sent has ended, or is about to: how, is known in a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDED_S):
                await self.over.wait()
        return EndedError(self.exit, self.cause) if self.over.is_set() else error

    def adopt(self, serving: Serving, known: Loaded, since: datetime | None, load_s: float = 0.0) -> None:
        """It was found again. It counts as not heard of for long, so it is asked before anybody calls it."""
        self._serving, self.loaded, self.since, self.load_s = serving, known, since, load_s
        now = self.used_at = datetime.now(UTC)
        self.used = self._now()
        self.loaded_at = self.used - (0.0 if since is None else max(0.0, (now - since).total_seconds()))

    async def watch(self) -> None:
        """Until the container has ended. Whoever made it, or adopted it, runs this in a task from its start on."""
        try:
            self.exit = await self.serving.wait()
        except MusterError as error:
            self.cause = error
        except Exception as error:  # a defect: the calls must hear of it, and the agent has others
            self.cause = mishaps.failed(error, f"watching the container of {self.function}")
        self.over.set()
        self._wire.lose(EndedError(self.exit, self.cause, killed=self.killed))
        self.go()

    def go(self) -> None:
        """Nobody gets it any more."""
        if not self.gone:
            self.gone = True
            self._ended(self)

    # ---- calls

    def begin(self, id_: str, *, sent: bool = False) -> None:
        """One more call is under way, until ``end``. One that an agent before ``sent`` may share its place by now."""
        assert sent or self.free, "it is full"
        assert id_ not in self.calls
        self._audience.calls[id_] = None

    def end(self, id_: str) -> None:
        """The call is over."""
        if id_ in self.calls:
            del self._audience.calls[id_]
            self._marks.forget(id_)
            self._wire.forget(id_)
            self.used, self.used_at = self._now(), datetime.now(UTC)

    def expect(self, caller: Caller) -> asyncio.Future[bytes]:
        """The answer of a call that has begun: its prints and what is told of it are the caller's from here on."""
        self._audience.calls[caller.id] = caller
        self._marks.expect(caller.id)
        return self._wire.expect(caller.id)

    async def put(self, call: str, files: Mapping[str, Path]) -> tuple[str, str]:
        """Fill the folders of a call, as ``Serving.put``. Where they are not taken it raises as ``load`` says."""
        try:
            return await self.serving.put(call, files)
        except AttemptLostError as error:
            raise await self._why(error) from None

    async def execute(self, caller: Caller, params: Mapping[str, Any]) -> None:
        """Ask for what ``expect`` waits for. Raises InvalidArgumentError for too much, else as ``load`` says."""
        line, most = request(caller.id, "execute", params), self._options.function_message_bytes
        if len(line) > most + ENVELOPE_BYTES:
            raise InvalidArgumentError(
                f"{self.function}: its inputs are {len(line)} bytes as JSON, more than {most}.",
                remedy="Give what is large as a file.",
                retriable=False,
            )
        try:
            await self.serving.send(line)
        except AttemptLostError as error:
            raise await self._why(error) from None

    async def answered(self, caller: Caller, answer: asyncio.Future[bytes]) -> bytes:
        """Wait for the answer, and a moment for the last prints before it. Raises as ``Wire.expect`` says."""
        began = self._now()
        well = False
        try:
            document = await asyncio.shield(answer)
            well = True
            if not self._printed.again:  # until a ping was answered, nobody knows what comes again
                self.heard = self._now()
            return document
        finally:
            if answer.done():
                self.count += 1
                self.failed += not well
                self.busy_s += self._now() - began
                if self.loaded is not None and self.loaded.marks and not self.gone:
                    await self._marks.wait(caller.id)

    async def cancel(self, caller: Caller, answer: asyncio.Future[bytes], grace_s: float) -> bool:
        """Ask the function to give the call up; whether it did within the grace time. Then it may be called again."""
        try:
            async with asyncio.timeout(grace_s):
                await self.serving.send(notification("cancel", id=caller.id))
                await self.answered(caller, answer)
        except (RefusedError, TooLargeError):
            return True
        except (TimeoutError, MusterError, EndedError):
            return answer.done() and not self.gone
        return True

    async def release(self, id_: str) -> bool:
        """The files of this call are taken. Whether the function reads what it is told."""
        try:
            async with asyncio.timeout(self._options.function_ping_s):
                await self.serving.send(notification("release", id=id_))
        except (TimeoutError, MusterError):
            return False
        return True

    async def ping(self) -> set[str]:
        """The ids of the calls it says are under way. Raises as ``Wire.ask``."""
        document = await self._wire.ask(f"ping/{self._token}{next(self._pings)}", "ping")
        self._wire.settle()
        self._printed.settle()
        self.heard = self._now()
        try:
            return set(msgspec.json.decode(document, type=_Pong).calls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return set()

    async def well(self) -> bool:
        """Whether it answers in time."""
        try:
            async with asyncio.timeout(self._options.function_ping_s):
                await self.ping()
        except (TimeoutError, RefusedError, TooLargeError, EndedError, MusterError):
            return False
        return self.ready

    async def wake(self) -> None:
        """End a line that another agent may have left torn."""
        await self.serving.send(b"\n")

    async def _send(self, line: bytes) -> None:
        await self.serving.send(line)

    # ---- the end

    async def close(self, grace_s: float) -> bool:
        """End and remove the container, whatever it does; see ``remove``. Called once.

        With a grace time a loaded function is asked to shut down, and one that comes up to end, before it is killed.
        """
        if self._serving is None:
            return True
        try:
            if self.loaded is not None and grace_s > 0:
                await self._shut_down(grace_s)
            if not self.over.is_set():
                await self._serving.stop(0.0 if self.loaded is not None else grace_s)
        except Exception as error:
            log.error(f"the container of {self.function} could not be stopped: {error}")
        return await self.remove()

    async def remove(self) -> bool:
        """Remove the container; whether that could be done. Never raises but when cancelled."""
        try:
            await self.serving.remove()
        except Exception as error:  # the engine is away; where nobody tries again, the next start does
            log.error(f"the container of {self.function} could not be removed: {error}")
            return False
        return True

    async def _shut_down(self, grace_s: float) -> None:
        with contextlib.suppress(TimeoutError, MusterError, RefusedError, TooLargeError, EndedError):
            async with asyncio.timeout(grace_s):
                await self._wire.ask("shutdown", "shutdown")
                await self.over.wait()
