"""A folder of the agent's own, which one process at a time may use: two would tear each other's journal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from muster.model.errors import ReplacedError

POLL_S: Final = 0.05  # a lock of the file system cannot be awaited

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def seat(folder: Path, wait_s: float) -> AsyncIterator[None]:
    """Hold ``folder``. Waits a little for one that is ending; the kernel frees it when its holder dies."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    # Not in a thread: whoever is cancelled while it waits for one does not get what is opened there.
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        await _lock(file, folder, wait_s)
        yield
    finally:
        os.close(file)


async def _lock(file: int, folder: Path, wait_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if loop.time() > deadline:
                raise ReplacedError(
                    f"An agent named {folder.name!r} runs on this machine already.",
                    remedy="Stop it first, or give this one another --name or another data directory.",
                    machine=folder.name,
                ) from None
            if not told:
                log.warning(f"waiting for the agent named {folder.name!r} on this machine to end")
                told = True
            await asyncio.sleep(POLL_S)
        else:
            return
