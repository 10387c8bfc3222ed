"""What an agent that is started again must know of the containers of functions: a file for each.

A file is written before its container is made and goes after it: a container without a file is nobody's.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from muster_agents.functions.loaded import Loaded
from muster_agents.runtimes.interface import Launch

SUFFIX: Final = ".json"

log = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container, by the engine's name once its function is loaded; until then ``loaded`` is None.

    ``key`` is what the pool finds it by.
    """

    launch: Launch
    key: tuple[str, str]
    container: str = ""
    loaded: Loaded | None = None
    since: datetime | None = None
    load_s: float = 0.0


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Entry).decode


class Ledger:
    """The files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, entry: Entry) -> None:
        """Enter a container, or what is new of it. Raises OSError."""
        await asyncio.to_thread(self._write, entry.launch.instance, _encode(entry))

    def _write(self, name: str, text: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f"{name}.new"
        draft.write_bytes(text)
        draft.rename(self._folder / f"{name}{SUFFIX}")

    async def strike(self, name: str) -> None:
        """The container is gone. Raises OSError."""
        await asyncio.to_thread((self._folder / f"{name}{SUFFIX}").unlink, missing_ok=True)

    async def read(self) -> dict[str, Entry]:
        """What an agent before left, by the names of the instances; what cannot be read is dropped."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for path in self._folder.glob("*"):
            try:
                if path.suffix != SUFFIX:
                    path.unlink()
                    continue
                found[path.stem] = _decode(path.read_bytes())
            except (OSError, msgspec.MsgspecError) as error:
                log.error(f"{path} cannot be read and is dropped: {error}")
                path.unlink(missing_ok=True)
        return found
