"""Files between this machine and executions: inputs are sent before the submit, artifacts fetched and checked."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from muster.artifacts.content import FileContent, described
from muster.broker.interface import Broker
from muster.model.errors import BrokerError, ExecutionTimeoutError, InvalidTypeError, MusterError
from muster.model.plan import artifacts
from muster.model.plan.artifacts import Artifact

ERASE_S: Final = 5.0
"""How long somebody who gave up waits for the broker to take back what was sent."""

OnTransfer = Callable[[str, int, int], None]
"""Is told of a file how many of its bytes are done, of how many."""


class Uploads(msgspec.Struct, frozen=True):
    """Files of this machine that an execution is given. ``inputs`` hold the artifacts they will be.

    ``fresh``: nobody can have used the execution's id before, so whatever is there is of this call.
    """

    execution: str
    inputs: dict[str, Any]
    contents: dict[Path, FileContent]
    fresh: bool = False

    @classmethod
    async def of(
        cls, inputs: Mapping[str, Any] | None, execution: str, bytes_max: int, *, fresh: bool = False
    ) -> Self:
        """Measure every ``Path`` among the inputs. Raises InvalidArgumentError where one cannot be sent."""
        given = dict(inputs or {})
        contents = {path: await FileContent.measure(path, bytes_max) for path in dict.fromkeys(_paths(given))}
        values = {
            path: described(path.name, content.digest, content.size, execution).value()
            for path, content in contents.items()
        }
        return cls(execution, _replaced(given, values) if contents else given, contents, fresh)

    async def send(self, broker: Broker, on_transfer: OnTransfer | None = None) -> None:
        """Put them into the store; what is there is not sent again. Raises BrokerError, InvalidArgumentError."""
        try:
            for path, content in self.contents.items():
                told = None if on_transfer is None else partial(_told, on_transfer, path.name, content.size)
                await broker.artifacts.put(self.execution, content, told)
        except BaseException:  # Ctrl-C too: what was not submitted needs no files
            await self._erase(broker)
            raise

    async def discard(self, broker: Broker, error: MusterError) -> None:
        """Take them back where the execution was refused: nobody could clear one that never was."""
        if not isinstance(error, BrokerError | ExecutionTimeoutError):
            await self._erase(broker)

    async def _erase(self, broker: Broker) -> None:
        if self.contents and self.fresh:
            with contextlib.suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(ERASE_S):
                    await broker.artifacts.erase(self.execution)


def _told(on_transfer: OnTransfer, name: str, total: int, done: int) -> None:
    on_transfer(name, done, total)


def _paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [path for part in parts for path in _paths(part)]


def _replaced(value: Any, values: Mapping[Path, dict[str, Any]]) -> Any:
    if isinstance(value, Path):
        return values[value]
    if isinstance(value, Mapping):
        return {key: _replaced(part, values) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(part, values) for part in value]
    return value


class Downloads:
    """What a client does with the files of executions."""

    @property
    def broker(self) -> Broker:
        """The broker of this client."""
        raise NotImplementedError

    async def artifact(self, value: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The content of an artifact among outputs or inputs, in pieces.

        Raises ArtifactMissingError before the first piece, and ArtifactDamagedError after the last where it is not
        what was stored: use what came only when it has ended well.
        """
        found = _artifact(value)
        async with aclosing(self.broker.artifacts.read(found.execution, found.digest)) as pieces:
            async for piece in pieces:
                yield piece

    async def download(
        self, value: Mapping[str, Any], path: Path | None = None, on_transfer: OnTransfer | None = None
    ) -> Path:
        """Write an artifact to ``path`` (by default its own name, here; in a folder, under its own name).

        The file is there when it is whole and checked, not before. Raises ArtifactMissingError, ArtifactDamagedError.
        """
        found = _artifact(value)
        target = Path() if path is None else path
        if await asyncio.to_thread(target.is_dir):
            target /= Path(found.name).name or found.digest[:12]
        half = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
        done = 0
        try:
            await asyncio.to_thread(half.touch)
            async with aclosing(self.artifact(value)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(append, half, piece)
                    done += len(piece)
                    if on_transfer is not None:
                        on_transfer(found.name, done, found.size)
            await asyncio.to_thread(half.replace, target)
        finally:
            await asyncio.to_thread(half.unlink, missing_ok=True)
        return target


def append(path: Path, piece: bytes) -> None:
    """Write at the end of a file. Opened for each piece: who is cancelled between two leaves nothing open."""
    with path.open("ab") as file:
        file.write(piece)


def _artifact(value: Mapping[str, Any]) -> Artifact:
    found = artifacts.of(dict(value))
    if found is None:
        raise InvalidTypeError(
            "This value is no artifact.",
            remedy='Give one of outputs or inputs: {"$artifact": "sha256:…", …}.',
        )
    return found
