"""The view is removed and made again from the log, while the log goes on."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from muster.broker.nats import NatsBroker
from muster_projections import canonical
from muster_projections.registry import chosen
from muster_projections.store import Store
from tests.acceptance.crash.plays import appended, reflected
from tests.fixtures.histories import history
from tests.fixtures.processes import Installation

EXECUTIONS = 1000

pytestmark = [pytest.mark.slow]


async def _folded(broker: NatsBroker, path: Path, stop: int) -> str:
    """The digest of a view that was folded here up to ``stop``, in batches of its own."""
    position = await broker.log.position()
    async with aclosing(broker.log.read(1, stop=stop)) as batches:
        events = [recorded async for batch in batches for recorded in batch]

    def fold() -> str:
        with closing(Store.open(path, chosen())) as store:
            store.adopt(position.created)
            for start in range(0, len(events), 97):
                store.write(events[start : start + 97])
        return canonical.digest(path)

    return await asyncio.to_thread(fold)


@pytest.mark.timeout(240)
async def test_a_view_is_made_again_while_events_come(site: Installation) -> None:
    """After 1,000 executions with failures, retries and late facts the new view is the old one, byte for byte."""
    log = history(11, executions=EXECUTIONS)
    kinds = {recorded.event.kind for recorded in log.events}
    assert {"step.retrying", "execution.failed", "attempt.superseded", "execution.cleared"} <= kinds
    half = len(log.events) // 2
    kept = site.muster("kept", "projections", "run", "--view", str(site.folder / "kept.db"))
    view = site.muster("view", "projections", "run")
    for program in (kept, view):
        await program.launch().says("keep")
    first = await appended(site.broker, log.events[:half])
    await site.log.holds(lambda: site.log.last == first, "first half")
    assert await reflected(site.view, site.log) == first
    await view.end()
    old = await asyncio.to_thread(lambda: list(canonical.dump(site.view)))
    for path in site.view.parent.glob(f"{site.view.name}*"):
        path.unlink()

    arriving = asyncio.create_task(appended(site.broker, log.events[half:]))
    rebuild = site.muster("rebuild", "projections", "rebuild", "--json").launch()
    assert await rebuild.exits(timeout_s=120) == 0
    done = json.loads(rebuild.log.strip().splitlines()[-1])
    assert done["sequence"] >= first
    rebuilt = await asyncio.to_thread(canonical.digest, site.view)
    assert rebuilt == await _folded(site.broker, site.folder / "again.db", done["sequence"])

    last = await arriving
    await site.log.holds(lambda: site.log.last == last, "second half", 90)
    await view.launch().says("keep")
    await reflected(site.view, site.log, 90)
    await reflected(site.folder / "kept.db", site.log, 90)
    forms = [
        await asyncio.to_thread(lambda path=path: list(canonical.dump(path)))
        for path in (site.view, site.folder / "kept.db")
    ]
    assert forms[0] == forms[1]
    assert len(old) < len(forms[0])
    print(f"{last} events, rebuilt {done['events']} in {done['seconds']:.1f} s")
