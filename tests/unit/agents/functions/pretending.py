"""Containers of functions that do what a test says, and speak the protocol as a good function does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from muster.model.errors import AttemptLostError
from muster.model.log.catalogue import ContainerStarted, ContainerStarting, ImagePulled, ImagePulling
from muster_agents.runtimes.interface import Ears, Exit, FoundServing, Launch

Message = dict[str, Any]
LOADED = {"protocol": 1, "concurrency": 1, "name": "f", "marks": False}


def line(**content: Any) -> bytes:
    """One line of the protocol."""
    return json.dumps({"jsonrpc": "2.0"} | content).encode() + b"\n"


class Pretender:
    """A ``Serving``: answers ``load``, ``ping``, ``cancel`` and ``shutdown``, and calls as its runtime says."""

    def __init__(self, runtime: Servings, launch: Launch, ears: Ears, container: str = "") -> None:
        self.runtime, self.launch, self.ears = runtime, launch, ears
        self.name = container or f"c{len(runtime.made) + 1}"
        self.container = container
        self.digest = ""
        self.heard: list[Message] = []
        self.diary: list[str] = []
        self.open: list[str] = []
        self.files: dict[str, dict[str, bytes]] = {}
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    # ---- Serving

    async def pull(self) -> None:
        """The image is what the runtime has under its name."""
        self.diary.append("pull")
        await self.ears.report(ImagePulling(image=self.launch.container.image))
        await self.runtime.pulling(self)
        self.digest = self.runtime.digests.setdefault(self.launch.container.image, "d1") or ""
        await self.ears.report(ImagePulled(image=self.launch.container.image, digest=self.digest))

    async def start(self) -> None:
        """It runs."""
        self.diary.append("start")
        self.container = self.name
        await self.ears.report(ContainerStarting(image=self.launch.container.image))
        await self.runtime.starting(self)
        await self.ears.report(ContainerStarted(container=self.container))

    async def send(self, text: bytes) -> None:
        """React to it, as soon as its sender waits."""
        if self.ended.done():
            raise AttemptLostError("nobody reads there")
        if text.strip():
            message = json.loads(text)
            self.heard.append(message)
            asyncio.get_running_loop().call_soon(self._react, message)
        else:
            self.diary.append("empty line")

    def folders(self, call: str) -> tuple[str, str]:
        """As in a container."""
        return f"/muster/in/{call}", f"/muster/out/{call}"

    async def put(self, call: str, files: Mapping[str, Path]) -> tuple[str, str]:
        """Keep what came."""
        self.files[call] = {name: await asyncio.to_thread(path.read_bytes) for name, path in files.items()}
        return self.folders(call)

    async def wait(self) -> Exit:
        """Its end."""
        return await asyncio.shield(self.ended)

    async def take(self, path: str, target: Path, bytes_max: int) -> tuple[str, int] | None:
        """What the test says that it made."""
        content = self.runtime.outs.get(path)
        if content is None:
            return None
        await asyncio.to_thread(target.write_bytes, content)
        return sha256(content).hexdigest(), len(content)

    async def stop(self, grace_s: float) -> None:
        """It ends at once."""
        self.diary.append(f"stop {grace_s:g}")
        self.end(143)

    async def remove(self) -> None:
        """Gone."""
        self.diary.append("remove")
        self.end(137)

    # ---- what the function does

    def _react(self, message: Message) -> None:
        method = message.get("method")
        if self.ended.done():
            return
        if method == "load":
            self.runtime.loading(self, message)
        elif method == "execute":
            self.open.append(message["id"])
            self.runtime.calling(self, message)
        elif method == "ping" and self.runtime.pongs:
            self.say(id=message["id"], result={"calls": self.open})
        elif method == "cancel" and self.runtime.obeys:
            self.say(id=message["params"]["id"], error={"code": -32800, "message": "cancelled"})
        elif method == "shutdown":
            self.say(id="shutdown", result=None)
            self.end(0)

    def say(self, **content: Any) -> None:
        """Print a line of the protocol."""
        if content.get("id") in self.open and ("result" in content or "error" in content):
            self.open.remove(content["id"])
        self.ears.print("stdout", line(**content))

    def gives(self, message: Message, value: Any) -> None:
        """Answer a call with a value."""
        self.say(id=message["id"], result={"$returned": value})

    def end(self, code: int, *, oom: bool = False) -> None:
        """The process ends."""
        if not self.ended.done():
            self.ended.set_result(Exit(container=self.name, exit_code=code, oom_killed=oom))

    @property
    def calls(self) -> list[Message]:
        """The calls it was asked for."""
        return [message for message in self.heard if message.get("method") == "execute"]


def loads(serving: Pretender, message: Message) -> None:
    """Load well."""
    serving.say(id=message["id"], result=LOADED | {"concurrency": serving.runtime.concurrency})


def echoes(serving: Pretender, message: Message) -> None:
    """Give the inputs."""
    serving.gives(message, message["params"]["inputs"])


def keeps(serving: Pretender, message: Message) -> None:
    """Never answer."""


async def at_once(serving: Pretender) -> None:
    """Take no time."""


class Servings:
    """The half of a runtime that is about functions."""

    def __init__(self) -> None:
        self.made: list[Pretender] = []
        self.digests: dict[str, str | None] = {}
        self.concurrency = 1
        self.pongs = self.obeys = True
        self.loading: Callable[[Pretender, Message], None] = loads
        self.calling: Callable[[Pretender, Message], None] = echoes
        self.pulling: Callable[[Pretender], Any] = at_once
        self.starting: Callable[[Pretender], Any] = at_once
        self.outs: dict[str, bytes] = {}
        self.left: list[FoundServing] = []
        self.gone: list[str] = []

    def serve(self, launch: Launch, ears: Ears) -> Pretender:
        """Another container."""
        self.made.append(serving := Pretender(self, launch, ears))
        return serving

    async def digest(self, image: str) -> str | None:
        """As the test says."""
        return self.digests.get(image)

    async def find_servings(self) -> list[FoundServing]:
        """What an agent before left."""
        return self.left

    def adopt_serving(self, launch: Launch, found: FoundServing, ears: Ears) -> Pretender:
        """Go on with it; what it ever said comes again by the test's hand."""
        self.made.append(serving := Pretender(self, launch, ears, found.container))
        if not found.running:
            serving.end(1)
        return serving

    async def discard_serving(self, found: FoundServing) -> None:
        """Remember it."""
        self.gone.append(found.container)
