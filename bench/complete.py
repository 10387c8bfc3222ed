"""Is it all there? Every step's events in the stream and every step's rows in the view, counted one by one."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from stack import BenchError

from muster.broker.nats import NatsBroker
from muster.model.log import subjects
from muster.settings import Settings

VIEW_LIMIT_S: Final = 10.0
POLL_S: Final = 0.005
STEP_EVENTS: Final = (
    "step.scheduled",
    "attempt.accepted",
    "attempt.started",
    "attempt.finished",
    "step.started",
    "step.succeeded",
)
ROWS: Final = {
    "steps": "SELECT step, count(*) FROM steps WHERE execution = ? AND status = 'succeeded' GROUP BY step",
    "attempts": "SELECT step, count(*) FROM attempts WHERE execution = ? AND status = 'finished' GROUP BY step",
}


def until_in_view(view: Path, execution: str) -> None:
    """Wait until the view has the execution's end, and so everything before it in the log."""
    deadline = time.monotonic() + VIEW_LIMIT_S
    with closing(sqlite3.connect(f"file:{view}?mode=ro", uri=True)) as db:
        while time.monotonic() < deadline:
            found = db.execute("SELECT status FROM executions WHERE id = ?", (execution,)).fetchone()
            if found is not None and found[0] == "succeeded":
                return
            time.sleep(POLL_S)
    raise BenchError(f"the view does not show {execution} succeeded after {VIEW_LIMIT_S:g} s: {found}")


def check(
    url: str, view: Path, execution: str, steps: int, name: Callable[[int], str] = "s{}".format
) -> None:
    """Fail, saying what is missing, unless each of the steps has each event and each row exactly once."""
    paths = [name(number) for number in range(steps)]
    missing = _unlike("the stream", asyncio.run(_events(url, execution)), STEP_EVENTS, paths)
    missing += _unlike("the view", _rows(view, execution), tuple(ROWS), paths)
    if missing:
        raise BenchError(f"execution {execution} is not complete:\n" + "\n".join(missing))


def _unlike(
    where: str, found: Counter[tuple[str, str]], kinds: tuple[str, ...], paths: list[str]
) -> list[str]:
    complaints = []
    for kind in kinds:
        wrong = {path: count for path in paths if (count := found[kind, path]) != 1}
        if wrong:
            some = ", ".join(f"{step} ({count})" for step, count in list(wrong.items())[:5])
            complaints.append(
                f"{where}: {len(wrong)} of {len(paths)} steps have not exactly one {kind}: {some} …"
            )
    return complaints


async def _events(url: str, execution: str) -> Counter[tuple[str, str]]:
    broker = await NatsBroker.connect(Settings(url=url), name="muster-bench")
    found: Counter[tuple[str, str]] = Counter()
    try:
        async for batch in broker.log.read(subjects=[subjects.events(execution=execution)]):
            found.update((recorded.event.kind, recorded.event.step or "") for recorded in batch)
    finally:
        await broker.close()
    return found


def _rows(view: Path, execution: str) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    with closing(sqlite3.connect(f"file:{view}?mode=ro", uri=True)) as db:
        for kind, query in ROWS.items():
            found.update({(kind, step): count for step, count in db.execute(query, (execution,))})
    return found
