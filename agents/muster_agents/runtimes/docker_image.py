"""The pull phase: an image is asked for, pulled where it is not here, and how far that has come is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import ImagePullError
from muster.model.log.catalogue import AttemptProgress, ImagePulled, ImagePulling
from muster_agents.runtimes.docker_engine import Engine
from muster_agents.runtimes.docker_pull import Image, Progress, local, pull
from muster_agents.runtimes.interface import Ears
from muster_agents.runtimes.threads import Threads

PROGRESS_S: Final = 1.0
"""Between two facts about how far a pull has come."""


async def available(spec: ContainerSpec, ears: Ears, engine: Engine, calls: Threads) -> Image:
    """The image of ``spec``, as its pull policy says. Raises ImagePullError."""
    image, policy = spec.image, spec.pull_policy
    began = time.monotonic()
    await ears.report(ImagePulling(image=image))
    found = None if policy == "always" else await calls.call(local, engine, image)
    cached = found is not None
    if found is None:
        if policy == "never":
            raise ImagePullError(
                f"The image {image} is not on this machine, and pull_policy is never.",
                remedy="Pull it there, or let the step pull it: pull_policy: missing.",
                image=image,
                retriable=False,
            )
        found, cached = await _pulled(image, ears, engine, calls)
    seconds = round(time.monotonic() - began, 6)
    await ears.report(
        ImagePulled(image=image, digest=found.digest, cached=cached, size=found.size, seconds=seconds)
    )
    return found


async def _pulled(image: str, ears: Ears, engine: Engine, calls: Threads) -> tuple[Image, bool]:
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    progress = Progress(lambda: _tell(loop, changed))
    pulling = calls.submit(lambda: pull(engine, image, progress))
    pulling.add_done_callback(seen)
    pulling.add_done_callback(lambda _: changed.set())
    told = (0, 0)
    try:
        while not pulling.done():
            await changed.wait()
            changed.clear()
            if (now := progress.bytes) != told and not pulling.done():
                told = now
                await _report_progress(ears, *now)
                await asyncio.wait({pulling}, timeout=PROGRESS_S)
    finally:
        progress.cancelled.set()
    return await pulling, not progress.fetched


async def _report_progress(ears: Ears, current: int, total: int) -> None:
    await ears.report(AttemptProgress(phase="pull", current=current, total=total or None, unit="bytes"))


def _tell(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever listened
        loop.call_soon_threadsafe(changed.set)


def seen(ended: asyncio.Future[Any]) -> None:
    """Whoever was stopped does not ask how its pull or its container ended; that is no failure to warn of."""
    if not ended.cancelled():
        ended.exception()
