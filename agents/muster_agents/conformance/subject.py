"""One container that is tried: started as an agent would, and talked to with the agent's own client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from muster.identity import uuid7
from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import MusterError
from muster.model.log.catalogue import Body
from muster_agents.conformance.heard import Heard
from muster_agents.functions.caller import EndedError
from muster_agents.functions.instance import ENDED_S
from muster_agents.functions.marks import MARK_S
from muster_agents.functions.wire import (
    ENVELOPE_BYTES,
    RefusedError,
    TooLargeError,
    UnreadableError,
    Wire,
    notification,
    request,
)
from muster_agents.runtimes.interface import Exit, Launch, ServesFunctions, Serving

PRINTED_MAX: Final = 1 << 20
"""Of what was printed so much is looked at, from its end."""
SILENT: Final = "nothing came on its stdout. Flush each line, and read stdin by the line, not by the block"

Show = Callable[[str, bytes], None]


class BrokenError(Exception):
    """A rule was not kept; says how."""


class UntriedError(Exception):
    """A rule could not be tried on this function; says why."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a question: a document, or an error."""

    document: bytes | None = None
    error: RefusedError | None = None

    @property
    def value(self) -> Any:
        """The result, read. Raises BrokenError."""
        if self.document is None:
            return None
        try:
            return msgspec.json.decode(self.document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BrokenError(f"its answer is no JSON in UTF-8 that can be read: {error}") from None


class Subject:
    """Use it in ``async with``: it runs in it, and nothing of it is left after. ``show`` gets what it prints."""

    def __init__(
        self, runtime: ServesFunctions, spec: ContainerSpec, message_bytes: int, limit_s: float, show: Show
    ) -> None:
        self.heard = Heard(message_bytes + ENVELOPE_BYTES)
        self.message_bytes = message_bytes
        self.spec = spec
        self.exit: Exit | None = None
        self.serving: Serving = runtime.serve(Launch(instance=uuid7(), container=spec), self)
        self._limit_s = limit_s
        self._show = show
        self._printed = bytearray()
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._wire = Wire(
            self.serving.send, lambda *_: None, message_bytes=message_bytes, foreign=lambda: None
        )

    async def __aenter__(self) -> Self:
        """Pull and start it."""
        try:
            await self.serving.pull()
            await self.serving.start()
        except BaseException:
            await self.serving.remove()
            raise
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        try:
            await self.serving.stop(0.0)
        finally:
            await self.serving.remove()
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        cause: MusterError | None = None
        try:
            self.exit = await self.serving.wait()
        except MusterError as error:
            cause = error
        self._wire.lose(EndedError(self.exit, cause))

    # ---- Ears

    async def report(self, body: Body) -> None:
        """Nobody asks."""

    def print(self, stream: str, chunk: bytes) -> None:
        """It said, or printed, this."""
        if stream == "stdout":
            self.heard.take(chunk)
            other = self._wire.hear(chunk)
            if other:
                self._show(stream, other)
            return
        self._printed += chunk
        del self._printed[:-PRINTED_MAX]
        self._news.set()
        self._show(stream, chunk)

    # ---- talking

    async def write(self, line: bytes) -> None:
        """A line as it is. Raises BrokenError where it is not taken."""
        try:
            await self.serving.send(line)
        except MusterError as error:
            # What takes nothing has ended, or is about to: how, is known in a moment.
            if await self.ended(min(ENDED_S, self._limit_s)) is not None:
                raise BrokenError(f"its process ended{self._ending}") from None
            raise BrokenError(f"it takes nothing any more: {error.message}") from None

    async def notify(self, method: str, **params: Any) -> None:
        """What asks for no answer."""
        await self.write(notification(method, **params))

    def expect(self, id_: str, *, call: bool = False, twice: bool = False) -> asyncio.Future[bytes]:
        """The answer that will come. See ``Heard.ask``."""
        self.heard.ask(id_, call=call, twice=twice)
        return self._wire.expect(id_)

    async def answered(self, id_: str, answer: asyncio.Future[bytes], limit_s: float | None = None) -> Answer:
        """Wait for it. Raises BrokenError where there is none."""
        limit_s = self._limit_s if limit_s is None else limit_s
        try:
            async with asyncio.timeout(limit_s):
                return Answer(document=await asyncio.shield(answer))
        except UnreadableError as error:
            raise BrokenError(error.message) from None
        except RefusedError as error:
            if not isinstance(error.code, int) or not isinstance(error.message, str):
                raise BrokenError(f"its error has no code and message: {error}") from None
            return Answer(error=error)
        except TooLargeError as error:
            raise BrokenError(f"its answer has {error.size} bytes") from None
        except EndedError:
            raise BrokenError(f"its process ended{self._ending}") from None
        except TimeoutError:
            why = "" if self.heard.anything else f": {SILENT}"
            raise BrokenError(f"it did not answer {id_} in {limit_s:g} s{why}") from None
        finally:
            self._wire.forget(id_)

    @property
    def _ending(self) -> str:
        code = "" if self.exit is None else f" with exit code {self.exit.exit_code}"
        last = bytes(self._printed).decode("utf-8", "replace").strip().rpartition("\n")[2]
        return code + (f"; it printed: {last[:200]}" if last else "")

    async def ask(self, id_: str, method: str, params: Any = None) -> Answer:
        """A question and its answer."""
        answer = self.expect(id_)
        await self.write(request(id_, method, params))
        return await self.answered(id_, answer)

    def order(self, id_: str, inputs: Mapping[str, Any]) -> bytes:
        """The line that calls the function."""
        execution, step, attempt = id_.rsplit("/", 2)
        folder, out = self.serving.folders(id_.replace("/", "."))
        where = {"execution": execution, "workflow": "check", "step": step, "attempt": int(attempt)}
        params = {"inputs": inputs, "context": None, **where, "in": folder, "out": out}
        return request(id_, "execute", params)

    async def call(self, id_: str, inputs: Mapping[str, Any]) -> Answer:
        """One call."""
        answer = self.expect(id_, call=True)
        await self.write(self.order(id_, inputs))
        return await self.answered(id_, answer)

    async def ended(self, limit_s: float) -> Exit | None:
        """How it ended; None where it did not in this time."""
        assert self._watching is not None
        await asyncio.wait({self._watching}, timeout=limit_s)
        return self.exit

    async def marked(self, id_: str) -> bool:
        """Whether the mark of this call came."""
        mark = b"\0" + id_.encode() + b"\n"
        try:
            async with asyncio.timeout(MARK_S):
                while mark not in self._printed:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True
