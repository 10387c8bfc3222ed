"""Log lines, read until the execution they belong to has ended and everything it printed was handed over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from muster.broker.interface import LogLines
from muster.model.log.commands import LogLine

QUIET_S: Final = (
    2.0  # lines may be dropped or expire: after the end this long without one means there is none left
)

Line = tuple[str, int, LogLine]


async def read_lines(
    lines: LogLines,
    execution: str,
    step: str | None,
    attempt: int | None,
    ended: Callable[[], Awaitable[object]] | None,
) -> AsyncGenerator[Line, None]:
    """What is kept; where ``ended`` is given also what comes until it returns, and not one line less."""
    source = lines.read(execution, step=step or "*", attempt=attempt, follow=ended is not None)
    try:
        if ended is None:
            async for line in source:
                yield line
            return
        async for line in _to_the_end(source, ended, lambda: _count(lines, execution, step, attempt)):
            yield line
    finally:
        await source.aclose()


async def _to_the_end(
    source: AsyncGenerator[Line, None],
    ended: Callable[[], Awaitable[object]],
    count: Callable[[], Awaitable[int]],
) -> AsyncGenerator[Line, None]:
    end = asyncio.ensure_future(ended())
    upcoming: asyncio.Future[Line | None] | None = None
    total: int | None = None
    seen = 0
    try:
        while total is None or seen < total:
            upcoming = upcoming or asyncio.ensure_future(_one(source))
            waiting: set[asyncio.Future[Any]] = {upcoming} if end.done() else {upcoming, end}
            done, _ = await asyncio.wait(
                waiting, timeout=QUIET_S if end.done() else None, return_when=asyncio.FIRST_COMPLETED
            )
            if upcoming in done:
                line, upcoming = upcoming.result(), None
                if line is None:
                    return
                seen += 1
                yield line
            elif not done:
                return
            if end.done() and total is None:
                end.result()
                total = await count()
    finally:
        left = [task for task in (end, upcoming) if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _one(source: AsyncGenerator[Line, None]) -> Line | None:
    return await anext(source, None)


async def _count(lines: LogLines, execution: str, step: str | None, attempt: int | None) -> int:
    return sum([1 async for _ in lines.read(execution, step=step or "*", attempt=attempt)])
