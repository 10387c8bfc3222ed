"""A function on this machine, without a broker: what ``muster function run`` does. The agent's own parts do it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from muster.identity import uuid7
from muster.model.definition.workflow import ContainerSpec
from muster.model.log.catalogue import Body
from muster.model.plan import calls
from muster.model.plan.results import Result
from muster_agents.contained import finished_with
from muster_agents.functions import failures
from muster_agents.functions.caller import Caller, EndedError
from muster_agents.functions.instance import Instance
from muster_agents.functions.wire import RefusedError, TooLargeError
from muster_agents.options import AgentOptions
from muster_agents.runtimes.interface import Launch, ServesFunctions

FOLDER: Final = "files"
"""What the folders of the calls are called: they come one after the other and share them."""
TAIL_LINES: Final = 20
GRACE_S: Final = 10.0
"""How long a call may clean up that is interrupted."""

Show = Callable[[str, Mapping[str, Any]], None]
Print = Callable[[bytes], None]


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave, and how long it took. ``result`` is what it asked for instead of outputs."""

    outputs: dict[str, Any] = {}
    result: Result | None = None
    seconds: float = 0.0


class Alone:
    """One container with one function. Use it in ``async with``. All that is printed in it is its own, from the first
    line to the last.

    ``prints`` gets that as it comes, ``shows`` what the function tells (``progress``, ``log``).
    """

    def __init__(
        self, runtime: ServesFunctions, spec: ContainerSpec, options: AgentOptions, prints: Print, shows: Show
    ) -> None:
        launch = Launch(instance=uuid7(), container=spec)
        self.instance = Instance(launch, ("", ""), options, ended=lambda _: None, now=time.monotonic)
        self.instance.make(runtime.serve(launch, self.instance), self, self.report)
        self.id = "load"
        self._function = spec.function or ""
        self._bytes_max = options.function_message_bytes
        self._prints, self._shows = prints, shows
        self._tail: list[str] = []
        self._number = 0
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start it."""
        try:
            await self.instance.serving.pull()
            await self.instance.serving.start()
        except BaseException:
            await self.instance.close(0.0)
            raise
        self._watching = asyncio.create_task(self.instance.watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it shut down, and remove it."""
        await self.instance.close(self.instance.grace_s)
        if self._watching is not None:
            await asyncio.wait({self._watching})

    # ---- Caller

    async def report(self, body: Body) -> None:
        """Nobody keeps it."""

    def print(self, stream: str, chunk: bytes) -> None:  # noqa: ARG002 - both are shown alike
        """See ``Caller.print``."""
        self._tail = [*self._tail, *chunk.decode("utf-8", "replace").splitlines()][-TAIL_LINES:]
        self._prints(chunk)

    def told(self, method: str, params: Mapping[str, Any]) -> None:
        """See ``Caller.told``."""
        self._shows(method, params)

    # ---- what it does

    async def load(self) -> None:
        """Load it. Raises what an agent would report."""
        with self._meant(loaded=False):
            await self.instance.load({})
        self.instance.settle(hears=True)

    @property
    def strings(self) -> frozenset[str]:
        """The inputs of which it says that they are text."""
        known = self.instance.loaded
        ports = known.inputs if known is not None and isinstance(known.inputs, dict) else {}
        return frozenset(
            name for name, port in ports.items() if isinstance(port, dict) and port.get("type") == "string"
        )

    async def call(self, inputs: Mapping[str, Any], files: Mapping[str, Path], out: Path | None) -> Called:
        """Call it; ``files`` are inputs that it gets as paths, ``out`` is where its files are copied to.

        Raises what an agent would report.
        """
        self._number += 1
        caller = _Caller(f"run/call/{self._number}", self._shows)
        with self._meant(loaded=True):
            folders = await self.instance.put(FOLDER, files)
            began = time.monotonic()
            document = await self._answer(caller, inputs, files, folders)
        seconds = round(time.monotonic() - began, 6)
        found = calls.answer(document, self._function, {})
        if out is not None:
            await asyncio.to_thread(shutil.copytree, folders[1], out, dirs_exist_ok=True)
        if isinstance(found, dict):
            return Called(outputs=found, seconds=seconds)
        return Called(result=finished_with(found, {}).result, seconds=seconds)

    async def _answer(
        self, caller: Caller, inputs: Mapping[str, Any], files: Iterable[str], folders: tuple[str, str]
    ) -> bytes:
        given = dict(inputs) | {name: f"{folders[0]}/{name}" for name in files}
        params = {"inputs": given, "context": None, "execution": "run", "workflow": "run", "step": "call"}
        where = {"attempt": self._number, "in": folders[0], "out": folders[1]}
        self.instance.begin(caller.id)
        answer = self.instance.expect(caller)
        try:
            await self.instance.execute(caller, params | where)
            return await self.instance.answered(caller, answer)
        except asyncio.CancelledError:
            await self.instance.cancel(caller, answer, GRACE_S)
            raise
        finally:
            self.instance.end(caller.id)

    @contextmanager
    def _meant(self, *, loaded: bool) -> Iterator[None]:
        """Why there is no answer, in the words of the taxonomy."""
        try:
            yield
        except EndedError as error:
            raise failures.crashed(error, self._function, self._tail, loaded=loaded, memory=0) from None
        except (RefusedError, TooLargeError) as error:
            raise failures.refused(error, self._function, loaded=loaded, bytes_max=self._bytes_max) from None


class _Caller:
    """Of one call: only what is told of it, for what is printed has been heard."""

    def __init__(self, id_: str, shows: Show) -> None:
        self.id = id_
        self._shows = shows

    def print(self, stream: str, chunk: bytes) -> None:
        """See ``Caller.print``."""

    def told(self, method: str, params: Mapping[str, Any]) -> None:
        """See ``Caller.told``."""
        if params.get("id") == self.id:
            self._shows(method, params)
